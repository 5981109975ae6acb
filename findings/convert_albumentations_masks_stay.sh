#!/usr/bin/env bash
# One would guess: boxes, labels and masks given to one call are of the same objects, and stay together.
# What happens: a crop that leaves one box of two returns one box, one label and two masks, one of them empty; which
#   one is not said.
# Users meet: whoever zips boxes and masks: after a crop that drops the first object, each box has its neighbour's
#   mask.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  albumentations==2.0.8 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import albumentations as A

masks = [np.zeros((100, 100), np.uint8) for _ in range(2)]
masks[0][70:80, 70:80] = masks[1][10:20, 10:20] = 1
crop = A.Compose([A.Crop(0, 0, 50, 50)], bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]))
out = crop(image=np.zeros((100, 100, 3), np.uint8), masks=masks, bboxes=[[70, 70, 80, 80], [10, 10, 20, 20]], labels=["first", "second"])
seen = len(out["bboxes"]), list(out["labels"]), [int(m.sum()) for m in out["masks"]]
print(f"albumentations {version('albumentations')}: boxes {seen[0]}, labels {seen[1]}, pixels of the masks {seen[2]}")
assert seen == (1, ["second"], [0, 100]), "this has changed"
P
