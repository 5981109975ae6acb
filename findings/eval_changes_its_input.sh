#!/usr/bin/env bash
# One would guess: loadRes reads a list of detections, and evaluate() judges; neither changes what it was given.
# What happens: loadRes gives each detection of a list without masks a `segmentation`, the outline of its box, in the
#   caller's own list. evaluate() of masks turns the polygons of the loaded annotation file into RLE as bytes, so that
#   it can no longer be saved as JSON.
# Users meet: scripts that evaluate a list of boxes and then ask the same list for masks get an AP of masks that were
#   never found; scripts that save a corrected file after an evaluation fail.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11
venv/bin/python - <<'P'
import contextlib, io, json
from importlib.metadata import version

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

coco = COCO()
coco.dataset = {"images": [{"id": 1, "file_name": "1.png", "height": 64, "width": 64}], "categories": [{"id": 1, "name": "a"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0,
                                 "segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]]}]}
found = [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.9}]
with contextlib.redirect_stdout(io.StringIO()):
    coco.createIndex()
    run = COCOeval(coco, coco.loadRes(found), "segm")
    run.evaluate()
print(f"pycocotools {version('pycocotools')}: the list now holds {sorted(found[0])}")
try:
    json.dumps(coco.dataset)
    seen = "is saved"
except TypeError as error:
    seen = str(error)
print("the annotation file:", seen)
assert "segmentation" in found[0] and "bytes" in seen, "this has changed"
P
