#!/usr/bin/env bash
# One would guess: where a picture is cut into tiles, the parts of a crowd are crowds.
# What happens: slice_coco writes iscrowd 0 for each part: a region of many counts as one object in every tile that it
#   touches.
# Users meet: aerial pictures with regions marked as crowds: the tiles teach that a whole car park is one car.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  sahi==0.12.8 numpy
venv/bin/python - <<'P'
import json, os
from importlib.metadata import version

from PIL import Image

os.makedirs("images")
for name in ("a.png", "b.png"):
    Image.new("RGB", (64, 48)).save(f"images/{name}")
square = lambda x, y, w, h: [x, y, x + w, y, x + w, y + h, x, y + h]

from sahi.slicing import slice_coco

truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "car"}],
         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 20], "area": 800, "iscrowd": 1,
                          "segmentation": [square(10, 10, 40, 20)]}]}
json.dump(truth, open("truth.json", "w"))
out, _ = slice_coco("truth.json", "images", "tiles", output_dir="out", slice_height=48, slice_width=32, overlap_height_ratio=0, overlap_width_ratio=0)
seen = [a["iscrowd"] for a in out["annotations"]]
print(f"sahi {version('sahi')}: iscrowd of the parts of a crowd: {seen}")
assert seen == [0, 0], "this has changed"
P
