#!/usr/bin/env bash
# One would guess: with segmentation_mode="polygons" the masks become polygons of the same pixels, or a warning says
#   what is lost.
# What happens: the hole of 100 pixels is gone and the outer edge moves in: a ring of 800 pixels becomes 841, a square
#   of 100 becomes 81. `area` is that of the new mask; `bbox` is that of the old one.
# Users meet: the way out of the crowds (see convert_datumaro_crowds.sh).
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  datumaro==1.13.12 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import glob, json

import datumaro as dm

masks = np.zeros((2, 48, 64), bool)
masks[0, 5:15, 5:15] = True  # a square
masks[1, 5:35, 25:55] = True
masks[1, 15:25, 35:45] = False  # a ring
picture = dm.Image.from_numpy(np.zeros((48, 64, 3), np.uint8))
item = dm.DatasetItem(id="a", subset="train", media=picture, annotations=[dm.Mask(mask, label=0) for mask in masks])
data = dm.Dataset.from_iterable([item], categories=["x"])

data.export("out", "coco_instances", save_media=False, segmentation_mode="polygons")
seen = [(int(mask.sum()), a["area"], a["bbox"]) for mask, a in zip(masks, json.load(open(glob.glob("out/annotations/*.json")[0]))["annotations"])]
print(f"datumaro {version('datumaro')}: pixels before, area after, bbox: {seen}")
assert seen == [(100, 81.0, [5.0, 5.0, 10.0, 10.0]), (800, 841.0, [25.0, 5.0, 30.0, 30.0])], "this has changed"
P
