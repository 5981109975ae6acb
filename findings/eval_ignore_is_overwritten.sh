#!/usr/bin/env bash
# One would guess: an object with "ignore": 1 is not looked for; pycocotools' code has the line gt['ignore'] =
#   gt['ignore'] if 'ignore' in gt else 0.
# What happens: the next line sets it to `iscrowd`, so the object counts as missed: AP 0.505 instead of 1. All four do
#   so.
# Users meet: files in which difficult or doubtful objects have `ignore` (globox writes that field).
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, B, TOOLS, classes, hit, judge, picture, report, thing

truth = {"images": [picture()], "categories": classes, "annotations": [thing(1, A), thing(2, B, ignore=1)]}
seen = {tool: judge(tool, truth, [hit(A)])[0] for tool in TOOLS}
expected = dict.fromkeys(TOOLS, 0.505)
report(seen, expected)
P
