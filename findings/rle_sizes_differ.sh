#!/usr/bin/env bash
# One would guess: masks of pictures of two sizes cannot be compared, and that is an error.
# What happens: iou gives −1 in all three, and merge a mask of 0×0 pixels in pycocotools and faster-coco-eval (hotcoco
#   refuses). In an evaluation, detections at the size that the network saw, and not the file's, are simply never
#   right.
# Users meet: masks that were not scaled back: AP is 0 and nothing says why.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import hotcoco
from faster_coco_eval.core import mask as faster
from pycocotools import mask as coco

one, other = (np.ones((side, 8), np.uint8, order="F") for side in (8, 9))
seen = {}
for tool, module in (("pycocotools", coco), ("faster-coco-eval", faster), ("hotcoco", hotcoco.mask)):
    codes = [module.encode(one), module.encode(other)]
    try:
        union = [int(n) for n in module.merge(codes)["size"]]
    except ValueError as error:
        union = type(error).__name__
    seen[tool] = float(np.ravel(module.iou(codes[:1], codes[1:], [0]))[0]), union
    print(f"{tool} {version(tool)}: IoU {seen[tool][0]}, union {seen[tool][1]}")
assert seen == {"pycocotools": (-1.0, [0, 0]), "faster-coco-eval": (-1.0, [0, 0]), "hotcoco": (-1.0, "ValueError")}, "this has changed"
P
