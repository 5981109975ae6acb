#!/usr/bin/env bash
# An uncompressed TIFF of one strip whose orientation tag turns it by a quarter (5 to 8), opened by its path. Stored: 9 wide, 5 high.
#
# One would guess: the pixels of the file, turned; as with a compressed file, and as from an open file object.
# What happens: of grey (8 and 16 bits), palette, RGBA and CMYK, Pillow maps the file, with width and height already exchanged.
#   The rows are cut at the wrong length: the picture has the stored shape, and each of its rows begins where no row begins.
#   size says 5 × 9 before loading and 9 × 5 after. Colour without alpha, compressed files and file objects are right.
# What users meet: scans and microscope pictures, sheared into stripes in one program and upright in the next; no error.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
PYTHONPATH=site python3 - <<'P'
import numpy as np
import PIL
import tifffile
from PIL import Image

grey = np.arange(45, dtype=np.uint8).reshape(5, 9)
four = np.stack([grey, grey + 50, grey + 100, grey + 150], axis=-1)
kinds = {"grey": (grey, {"photometric": "minisblack"}), "grey, 16 bits": (grey.astype(np.uint16), {"photometric": "minisblack"}),
         "palette": (grey, {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}),
         "RGBA": (four, {"photometric": "rgb", "extrasamples": ["unassalpha"]}), "CMYK": (four, {"photometric": "separated"}),
         "RGB": (four[..., :3], {"photometric": "rgb"}), "grey, compressed": (grey, {"photometric": "minisblack", "compression": "zlib"})}
for kind, (pixels, options) in kinds.items():
    tifffile.imwrite("turned.tif", pixels, extratags=[(274, 3, 1, 6, True)], **options)
    with Image.open("turned.tif") as image:
        before, by_path = image.size, np.asarray(image)
    with open("turned.tif", "rb") as file:
        by_file = np.asarray(Image.open(file))
    right = np.rot90(pixels, -1)
    print(f"{kind}: size {before}; loaded by its path {by_path.shape[1::-1]}, by a file object {by_file.shape[1::-1]}")
    if kind == "grey":
        print(by_path, "by its path, beside the first two rows of the right one:", right[:2], sep="\n")
    assert before == (5, 9) and (by_file == right).all()
    mapped = kind not in ("RGB", "grey, compressed")
    assert by_path.shape[:2] == ((5, 9) if mapped else (9, 5)) and (mapped or (by_path == right).all())
print("Pillow", PIL.__version__, "tifffile", tifffile.__version__)
P
