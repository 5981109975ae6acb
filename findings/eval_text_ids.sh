#!/usr/bin/env bash
# One would guess: ids "1" and "2" work, as in pycocotools, or are refused; a drop-in replacement says the same.
# What happens: pycocotools says AP 1. ultrafast-pycocotools says −1, as if there were no object, without a word.
#   faster-coco-eval turns the ids of the annotation file into numbers, but not those of the detections, and then
#   finds that they do not correspond. hotcoco refuses the file.
# Users meet: tables written with pandas, and pictures whose file names are numbers.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, B, TOOLS, classes, hit, judge, picture, report, thing

truth = {"images": [picture("1"), picture("2")], "categories": classes, "annotations": [thing(1, A, "1"), thing(2, B, "2")]}
seen = {tool: judge(tool, truth, [hit(A, image="1"), hit(B, image="2")]) for tool in TOOLS}
seen = {tool: value if isinstance(value, str) else value[0] for tool, value in seen.items()}
expected = {"pycocotools": 1.0, "faster-coco-eval": "AssertionError", "hotcoco": "ValueError", "ultrafast-pycocotools": -1.0}
report(seen, expected)
P
