#!/usr/bin/env bash
# One would guess: in Label Studio's COCO export a painted mask is an RLE, and a rectangle an outline of four points.
# What happens: painted masks are not there; a rectangle has an empty `segmentation`. Of three objects one has a mask.
# Users meet: projects labelled with the brush train on pictures that seem to be empty.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  label-studio-converter==0.0.59
venv/bin/python - <<'P'
import json, os
from importlib.metadata import version

import numpy as np
from label_studio_converter import Converter
from label_studio_converter.brush import encode_rle
from PIL import Image

Image.new("RGB", (64, 48)).save("a.png")
mask = np.zeros((48, 64), np.uint8)
mask[10:20, 10:20] = 255
brush = encode_rle(np.repeat(mask.ravel(), 4))  # four channels, as its own editor writes them
common = {"original_width": 64, "original_height": 48, "image_rotation": 0, "to_name": "image"}
result = [{**common, "id": "1", "from_name": "b", "type": "brushlabels", "value": {"format": "rle", "rle": [int(x) for x in brush], "brushlabels": ["cat"]}},
          {**common, "id": "2", "from_name": "p", "type": "polygonlabels", "value": {"points": [[10, 10], [20, 10], [20, 20]], "polygonlabels": ["cat"]}},
          {**common, "id": "3", "from_name": "r", "type": "rectanglelabels",
           "value": {"x": 50, "y": 50, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["cat"]}}]
json.dump([{"id": 1, "data": {"image": os.path.abspath("a.png")}, "annotations": [{"id": 1, "result": result}]}], open("in.json", "w"))
config = '''<View><Image name="image" value="$image"/>
<BrushLabels name="b" toName="image"><Label value="cat"/></BrushLabels>
<PolygonLabels name="p" toName="image"><Label value="cat"/></PolygonLabels>
<RectangleLabels name="r" toName="image"><Label value="cat"/></RectangleLabels></View>'''
Converter(config, ".", download_resources=False).convert_to_coco("in.json", "out", is_dir=False)
seen = [len(a["segmentation"]) for a in json.load(open("out/result.json"))["annotations"]]
print(f"label-studio-converter {version('label-studio-converter')}: parts of each object's outline, of a brush, a polygon, a rectangle: {seen}")
assert seen == [1, 0], "this has changed"
P
