#!/usr/bin/env bash
# One would guess: shapes of one group_id are the parts of one object, as in labelme's own converter.
# What happens: each part is an annotation.
# Users meet: objects that are partly hidden: two objects, each with half a box.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  labelme2coco==0.2.6
venv/bin/python - <<'P'
import json, os
from importlib.metadata import version

from PIL import Image

os.makedirs("images")
for name in ("a.png", "b.png"):
    Image.new("RGB", (64, 48)).save(f"images/{name}")

from labelme2coco import convert

shapes = [("rectangle", [[10, 10], [20, 20]], None), ("polygon", [[30, 10], [40, 10], [40, 20]], 1), ("polygon", [[50, 10], [60, 10], [60, 20]], 1)]
content = {"version": "5.0", "flags": {}, "imagePath": "a.png", "imageData": None, "imageHeight": 48, "imageWidth": 64,
           "shapes": [{"label": "cat", "points": points, "shape_type": kind, "group_id": group, "flags": {}} for kind, points, group in shapes]}
json.dump(content, open("images/a.json", "w"))
os.remove("images/b.png")
convert("images", "out")
out = json.load(open("out/dataset.json"))["annotations"]

seen = [a["bbox"] for a in out[1:]]
print(f"labelme2coco {version('labelme2coco')}: boxes of one object of two parts: {seen}")
assert seen == [[30.0, 10.0, 10.0, 10.0], [50.0, 10.0, 10.0, 10.0]], "this has changed"
P
