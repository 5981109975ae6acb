#!/usr/bin/env bash
# A JPEG 2000 of 10, 12 or 16 bits a colour, without loss, as scanners, cameras and satellites write it; grey and colour.
#
# One would guess: of each colour the upper eight bits, as of a PNG.
# What happens: imagecodecs (OpenJPEG) gives all bits back. Pillow, and imageio with it, round to the nearest of 8 bits, and
#   what would round to 256 becomes 0: white is black. Half is half. Grey of 16 bits is right.
# What users meet: clouds, snow and slides with black holes in their brightest places, without a word from the reader.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m pip install -q --target site pillow==13.0.0 numpy==2.4.6 imagecodecs==2026.3.6 imageio==2.38.1
PYTHONPATH=site python3 - <<'P'
import imagecodecs
import imageio.v3 as imageio
import numpy as np
import PIL
from PIL import Image

for bits in (10, 12, 16):
    top = (1 << bits) - 1
    for bands in (3, 1):
        values = np.full((16, 16, bands), top, np.uint16)
        values[8:] = top // 2
        data = imagecodecs.jpeg2k_encode(values.squeeze(), level=0, codecformat="jp2", bitspersample=bits)
        assert (imagecodecs.jpeg2k_decode(data).reshape(values.shape) == values).all()
        open("a.jp2", "wb").write(data)
        with Image.open("a.jp2") as file:
            mode, pixels = file.mode, np.asarray(file).reshape(16, 16, bands)
        other = imageio.imread("a.jp2").reshape(16, 16, bands)
        found = [int(part[row, 0, 0]) for part in (pixels, other) for row in (0, 8)]
        print(f"{bits} bits, {mode}: white {top} is read as {found[0]}, half {top // 2} as {found[1]}; imageio {found[2:]}")
        assert found == ([0, 128] * 2 if bands == 3 else found[:2] * 2), "this has changed"
        assert bands == 3 or found[0] > 2 * found[1] - 2 > 0, "this has changed"
print("Pillow", PIL.__version__, "imagecodecs", imagecodecs.__version__)
P
