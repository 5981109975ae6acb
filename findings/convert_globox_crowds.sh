#!/usr/bin/env bash
# One would guess: a crowd stays a crowd, or is left out with a word.
# What happens: iscrowd 1 becomes 0, so the region counts as one object that has to be found.
# Users meet: COCO's own files: each crowd region is then a missed object in every evaluation.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  globox==2.9.0
venv/bin/python - <<'P'
import contextlib, io, json
from importlib.metadata import version

import globox

truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat"}],
         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10], "area": 100, "iscrowd": 0, "segmentation": []},
                         {"id": 2, "image_id": 1, "category_id": 1, "bbox": [30, 5, 30, 40], "area": 1200, "iscrowd": 1, "segmentation": []}]}
json.dump(truth, open("truth.json", "w"))
globox.AnnotationSet.from_coco("truth.json").save_coco("out.json")
out = json.load(open("out.json"))

seen = [a["iscrowd"] for a in out["annotations"]]
print(f"globox {version('globox')}: iscrowd 0, 1 became {seen}")
assert seen == [0, 0], "this has changed"
P
