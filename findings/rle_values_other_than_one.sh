#!/usr/bin/env bash
# One would guess: encode takes every value but 0 for the object, as numpy and OpenCV do: 16 pixels.
# What happens: a run ends wherever the value changes, and runs alternate between outside and inside. Two pixels of
#   another value inside of the object become holes: 14. A mask of 0 and 255 alone is right, which hides it. hotcoco
#   and rlemasklib say 16.
# Users meet: masks that were resized with smooth edges or saved as JPEG, and label images whose objects touch.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 rlemasklib==0.8.1 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import hotcoco
import rlemasklib
from faster_coco_eval.core import mask as faster
from pycocotools import mask as coco

mask = np.zeros((8, 8), np.uint8, order="F")
mask[2:6, 2:6] = 255
mask[3, 3], mask[4, 4] = 254, 253
seen = {"pycocotools": int(coco.area(coco.encode(mask))), "faster-coco-eval": int(np.ravel(faster.area(faster.encode(mask)))[0]),
        "hotcoco": int(np.ravel(hotcoco.mask.area(hotcoco.mask.encode(mask)))[0]), "rlemasklib": int(rlemasklib.area(rlemasklib.encode(mask)))}
for tool, value in seen.items():
    print(f"{tool} {version(tool)}: {value} of 16 pixels")
assert seen == {"pycocotools": 14, "faster-coco-eval": 14, "hotcoco": 16, "rlemasklib": 16}, "this has changed"
P
