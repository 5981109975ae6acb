#!/usr/bin/env bash
# One would guess: with maxDets = [1, 10, 300], all figures are counted for up to 300 detections.
# What happens: pycocotools and ultrafast-pycocotools print AP −1.000, since the first line is for exactly 100
#   detections, whatever is allowed; AP50, AP75 and the rest are for 300. faster-coco-eval and hotcoco count all for
#   300.
# Users meet: pictures with more than 100 objects: nuclei, crops, parcels. A trainer that keeps the best AP keeps the
#   first epoch.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import TOOLS, classes, hit, judge, picture, report, thing

boxes = [[2 + 8 * i, 2 + 8 * j, 6, 6] for i in range(15) for j in range(10)]
truth = {"images": [picture()], "categories": classes, "annotations": [thing(n, box) for n, box in enumerate(boxes, 1)]}
seen = {tool: judge(tool, truth, [hit(box, 0.9 - n / 1000) for n, box in enumerate(boxes)], limits=[1, 10, 300])[:2] for tool in TOOLS}
expected = {"pycocotools": [-1.0, 1.0], "faster-coco-eval": [1.0, 1.0], "hotcoco": [1.0, 1.0], "ultrafast-pycocotools": [-1.0, 1.0]}
report(seen, expected)
P
