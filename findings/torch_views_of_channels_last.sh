#!/usr/bin/env bash
# One would guess: what PyTorch itself does to parameters (flatten them, prune them, fit them by L-BFGS) does not care how they lie
#   in memory; `.to(memory_format=torch.channels_last)`, which PyTorch advises for convolutions, changes no value.
# What happens: parameters_to_vector, LBFGS and the unstructured kinds of pruning call `view(-1)` on each weight, or on its
#   gradient, and stop with a RuntimeError about strides; ln_structured goes on. And vector_to_parameters, which takes any layout,
#   leaves the weights in the other one.
# Users meet: networks whose convolutions lie channels-last (as this project's do), in pruning, Laplace approximations, merging
#   of weights, L-BFGS: bring them back by `.to(memory_format=torch.contiguous_format)` before.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check torch==2.14.1 numpy==2.4.6
CUDA_VISIBLE_DEVICES= venv/bin/python - <<'P'
from importlib.metadata import version

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, prune, vector_to_parameters


def conv(layout):
    torch.manual_seed(0)
    return nn.Conv2d(8, 16, 3).to(memory_format=layout)


def lbfgs(layer):
    optimizer = torch.optim.LBFGS(layer.parameters())

    def closure():
        optimizer.zero_grad()
        loss = layer(torch.ones(1, 8, 5, 5)).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)


ways = {"parameters_to_vector": lambda layer: parameters_to_vector(layer.parameters()), "LBFGS": lbfgs,
        "prune.l1_unstructured": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
        "prune.random_unstructured": lambda layer: prune.random_unstructured(layer, "weight", 0.5),
        "prune.global_unstructured": lambda layer: prune.global_unstructured([(layer, "weight")], prune.L1Unstructured, amount=0.5),
        "prune.ln_structured": lambda layer: prune.ln_structured(layer, "weight", 0.5, n=2, dim=0)}
print("torch", version("torch"))
refused = []
for name, way in ways.items():
    way(conv(torch.contiguous_format))
    try:
        way(conv(torch.channels_last))
        print(f"{name}: both layouts")
    except RuntimeError as error:
        assert "view size is not compatible" in str(error)
        refused.append(name)
        print(f"{name}: {str(error)[:72]}…")
assert refused == [name for name in ways if name != "prune.ln_structured"], refused

layer = conv(torch.channels_last)
flat = torch.cat([p.detach().reshape(-1) for p in layer.parameters()])
before = layer.weight.detach().clone()
vector_to_parameters(flat, layer.parameters())
assert torch.equal(layer.weight, before) and layer.weight.stride() == (72, 9, 3, 1)
print("vector_to_parameters: the same values, and the layout is", layer.weight.stride(), "instead of", before.stride())
P
