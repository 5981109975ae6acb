#!/usr/bin/env bash
# One would guess: one annotation is one line of the YOLO file, or its parts are joined as Ultralytics' own converter
#   does.
# What happens: each part is a line, and read again there are two objects, each with a box of its own.
# Users meet: objects behind posts and branches: counts are wrong, and the network learns halves.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  supervision==0.31.2
venv/bin/python - <<'P'
import json, os
from importlib.metadata import version

from PIL import Image

os.makedirs("images")
for name in ("a.png", "b.png"):
    Image.new("RGB", (64, 48)).save(f"images/{name}")
square = lambda x, y, w, h: [x, y, x + w, y, x + w, y + h, x, y + h]

import supervision as sv

truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat", "supercategory": ""}],
         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 10], "area": 200, "iscrowd": 0,
                          "segmentation": [square(10, 10, 10, 10), square(30, 10, 10, 10)]}]}
json.dump(truth, open("truth.json", "w"))
data = sv.DetectionDataset.from_coco("images", "truth.json", force_masks=True)
data.as_yolo(images_directory_path="out/images", annotations_directory_path="out/labels", data_yaml_path="out/data.yaml")
again = sv.DetectionDataset.from_yolo("out/images", "out/labels", "out/data.yaml", force_masks=True)
seen = [sum(len(d) for _, _, d in one) for one in (data, again)]
print(f"supervision {version('supervision')}: objects before and after: {seen}")
assert seen == [1, 2], "this has changed"
P
