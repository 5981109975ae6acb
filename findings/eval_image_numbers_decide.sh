#!/usr/bin/env bash
# One would guess: an image's id is a name; with other ids for the same pictures AP is the same.
# What happens: of equal scores, those of the picture with the lower id come first. With the ids swapped AP is 1
#   instead of 0.5. The order in the files does not matter.
# Users meet: scores with few digits (percents, float16, a sigmoid that says 1.0): two runs of one network on one data
#   set, numbered anew, differ.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, TOOLS, classes, hit, judge, picture, report, thing

seen = {}
for tool in TOOLS:
    for right, wrong in ((1, 2), (2, 1)):
        truth = {"images": [picture(right), picture(wrong)], "categories": classes, "annotations": [thing(1, A, right)]}
        seen.setdefault(tool, []).append(judge(tool, truth, [hit(A, 0.9, right), hit(A, 0.9, wrong)])[0])
expected = dict.fromkeys(TOOLS, [1.0, 0.5])
report(seen, expected)
P
