#!/usr/bin/env bash
# One would guess: two categories of the same name are refused, or each has its line.
# What happens: get_results(per_class=True) has one entry, AP/cell 0.0, that of the last. The other, with AP 1, is
#   gone; the mean, 0.5, contains both.
# Users meet: merged data sets, and categories that differ only in their supercategory.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  hotcoco==1.3.0
venv/bin/python - <<'P'
import json
from importlib.metadata import version

from hotcoco import COCO, COCOeval

boxes = [[10, 10, 20, 20], [50, 10, 20, 20]]
truth = {"images": [{"id": 1, "file_name": "1.png", "height": 128, "width": 128}],
         "categories": [{"id": 1, "name": "cell", "supercategory": "blood"}, {"id": 2, "name": "cell", "supercategory": "plant"}],
         "annotations": [{"id": n, "image_id": 1, "category_id": n, "bbox": box, "area": 400, "iscrowd": 0} for n, box in enumerate(boxes, 1)]}
json.dump(truth, open("truth.json", "w"))
json.dump([{"image_id": 1, "category_id": 1, "bbox": boxes[0], "score": 0.9}], open("found.json", "w"))
coco = COCO("truth.json")
run = COCOeval(coco, coco.load_res("found.json"), "bbox")
run.run()
seen = {key: round(value, 3) for key, value in run.get_results(per_class=True).items() if key == "AP" or key.startswith("AP/")}
print(f"hotcoco {version('hotcoco')}: {seen}")
assert seen == {"AP": 0.5, "AP/cell": 0.0}, "this has changed"
P
