#!/usr/bin/env bash
# One would guess: the box of a mask from pixel 10 up to and with 19 is 10 wide: COCO's [10, 10, 10, 10].
# What happens: mask_to_xyxy gives [10, 10, 19, 19], the last pixel's own number, and as_coco writes a width of 9
#   beside an area of 100. A mask of one row gets the height 0.
# Users meet: small objects: a box of 9 for one of 10 is an IoU of 0.81. Readers that refuse boxes of size 0 stop, or
#   drop the object.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  supervision==0.31.2 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import json, os

from PIL import Image

os.makedirs("images")
for name in ("a.png", "b.png"):
    Image.new("RGB", (64, 48)).save(f"images/{name}")

import supervision as sv

masks = np.zeros((2, 48, 64), bool)
masks[0, 10:20, 10:20] = masks[1, 40, 10:30] = True
found = sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=np.zeros(2, int))
sv.DetectionDataset(["x"], ["images/a.png"], {"images/a.png": found}).as_coco(annotations_path="out.json")
seen = [(a["bbox"], a["area"]) for a in json.load(open("out.json"))["annotations"]]
print(f"supervision {version('supervision')}: bbox and area of a square of 10×10 and a row of 20 pixels: {seen}")
assert seen == [([10, 10, 9, 9], 100.0), ([10, 40, 19, 0], 20.0)], "this has changed"
P
