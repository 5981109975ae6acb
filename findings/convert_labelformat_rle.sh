#!/usr/bin/env bash
# One would guess: RLE, in both of COCO's forms, is read wherever COCO allows it.
# What happens: an object with RLE (iscrowd 0) fails with "could not convert string to float: 's'", the first letter
#   of "size"; a crowd with compressed RLE fails with "invalid literal for int()". A crowd with run lengths is read.
# Users meet: files of SAM, of this project and of most networks, which write objects as compressed RLE: nothing says
#   that it is the RLE.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  labelformat==0.1.17
venv/bin/python - <<'P'
import json
from importlib.metadata import version

from labelformat.formats import COCOInstanceSegmentationInput

plain = {"size": [48, 64], "counts": [485, 10, 38, 10, 2529]}
packed = {"size": [48, 64], "counts": "U?:V10k]2"}  # the same, as pycocotools packs it
seen = []
for code, crowd in ((plain, 0), (packed, 0), (packed, 1), (plain, 1)):
    truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat"}],
             "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 5, 2, 10], "area": 20, "iscrowd": crowd, "segmentation": code}]}
    json.dump(truth, open("truth.json", "w"))
    try:
        seen.append(f"{sum(len(label.objects) for label in COCOInstanceSegmentationInput('truth.json').get_labels())} object")
    except ValueError as error:
        seen.append(str(error)[:37])
print(f"labelformat {version('labelformat')}: {seen}")
assert seen == ["could not convert string to float: 's", "could not convert string to float: 's", "invalid literal for int() with base 1",
                "1 object"], "this has changed"
P
