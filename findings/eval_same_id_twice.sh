#!/usr/bin/env bash
# One would guess: an id that two annotations of two pictures share is an error, or each annotation counts in its own
#   picture.
# What happens: the last annotation of that id is counted twice and the first not at all, so AP of perfect detections
#   is 0.252. hotcoco warns.
# Users meet: files that were put together from several, or whose exporter counts from 1 in each picture.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, B, TOOLS, classes, hit, judge, picture, report, thing

truth = {"images": [picture(1), picture(2)], "categories": classes, "annotations": [thing(1, A, 1), thing(1, B, 2)]}
seen = {tool: judge(tool, truth, [hit(A, image=1), hit(B, image=2)])[0] for tool in TOOLS}
expected = dict.fromkeys(TOOLS, 0.252)
report(seen, expected)
P
