#!/usr/bin/env bash
# A PNG of 16 bits a sample whose values need 12 (at most 4,095), grey and in colour, as 12-bit cameras and export tools write them.
#
# One would guess: grey and colour are treated alike.
# What happens: Pillow, and imageio with it, keep all 16 bits of grey, and of colour the upper eight, without a word: nearly black.
#   Image.convert("RGB") of the grey one clips at 255 instead: nearly white. OpenCV makes 8 bits of both by dropping the lower bytes.
# What users meet: one dataset, exported in grey and in colour, is read white or black, by reader and mode.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 numpy==2.4.6 opencv-python-headless==4.14.0.94 imageio==2.38.1
PYTHONPATH=site python3 - <<'P'
import cv2
import imageio.v3 as imageio
import numpy as np
import PIL
from PIL import Image

grey = np.full((16, 16), 3750, np.uint16)
cv2.imwrite("grey.png", grey)
cv2.imwrite("colour.png", np.stack([grey] * 3, axis=-1))
found = {}
for name in ("grey.png", "colour.png"):
    with Image.open(name) as file:
        found[name] = {"Pillow": (file.mode, int(np.asarray(file).max())), "as RGB": int(np.asarray(file.convert("RGB")).max())}
    found[name] |= {"imageio": int(imageio.imread(name).max()), "OpenCV": int(cv2.imread(name).max())}
    print(f"{name}, 3750 in the file:", found[name])
print("Pillow", PIL.__version__, "OpenCV", cv2.__version__)
assert found["grey.png"] == {"Pillow": ("I;16", 3750), "as RGB": 255, "imageio": 3750, "OpenCV": 14}
assert found["colour.png"] == {"Pillow": ("RGB", 14), "as RGB": 14, "imageio": 14, "OpenCV": 14}
P
