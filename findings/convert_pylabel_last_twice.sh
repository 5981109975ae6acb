#!/usr/bin/env bash
# One would guess: a COCO file that pylabel read and wrote again has as many annotations.
# What happens: two become three: the picture without objects, if it comes last, makes the annotation before it appear
#   again, with the same id. (Where the first picture has none, it stops; with pandas 3 it stops in any case.)
# Users meet: data sets with empty pictures, on purpose: an object counts twice, and can be found only once. The ids
#   start at 0.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pylabel==0.1.55 "pandas<3"
venv/bin/python - <<'P'
import json, os
from importlib.metadata import version

from PIL import Image

os.makedirs("images")
for name in ("a.png", "b.png"):
    Image.new("RGB", (64, 48)).save(f"images/{name}")
square = lambda x, y, w, h: [x, y, x + w, y, x + w, y + h, x, y + h]

from pylabel import importer

truth = {"images": [{"id": n, "file_name": f, "width": 64, "height": 48} for n, f in ((1, "a.png"), (2, "b.png"))],
         "categories": [{"id": 1, "name": "cat", "supercategory": ""}],
         "annotations": [{"id": n, "image_id": 1, "category_id": 1, "bbox": [x, 10, 10, 10], "area": 100, "iscrowd": 0,
                          "segmentation": [square(x, 10, 10, 10)]} for n, x in ((1, 10), (2, 30))]}
json.dump(truth, open("truth.json", "w"))
importer.ImportCoco("truth.json", path_to_images="images").export.ExportToCoco("out.json")
seen = [(a["id"], a["bbox"][0]) for a in json.load(open("out.json"))["annotations"]]
print(f"pylabel {version('pylabel')}, pandas {version('pandas')}: ids and x of the annotations: {seen}")
assert seen == [(0, 10.0), (1, 30.0), (1, 30.0)], "this has changed"
P
