#!/usr/bin/env bash
# One would guess: two triangles that meet in a point have 200 square pixels; buffer(0), the usual repair, keeps them.
# What happens: shapely's area is 0, since one triangle counts against the other, and buffer(0) keeps one of them:
#   100. make_valid keeps both. pycocotools draws both: 200.
# Users meet: outlines drawn by hand, and converters that take `area` from shapely: the object is written as small, or
#   its half is lost in "cleaning".
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  shapely==2.2.0 pycocotools==2.0.11
venv/bin/python - <<'P'
from importlib.metadata import version

from pycocotools import mask as coco
from shapely import make_valid
from shapely.geometry import Polygon

points = [(10, 10), (30, 30), (30, 10), (10, 30)]
shape = Polygon(points)
seen = {"area": shape.area, "buffer(0)": shape.buffer(0).area, "make_valid": make_valid(shape).area,
        "pycocotools": float(coco.area(coco.frPyObjects([[float(v) for p in points for v in p]], 64, 64))[0])}
print(f"shapely {version('shapely')}, pycocotools {version('pycocotools')}: {seen}")
assert seen == {"area": 0.0, "buffer(0)": 100.0, "make_valid": 200.0, "pycocotools": 200.0}, "this has changed"
P
