#!/usr/bin/env bash
# One would guess: torch.manual_seed(n) on a machine without a GPU costs what seeding one generator costs.
# What happens: it also asks each kind of device that PyTorch knows, and for three that are not initialised it formats a piece of
#   the Python stack as text, in case the seed has to be set later.
# Users meet: loops that seed before each step or item so that they can be resumed: hundreds of microseconds each, where
#   torch.default_generator.manual_seed(n) takes one or two and draws the same numbers on a CPU.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check torch==2.14.1 numpy==2.4.6
CUDA_VISIBLE_DEVICES= venv/bin/python - <<'P'
import time
import traceback
from importlib.metadata import version

import torch

formatted, plainly = [], traceback.format_stack


def format_stack(*args, **more):
    formatted.append(len(text := plainly(*args, **more)))
    return text


def microseconds(seed):
    start = time.perf_counter()
    for k in range(200):
        seed(k)
    return (time.perf_counter() - start) / 200 * 1e6


generator = torch.default_generator
torch.manual_seed(7)
drawn = torch.rand(5)
generator.manual_seed(7)
assert torch.equal(drawn, torch.rand(5))
traceback.format_stack = format_stack
torch.manual_seed(7)
traceback.format_stack = plainly
one, all_kinds = map(microseconds, (generator.manual_seed, torch.manual_seed))
print(f"torch {version('torch')}; CUDA available: {torch.cuda.is_available()}")
print(f"torch.manual_seed: {len(formatted)} stacks formatted; {all_kinds:.0f} µs, the generator alone {one:.1f} µs")
assert len(formatted) == 3 and all_kinds > 10 * one, "this has changed"
P
