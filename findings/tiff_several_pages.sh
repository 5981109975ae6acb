#!/usr/bin/env bash
# A TIFF of three fluorescence channels, as ImageJ and OME-TIFF store them: three grey pages of 16 bits.
#
# One would guess: [3, H, W] from whoever reads stacks, and an error or a warning from who reads one picture.
# What happens: Pillow and OpenCV's imread give the first page, without a word. tifffile and imageio give [3, H, W]; scikit-image
#   moves the axis and gives [H, W, 3], but only because there are three or four pages: five stay [5, H, W].
# What users meet: two of three channels are missing from training, or a stack of three slices is taken for a colour picture.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6 opencv-python-headless==4.14.0.94 imageio==2.38.1 scikit-image==0.26.0
PYTHONPATH=site python3 -W error::UserWarning - <<'P'
import cv2
import imageio.v3 as imageio
import numpy as np
import PIL
import skimage.io
import tifffile
from PIL import Image

for axis, count in (("C", 3), ("Z", 3), ("Z", 5)):
    pages = np.arange(1, count + 1, dtype=np.uint16)[:, None, None] * 9000 * np.ones((1, 32, 32), np.uint16)
    for kind in ("imagej", "ome"):
        name = f"{kind}{axis}{count}.tif"
        tifffile.imwrite(name, pages, metadata={"axes": f"{axis}YX"}, photometric="minisblack", **{kind: True})
        readers = {"Pillow": np.asarray(Image.open(name)), "OpenCV": cv2.imread(name, cv2.IMREAD_UNCHANGED),
                   "tifffile": tifffile.imread(name), "imageio": imageio.imread(name), "scikit-image": skimage.io.imread(name)}
        shapes = {reader: pixels.shape for reader, pixels in readers.items()}
        print(f"{kind}, {count} pages along {axis}:", shapes)
        assert shapes["Pillow"] == shapes["OpenCV"] == (32, 32) and (readers["Pillow"] == pages[0]).all()
        assert shapes["tifffile"] == shapes["imageio"] == (count, 32, 32)
        assert shapes["scikit-image"] == ((32, 32, 3) if count == 3 else (5, 32, 32))
print("Pillow", PIL.__version__, "OpenCV", cv2.__version__, "tifffile", tifffile.__version__, "scikit-image", skimage.__version__)
P
