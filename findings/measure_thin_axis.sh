#!/usr/bin/env bash
# One would guess: a row of nine pixels is about nine long and one wide.
# What happens: regionprops says that it is 10.3 long and 0 wide. It takes pixels for points, which have no width.
# Users meet: thin objects, such as fibres, roots and cracks: width 0, so length through width is a division by zero; and
#   axes that differ from those of tools which add the spread within a pixel, 1/12.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check scikit-image==0.26.0
venv/bin/python - <<'P'
import numpy as np
import skimage
from skimage.measure import regionprops

print("scikit-image", skimage.__version__)
seen = {}
for shape in ((1, 9), (3, 9)):
    (region,) = regionprops(np.ones(shape, int))
    seen[shape] = [round(float(side), 2) for side in (region.axis_major_length, region.axis_minor_length)]
    print(f"{shape[1]} × {shape[0]} pixels: {seen[shape][0]} long, {seen[shape][1]} wide")
assert seen == {(1, 9): [10.33, 0.0], (3, 9): [10.33, 3.27]}, seen
P
