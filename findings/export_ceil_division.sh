#!/usr/bin/env bash
# One would guess: Python's -(-n // 32), n / 32 rounded up, means in the exported file what it means in Python.
# What happens: the file divides toward zero, so that the result is one too small, unless 32 divides n.
# Users meet: networks that pad their input to a multiple of 32 that way: the file pads another size, or cuts the picture
#   off, without a word. (n + 31) // 32 is exported as it is meant.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  torch==2.14.1 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
venv/bin/python - <<'P'
import warnings
from importlib.metadata import version

import numpy as np
import onnxruntime
import torch

warnings.simplefilter("ignore")


class Pad(torch.nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.columns = columns

    def forward(self, picture):
        width = picture.shape[-1]
        return torch.nn.functional.pad(picture, (0, 32 * self.columns(width) - width))


def differ(columns):
    free = {3: torch.export.Dim.DYNAMIC}
    torch.onnx.export(Pad(columns), (torch.rand(1, 1, 3, 50),), dynamo=True, dynamic_shapes=(free,), verbose=False).save("pad.onnx")
    session = onnxruntime.InferenceSession("pad.onnx")
    widths = {}
    for width in range(33, 133):
        picture = np.zeros((1, 1, 3, width), np.float32)
        widths[width] = 32 * columns(width), session.run(None, {session.get_inputs()[0].name: picture})[0].shape[-1]
    return {width: both for width, both in widths.items() if both[0] != both[1]}


print(*(f"{p} {version(p)}" for p in ("torch", "onnxscript", "onnxruntime")), sep=", ")
up, plus = differ(lambda n: -(-n // 32)), differ(lambda n: (n + 31) // 32)
print(f"-(-n // 32): of 100 widths {len(up)} differ; width, padded in Python and by the file: {[(n, *both) for n, both in up.items()][:3]}")
print(f"(n + 31) // 32: of 100 widths {len(plus)} differ")
assert (len(up), up[33], len(plus)) == (97, (64, 32), 0), "this has changed"
P
