#!/usr/bin/env bash
# One would guess: what a network computes in Python from the size of a picture, the exported file computes, too.
# What happens: of 700 widths, 56 come out one pixel larger or smaller: Python computes in 64 bits, the ONNX file in 32.
# Users meet: networks that resize their input ("shorter side 800"): for some sizes all that follows is of another size,
#   without a word. A tensor of float64 keeps its 64 bits.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  torch==2.14.1 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
venv/bin/python - <<'P'
import math
import warnings
from importlib.metadata import version

import numpy as np
import onnxruntime
import torch

warnings.simplefilter("ignore")


class ToWidth(torch.nn.Module):
    def forward(self, picture):
        scale = 800 / picture.shape[-1]
        return torch.nn.functional.interpolate(picture, size=(4, math.floor(picture.shape[-1] * scale)))


free = {3: torch.export.Dim.DYNAMIC}
program = torch.onnx.export(ToWidth(), (torch.rand(1, 1, 3, 48),), dynamo=True, dynamic_shapes=(free,), verbose=False)
program.save("to_width.onnx")
session = onnxruntime.InferenceSession("to_width.onnx")
name, others = session.get_inputs()[0].name, {}
for width in range(2, 1402, 2):
    python = ToWidth()(torch.zeros(1, 1, 3, width)).shape[-1]
    file = session.run(None, {name: np.zeros((1, 1, 3, width), np.float32)})[0].shape[-1]
    if python != file:
        others[width] = python, file
print(*(f"{p} {version(p)}" for p in ("torch", "onnxscript", "onnxruntime")), sep=", ")
print(f"of 700 widths {len(others)} differ; the first: {list(others.items())[:3]}")
assert len(others) == 56, "this has changed"
P
