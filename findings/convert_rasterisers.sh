#!/usr/bin/env bash
# One would guess: a square from 10 to 20 has 100 pixels.
# What happens: pycocotools and rasterio say 100; OpenCV, Pillow and scikit-image 121, since there a coordinate is the
#   middle of a pixel, and the border belongs to the object. Shifted by half a pixel, scikit-image says 100, and the
#   others stay as they are.
# Users meet: masks drawn with one library and evaluated with another: an object of 10 pixels grows by 21 %, IoU is
#   0.83 at best, and AP at 0.85 and above is out of reach.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 opencv-python-headless==4.14.0.94 pillow==13.0.0 scikit-image==0.26.0 rasterio==1.4.4 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import cv2
from PIL import Image, ImageDraw
from pycocotools import mask as coco
from rasterio.features import rasterize
from skimage.draw import polygon2mask

seen = {}
for low in (10, 10.5):
    points = np.array([[low, low], [low + 10, low], [low + 10, low + 10], [low, low + 10]])
    picture = Image.new("L", (64, 64))
    ImageDraw.Draw(picture).polygon([tuple(p) for p in points.tolist()], fill=1)
    shape = {"type": "Polygon", "coordinates": [points.tolist() + points[:1].tolist()]}
    masks = {"pycocotools": coco.decode(coco.frPyObjects([points.ravel().tolist()], 64, 64)), "pillow": np.array(picture),
             "opencv-python-headless": cv2.fillPoly(np.zeros((64, 64), np.uint8), [points.round().astype(np.int32)], 1),
             "scikit-image": polygon2mask((64, 64), points[:, ::-1]), "rasterio": rasterize([shape], (64, 64))}
    for tool, mask in masks.items():
        seen.setdefault(tool, []).append(int(mask.sum()))
for tool, value in seen.items():
    print(f"{tool} {version(tool)}: pixels from 10 to 20 and from 10.5 to 20.5: {value}")
assert seen == {"pycocotools": [100, 100], "pillow": [121, 121], "opencv-python-headless": [121, 121], "scikit-image": [121, 100],
                "rasterio": [100, 100]}, "this has changed"
P
