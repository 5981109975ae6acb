#!/usr/bin/env bash
# One would guess: in an evaluation of masks, a detection's area is its mask's; a box that stands beside the mask
#   changes nothing.
# What happens: if the first detection of the file has a box, every detection's area is its box's, and the figures for
#   small, medium and large objects differ: APs is 1 instead of 0.5 here. All four agree on that.
# Users meet: networks that give boxes and masks: whoever writes both into one file gets other APs, APm and APl than
#   COCO's server.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, TOOLS, classes, judge, picture, report, thing

from pycocotools import mask
ell = mask.merge(mask.frPyObjects([[60, 60, 68, 60, 68, 108, 60, 108], [60, 100, 108, 100, 108, 108, 60, 108]], 128, 128))
square = mask.merge(mask.frPyObjects([[10, 10, 30, 10, 30, 30, 10, 30]], 128, 128))
truth = {"images": [picture()], "categories": classes, "annotations": [thing(1, A)]}
found = [{"image_id": 1, "category_id": 1, "score": score, "segmentation": {**code, "counts": code["counts"].decode()}}
         for code, score in ((square, 0.8), (ell, 0.9))]  # the second is wrong, 704 pixels in a box of 2,304
boxes = [A, [60, 60, 48, 48]]
seen = {tool: [judge(tool, truth, answers, "segm")[3] for answers in (found, [{**d, "bbox": box} for d, box in zip(found, boxes)])]
        for tool in TOOLS}
expected = dict.fromkeys(TOOLS, [0.5, 1.0])  # APs without and with boxes
report(seen, expected)
P
