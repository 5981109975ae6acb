#!/usr/bin/env bash
# One would guess: a mask of one object is an object: iscrowd 0.
# What happens: every Mask becomes RLE with iscrowd 1, with a hole or without. Only polygons become objects.
# Users meet: everything that came from label images or a segmentation network: training on the file learns that there
#   is nothing, an evaluation says −1.
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

data.export("out", "coco_instances", save_media=False)
seen = [a["iscrowd"] for a in json.load(open(glob.glob("out/annotations/*.json")[0]))["annotations"]]
print(f"datumaro {version('datumaro')}: iscrowd of a square and a ring: {seen}")
assert seen == [1, 1], "this has changed"
P
