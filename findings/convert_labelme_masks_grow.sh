#!/usr/bin/env bash
# One would guess: two squares that share an edge share no pixel, and a circle of radius 12 has about 452 pixels.
# What happens: in LabelMe's own function for masks the squares overlap by 11 pixels, each is 11 wide instead of 10, and
#   the circle has 489. In the window, pixels lie between whole numbers: the square that is seen there has 100.
# Users meet: masks made by LabelMe's scripts and the same outlines trained as polygons of COCO differ by a ring; small
#   objects, and neighbours that touch, suffer most.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  labelme==6.3.1
venv/bin/python - <<'P'
from importlib.metadata import version

from labelme.utils import shape_to_mask

left, right = (shape_to_mask((64, 64), [[x, 10], [x + 10, 20]], "rectangle") for x in (10, 20))
circle = shape_to_mask((64, 64), [[30, 30], [30, 42]], "circle")
seen = [int(mask.sum()) for mask in (left, left & right, circle)]
print(f"labelme {version('labelme')}: pixels of a square of 10, shared with its neighbour, of a circle of radius 12: {seen}")
assert seen == [121, 11, 489], "this has changed"
P
