#!/usr/bin/env bash
# One would guess: what stands in label_fields comes back as it was, with the box that it belongs to.
# What happens: whole numbers are stored beside the boxes as float32: 16777217 comes back as 16777216.0. Texts come
#   back whole.
# Users meet: annotation ids in label_fields, to know which masks belong to the boxes that are left. COCO's own crowd
#   ids, 900100002299, are beyond that, and neighbours become equal.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  albumentations==2.0.8 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import albumentations as A

ids = [2**24, 2**24 + 1, 900100002299]
turn = A.Compose([A.HorizontalFlip(p=1)], bbox_params=A.BboxParams("pascal_voc", label_fields=["ids"]))
out = turn(image=np.zeros((100, 100, 3), np.uint8), bboxes=[[10, 10, 20, 20], [30, 10, 40, 20], [50, 10, 60, 20]], ids=ids)
seen = [int(i) for i in out["ids"]]
print(f"albumentations {version('albumentations')}: {ids} came back as {[float(i) for i in out['ids']]}")
assert seen[0] == seen[1] == 2**24 and seen[2] != ids[2], "this has changed"
P
