#!/usr/bin/env bash
# One would guess: a COCO file that sahi read and wrote again has the same polygons.
# What happens: 5.9 becomes 5: every outline moves up to a pixel to the left and up, while `bbox` keeps 5.9. RLE is
#   left out, which it says.
# Users meet: sliced data sets of small objects, sahi's own field: masks beside their boxes, by half a pixel on
#   average.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  sahi==0.12.8
venv/bin/python - <<'P'
import json
from importlib.metadata import version

from sahi.utils.coco import Coco

outline = [5.9, 5.9, 15.9, 5.9, 15.9, 15.9, 5.9, 15.9]
truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat"}],
         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5.9, 5.9, 10, 10], "area": 100, "iscrowd": 0, "segmentation": [outline]}]}
json.dump(truth, open("truth.json", "w"))
out = Coco.from_coco_dict_or_path("truth.json").json["annotations"][0]
print(f"sahi {version('sahi')}: segmentation {out['segmentation']}, bbox {out['bbox']}")
assert out["segmentation"] == [[5, 5, 15, 5, 15, 15, 5, 15]] and out["bbox"] == [5.9, 5.9, 10.0, 10.0], "this has changed"
P
