#!/usr/bin/env bash
# One would guess: to mirror a polygon and to mirror its mask is the same.
# What happens: points are rounded in one direction, so the mask of the mirrored outline has other pixels: 408, 412,
#   415 and 409 pixels as it is, mirrored left–right, upside down, and about the diagonal.
# Users meet: augmentation of polygons and of masks give different targets; a test that compares both with equality
#   fails at borders.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

from pycocotools import mask as coco

points = np.array([[3.3, 2.1], [28.7, 9.9], [17.2, 30.4], [5.5, 22.2]])
ways = {"as it is": points, "left–right": np.abs(points - [64, 0]), "upside down": np.abs(points - [0, 64]), "diagonal": points[:, ::-1]}
seen = {way: int(coco.area(coco.frPyObjects([p.ravel().tolist()], 64, 64))[0]) for way, p in ways.items()}
print(f"pycocotools {version('pycocotools')}: {seen}")
assert list(seen.values()) == [408, 412, 415, 409], "this has changed"
P
