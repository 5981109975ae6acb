#!/usr/bin/env bash
# One would guess: an array comes back as it was saved, or is refused, as safetensors.torch refuses a transposed
#   tensor.
# What happens: safetensors.numpy writes the memory as it lies, beside the shape of the view: [[0, 1, 2], [3, 4, 5]]
#   in Fortran order comes back as [[0, 3, 1], [4, 2, 5]]. Its documentation asks for contiguous arrays; nothing
#   checks it.
# Users meet: masks for pycocotools, which wants Fortran order, weights of Keras or MATLAB that were transposed,
#   channels moved with transpose: shapes fit, values do not.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  safetensors==0.8.0 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

from safetensors.numpy import load, save

array = np.arange(6, dtype=np.float32).reshape(2, 3)
seen = {}
for way, one in (("Fortran order", np.asfortranarray(array)), ("transposed", array.T), ("a copy of the transposed", array.T.copy())):
    seen[way] = load(save({"x": one}))["x"].tolist()
    print(f"safetensors {version('safetensors')}, {way}: {one.tolist()} came back as {seen[way]}")
assert list(seen.values()) == [[[0, 3, 1], [4, 2, 5]], [[0, 1], [2, 3], [4, 5]], [[0, 3], [1, 4], [2, 5]]], "this has changed"
P
