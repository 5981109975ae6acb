#!/usr/bin/env bash
# A JPEG in CMYK as print shops and Photoshop write it (with Adobe's marker), and a JPEG with an EXIF turn as phones write it.
#
# One would guess: four channels of ink, in whichever reader; and a phone's picture upright, or as stored, in all modes of a reader.
# What happens: Adobe stores CMYK inverted. Pillow and imageio give ink, four channels (red is 0 255 255 0); OpenCV gives red.
#   OpenCV turns the phone's picture in IMREAD_COLOR and not in IMREAD_UNCHANGED, and cannot read the same turn in a TIFF that
#   Pillow writes. Pillow turns a TIFF by itself while it loads it, and a JPEG, a PNG or a WebP only if asked.
# What users meet: masks drawn in one program lie across the picture that another reads; the sizes do not even differ for a square.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 numpy==2.4.6 opencv-python-headless==4.14.0.94 imageio==2.38.1
PYTHONPATH=site python3 - <<'P'
import cv2
import imageio.v3 as imageio
import numpy as np
import PIL
from PIL import Image

Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save("red.jpg")
red = {"Pillow": np.asarray(Image.open("red.jpg")), "imageio": imageio.imread("red.jpg"), "OpenCV": cv2.imread("red.jpg")[..., ::-1]}
red = {reader: pixels[5, 9].tolist() for reader, pixels in red.items()}
print("CMYK red:", red)
assert red["Pillow"] == red["imageio"] == [0, 255, 255, 0]
assert all(abs(a - b) < 3 for a, b in zip(red["OpenCV"], (255, 0, 0)))

note = Image.Exif()
note[274] = 6  # stored lying, 32 wide and 16 high; it stands
for suffix in ("jpg", "png", "webp", "tif"):
    Image.new("RGB", (32, 16)).save(f"turned.{suffix}", exif=note)
shape = lambda pixels: "not read" if pixels is None else "upright" if pixels.shape[0] == 32 else "as stored"
for suffix in ("jpg", "png", "webp", "tif"):
    name = f"turned.{suffix}"
    turned = [shape(pixels) for pixels in (np.asarray(Image.open(name)), imageio.imread(name), cv2.imread(name), cv2.imread(name, -1))]
    print(f"{suffix}: Pillow {turned[0]}; imageio {turned[1]}; OpenCV {turned[2]}, unchanged {turned[3]}")
    assert turned == (["upright", "as stored", "not read", "not read"] if suffix == "tif" else
                      ["as stored", "as stored", "upright", "as stored"])
print("Pillow", PIL.__version__, "OpenCV", cv2.__version__)
P
