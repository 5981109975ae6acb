#!/usr/bin/env bash
# A grey TIFF in which white is zero (PhotometricInterpretation 0), as scanners and some microscopes write it, of 8 and of 16 bits.
#
# One would guess: all readers invert it, or none does.
# What happens: Pillow inverts 8 bits and not 16. tifffile, imageio and scikit-image never invert. OpenCV inverts both when it makes
#   8 bits of them, but with IMREAD_UNCHANGED 8 bits are inverted and 16 are not. A big-endian file of 16 bits Pillow cannot open.
# What users meet: pictures of one scanner, saved with 8 and with 16 bits, of which half are negatives; a network that was trained
#   through one reader and is used through another sees nothing but negatives.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6 opencv-python-headless==4.14.0.94 imageio==2.38.1
PYTHONPATH=site python3 - <<'P'
import cv2
import imageio.v3 as imageio
import numpy as np
import PIL
import tifffile
from PIL import Image, UnidentifiedImageError

found = {}
for bits, value in ((8, 50), (16, 50 * 257)):
    name = f"{bits}.tif"
    tifffile.imwrite(name, np.full((32, 32), value, f"u{bits // 8}"), photometric="miniswhite", byteorder="<")
    found[bits] = {"Pillow": np.asarray(Image.open(name)), "tifffile": tifffile.imread(name), "imageio": imageio.imread(name),
                   "OpenCV": cv2.imread(name, cv2.IMREAD_GRAYSCALE), "OpenCV unchanged": cv2.imread(name, cv2.IMREAD_UNCHANGED)}
    found[bits] = {reader: int(pixels[0, 0]) for reader, pixels in found[bits].items()}
    print(f"{bits} bits, {value} in the file:", found[bits])
print("Pillow", PIL.__version__, "tifffile", tifffile.__version__, "OpenCV", cv2.__version__)
assert found[8] == {"Pillow": 205, "tifffile": 50, "imageio": 50, "OpenCV": 205, "OpenCV unchanged": 205}
assert found[16] == {"Pillow": 12850, "tifffile": 12850, "imageio": 12850, "OpenCV": 205, "OpenCV unchanged": 12850}
tifffile.imwrite("big.tif", np.full((32, 32), 12850, "u2"), photometric="miniswhite", byteorder=">")
try:
    Image.open("big.tif")
    raise SystemExit("Pillow opens the big-endian file now")
except UnidentifiedImageError as error:
    print("big-endian, Pillow:", error)
P
