#!/usr/bin/env bash
# One would guess: an outline 30 pixels long and 0.2 wide touches 30 pixels, and the mask has about that many.
# What happens: only pixels whose centres are inside count: the mask is empty, though `area` says 6 and the box is 30
#   pixels wide. Such an object is in the truth of an evaluation and cannot be found. rasterio does the same; Pillow
#   draws 31 pixels.
# Users meet: cracks, wires, hairs, roots and text, and any small object after a polygon was scaled down.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 rasterio==1.4.4 pillow==13.0.0 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

from PIL import Image, ImageDraw
from pycocotools import mask as coco
from rasterio.features import rasterize

outline = [10, 10.2, 40, 10.2, 40, 10.4, 10, 10.4]
points = list(zip(outline[::2], outline[1::2]))
picture = Image.new("L", (64, 64))
ImageDraw.Draw(picture).polygon(points, fill=1)
seen = {"pycocotools": int(coco.area(coco.frPyObjects([outline], 64, 64))[0]), "pillow": int(np.sum(np.array(picture))),
        "rasterio": int(rasterize([{"type": "Polygon", "coordinates": [points + points[:1]]}], (64, 64)).sum())}
for tool, value in seen.items():
    print(f"{tool} {version(tool)}: {value} pixels")
assert seen == {"pycocotools": 0, "pillow": 31, "rasterio": 0}, "this has changed"
P
