#!/usr/bin/env bash
# One would guess: the mask of 25 pixels in a row becomes a polygon of about these pixels.
# What happens: get_coco_segmentation_from_bool_mask gives an empty list, since the contour has two points only. A
#   line two pixels wide has one.
# Users meet: wires, cracks and hairs, and far objects in slices: there is an object, and it has no mask.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  sahi==0.12.8 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

from sahi.utils.cv import get_coco_segmentation_from_bool_mask

seen = []
for rows in (1, 2):
    mask = np.zeros((48, 64), bool)
    mask[5:5 + rows, 5:30] = True
    seen.append(len(get_coco_segmentation_from_bool_mask(mask)))
print(f"sahi {version('sahi')}: polygons of a line one pixel wide and of one two pixels wide: {seen}")
assert seen == [0, 1], "this has changed"
P
