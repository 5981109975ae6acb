#!/usr/bin/env bash
# A picture of H×W pixels and N bands, an array [H, W, N], given to tifffile.imwrite with nothing said of its axes.
#
# One would guess: one picture of N bands, whatever N is.
# What happens: of 3 bands a picture in colour; of 4 one whose last band is marked as transparency (unassociated alpha); of 2, 5 or more
#   H pages, each of W×N pixels. With photometric="minisblack" and planarconfig="contig" all are one page of N bands.
#   The transparency is believed: Pillow lays such a picture on white where the infrared is dark; of H pages, Pillow and OpenCV read the first.
# What users meet: near infrared that makes red, green and blue vanish, and five bands that are read as a stripe five pixels wide.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6 opencv-python-headless==4.14.0.94
PYTHONPATH=site python3 - <<'P'
import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image

H, W = 24, 32
for bands in (2, 3, 4, 5, 7):
    values = np.full((H, W, bands), 200, np.uint8)
    values[..., -1] = 0  # the last band is dark
    tifffile.imwrite("bare.tif", values)
    tifffile.imwrite("said.tif", values, photometric="minisblack", planarconfig="contig")
    with tifffile.TiffFile("bare.tif") as file:
        pages, page = len(file.pages), file.pages[0]
        alpha = [int(kind) for kind in page.extrasamples]
    with Image.open("bare.tif") as file:
        size, mode = file.size, file.mode
        white = Image.new("RGBA", size, "white")
        shown = Image.alpha_composite(white, file.convert("RGBA")).getpixel((0, 0))[:3] if bands == 4 else None
    opened = cv2.imread("bare.tif", cv2.IMREAD_UNCHANGED).shape
    print(f"{bands} bands: {pages} pages of {page.shape}, extra samples {alpha}; Pillow {mode} {size}, OpenCV {opened}"
          + f"; on white {shown}" * (bands == 4))
    assert (tifffile.imread("bare.tif") == values).all()  # as an array nothing is lost
    if bands in (3, 4):
        assert pages == 1 and page.shape == (H, W, bands) and alpha == [2] * (bands == 4)
        assert bands == 3 or shown == (255, 255, 255)
    else:
        assert pages == H and page.shape == (W, bands) and size == (bands, W) and opened == (W, bands)
    with tifffile.TiffFile("said.tif") as file:
        assert len(file.pages) == 1 and file.pages[0].shape == (H, W, bands)
print("tifffile", tifffile.__version__, "Pillow", PIL.__version__, "OpenCV", cv2.__version__)
P
