#!/usr/bin/env bash
# One would guess: an object whose mask has a hole, or of which two parts are seen, is one object: iscrowd 0.
# What happens: as_coco writes iscrowd 1 for both. Training leaves crowds out, and an evaluation ignores them.
# Users meet: rings, tools with handles, and everything that is partly hidden: the hardest objects silently leave
#   truth and training.
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

masks = np.zeros((3, 48, 64), bool)
masks[0, 5:25, 5:25] = True  # whole
masks[1, 5:25, 30:50] = True
masks[1, 10:15, 35:40] = False  # a hole
masks[2, 30:40, 5:15] = masks[2, 30:40, 20:30] = True  # two parts
found = sv.Detections(xyxy=sv.mask_to_xyxy(masks), mask=masks, class_id=np.zeros(3, int))
sv.DetectionDataset(["ring"], ["images/a.png"], {"images/a.png": found}).as_coco(annotations_path="out.json")
seen = [a["iscrowd"] for a in json.load(open("out.json"))["annotations"]]
print(f"supervision {version('supervision')}: iscrowd of a whole mask, one with a hole, one of two parts: {seen}")
assert seen == [0, 1, 1], "this has changed"
P
