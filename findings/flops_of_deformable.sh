#!/usr/bin/env bash
# One would guess: PyTorch's FLOP counter, which counts convolutions and matrix products, counts torchvision's deformable
#   convolution like a convolution of that shape, or says that it does not know it.
# What happens: it counts nothing for it, without a word; the same for a linear layer in oneDNN's own operation, which
#   torch.compile puts in place of nn.Linear on a CPU.
# Users meet: detectors with deformable convolutions, or compiled ones, whose printed GFLOP are too few. What an operation
#   costs can be given: FlopCounterMode(custom_mapping={torch.ops.torchvision.deform_conv2d: formula}).
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
venv/bin/python - <<'P'
import warnings
from importlib.metadata import version

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import deform_conv2d

x, weight, offset = torch.rand(1, 8, 20, 20), torch.rand(16, 8, 3, 3), torch.zeros(1, 18, 20, 20)
rows, matrix = torch.rand(32, 64), torch.rand(48, 64)


def flops(run, **how):
    with FlopCounterMode(display=False, **how) as counter:
        run()
    return counter.get_total_flops()


def deformable():
    return deform_conv2d(x, offset, weight, padding=1)


def by_onednn():
    return torch.ops.mkldnn._linear_pointwise(rows, matrix, None, "none", [], "")


def formula(x, weight, offset, *rest, out_shape=None, **more):
    return 2 * weight[0] * weight[1] * weight[2] * weight[3] * out_shape[2] * out_shape[3]


print(f"torch {version('torch')}, torchvision {version('torchvision')}")
torch.testing.assert_close(deformable(), F.conv2d(x, weight, padding=1), atol=1e-4, rtol=1e-4)  # no offsets: the same sums
torch.testing.assert_close(by_onednn(), F.linear(rows, matrix), atol=1e-4, rtol=1e-4)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    told = {"convolution": flops(lambda: F.conv2d(x, weight, padding=1)), "deformable": flops(deformable),
            "linear": flops(lambda: F.linear(rows, matrix)), "linear by oneDNN": flops(by_onednn)}
    given = flops(deformable, custom_mapping={torch.ops.torchvision.deform_conv2d: formula})
print(told, "- with a formula of its own:", given)
assert told == {"convolution": 921600, "deformable": 0, "linear": 196608, "linear by oneDNN": 0} and given == 921600
assert not [w for w in said if "flop" in str(w.message).lower()], "this has changed: it says so"
P
