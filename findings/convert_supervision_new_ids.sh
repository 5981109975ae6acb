#!/usr/bin/env bash
# One would guess: to read a COCO file and write it again keeps the ids of pictures and categories.
# What happens: pictures 7 and 9 become 1 and 2, categories 3 and 5 become 1 and 2. Names are kept.
# Users meet: detections that were made for the first file are judged against the second: other pictures, other
#   classes, and AP near 0; if the ids happen to exist, without an error.
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

truth = {"images": [{"id": n, "file_name": f, "width": 64, "height": 48} for n, f in ((7, "a.png"), (9, "b.png"))],
         "categories": [{"id": 5, "name": "dog", "supercategory": ""}, {"id": 3, "name": "cat", "supercategory": ""}],
         "annotations": [{"id": 1, "image_id": 9, "category_id": 5, "bbox": [10, 10, 10, 10], "area": 100, "iscrowd": 0,
                          "segmentation": [square(10, 10, 10, 10)]}]}
json.dump(truth, open("truth.json", "w"))
sv.DetectionDataset.from_coco("images", "truth.json").as_coco(annotations_path="out.json")
out = json.load(open("out.json"))
seen = [i["id"] for i in out["images"]], {c["name"]: c["id"] for c in out["categories"]}, out["annotations"][0]["image_id"]
print(f"supervision {version('supervision')}: pictures, classes, the object's picture: {seen}")
assert seen == ([1, 2], {"cat": 1, "dog": 2}, 2), "this has changed"
P
