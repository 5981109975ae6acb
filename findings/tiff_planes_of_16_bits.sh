#!/usr/bin/env bash
# A TIFF of 16 bits a colour, stored plane by plane (PlanarConfiguration 2), uncompressed, as tifffile writes an array [3, H, W].
#
# One would guess: every reader gives the three colours, or says that it cannot.
# What happens: tifffile and scikit-image give them. Pillow takes the bytes of a plane for its pixels, and shows stripes.
#   OpenCV reads the right colours as 8 bits, but with IMREAD_UNCHANGED each channel is the first plane: red, red, red.
#   The same pixels with zlib compression are right in Pillow, and still red, red, red in OpenCV.
# What users meet: a picture of a microscope that trains as noise, or loses two channels, without a word from the reader.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6 opencv-python-headless==4.14.0.94
PYTHONPATH=site python3 - <<'P'
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

planes = np.zeros((3, 32, 32), np.uint16)
planes[0], planes[1], planes[2] = 10000, 30000, 60000
right = (39, 117, 234)  # the upper bytes
for name, options in (("plain", {}), ("zlib", {"compression": "zlib"})):
    tifffile.imwrite(f"{name}.tif", planes, photometric="rgb", planarconfig="separate", **options)
    assert (tifffile.imread(f"{name}.tif") == planes).all()
    pillow = [tuple(map(int, pixel)) for pixel in np.asarray(Image.open(f"{name}.tif"))[0, :2]]
    eight = tuple(map(int, cv2.imread(f"{name}.tif", cv2.IMREAD_COLOR)[0, 0, ::-1]))
    whole = tuple(map(int, cv2.imread(f"{name}.tif", cv2.IMREAD_UNCHANGED)[0, 0, ::-1]))
    print(f"{name}: Pillow {PIL.__version__} {pillow}; OpenCV {cv2.__version__} as 8 bits {eight}, unchanged {whole}")
    assert pillow == ([(16, 48, 96), right] if name == "plain" else [right, right])
    assert max(abs(a - b) for a, b in zip(eight, right)) <= 1 and whole == (10000, 10000, 10000)
P
