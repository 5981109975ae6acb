#!/usr/bin/env bash
# One would guess: COCO → CVAT → COCO keeps the objects; what CVAT cannot say is counted, as to_yolo and to_voc do
#   ("skipped_crowd", "crowd_as_difficult").
# What happens: each part of an object is an annotation of its own, and a crowd comes back with iscrowd 0. The counts
#   that to_cvat returns name neither.
# Users meet: a data set that goes to CVAT to be corrected and comes back: more objects, smaller ones, and regions of
#   many as one.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  hotcoco==1.3.0
venv/bin/python - <<'P'
import json
from importlib.metadata import version

from hotcoco import COCO

square = lambda x, y, w, h: [x, y, x + w, y, x + w, y + h, x, y + h]
truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat"}],
         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 10], "area": 200, "iscrowd": 0,
                          "segmentation": [square(10, 10, 10, 10), square(30, 10, 10, 10)]},
                         {"id": 2, "image_id": 1, "category_id": 1, "bbox": [5, 25, 50, 20], "area": 1000, "iscrowd": 1,
                          "segmentation": [square(5, 25, 50, 20)]}]}
json.dump(truth, open("truth.json", "w"))
counts = COCO("truth.json").to_cvat("out.xml")
seen = [a["iscrowd"] for a in COCO.from_cvat("out.xml").dataset["annotations"]]
print(f"hotcoco {version('hotcoco')}: says {counts}; iscrowd was [0, 1] and is {seen}")
assert seen == [0, 0, 0] and not any("crowd" in key for key in counts), "this has changed"
P
