#!/usr/bin/env bash
# One would guess: a file that was COCO and is converted to COCO is COCO.
# What happens: annotations have no `id` and no `area`; pycocotools stops with KeyError: 'id' while it reads. iscrowd
#   is false instead of 0.
# Users meet: whoever converts to COCO in order to evaluate.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  labelformat==0.1.17 pycocotools==2.0.11
venv/bin/python - <<'P'
import json
from importlib.metadata import version

from labelformat.formats import COCOInstanceSegmentationInput, COCOInstanceSegmentationOutput
from pathlib import Path
from pycocotools.coco import COCO

truth = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat"}],
         "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10], "area": 100, "iscrowd": 0,
                          "segmentation": [[10, 10, 20, 10, 20, 20, 10, 20]]}]}
json.dump(truth, open("truth.json", "w"))
COCOInstanceSegmentationOutput(Path("out.json")).save(COCOInstanceSegmentationInput("truth.json"))
fields = sorted(json.load(open("out.json"))["annotations"][0])
try:
    COCO("out.json")
    seen = "opened"
except KeyError as error:
    seen = f"KeyError: {error}"
print(f"labelformat {version('labelformat')}: fields {fields}; pycocotools {version('pycocotools')}: {seen}")
assert seen == "KeyError: 'id'", "this has changed"
P
