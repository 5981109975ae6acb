#!/usr/bin/env bash
# One would guess: a file that globox read and wrote again gives the same AP.
# What happens: the first annotation gets the id 0, which pycocotools takes for "no match": AP of perfect detections
#   is 0.252 instead of 1.
# Users meet: one object in each file counts as missed and its detection as false; in a small validation part that is
#   percents.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  globox==2.9.0 pycocotools==2.0.11
venv/bin/python - <<'P'
import contextlib, io, json
from importlib.metadata import version

import globox

truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat"}],
         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10], "area": 100, "iscrowd": 0, "segmentation": []},
                         {"id": 2, "image_id": 1, "category_id": 1, "bbox": [30, 5, 30, 40], "area": 1200, "iscrowd": 0, "segmentation": []}]}
json.dump(truth, open("truth.json", "w"))
globox.AnnotationSet.from_coco("truth.json").save_coco("out.json")
out = json.load(open("out.json"))

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

found = [{"image_id": 1, "category_id": 1, "bbox": a["bbox"], "score": s} for a, s in zip(truth["annotations"], (0.9, 0.8))]
seen = [[a["id"] for a in out["annotations"]]]
for name in ("truth.json", "out.json"):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(name)
        run = COCOeval(coco, coco.loadRes(found), "bbox")
        run.evaluate(); run.accumulate(); run.summarize()
    seen.append(round(float(run.stats[0]), 3))
print(f"globox {version('globox')}, pycocotools {version('pycocotools')}: ids {seen[0]}, AP before {seen[1]}, after {seen[2]}")
assert seen == [[0, 1], 1.0, 0.252], "this has changed"
P
