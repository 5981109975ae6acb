#!/usr/bin/env bash
# One would guess: `area` only sorts objects into small, medium and large; AP over all sizes counts every object.
# What happens: "all" is the range from 0 to 10,000,000,000. An object with a negative area is in none, is ignored,
#   and AP is −1.
# Users meet: areas from the shoelace formula without its absolute value: half of the outlines, those drawn the other
#   way round, do not count.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, TOOLS, classes, hit, judge, picture, report, thing

outline = [10, 10, 10, 30, 30, 30, 30, 10]  # x y, anticlockwise on the screen
x, y = outline[::2], outline[1::2]
area = sum(a * d - c * b for a, b, c, d in zip(x, y, x[1:] + x[:1], y[1:] + y[:1])) / 2
print("the shoelace formula says", area)
truth = {"images": [picture()], "categories": classes, "annotations": [thing(1, A, area=area, segmentation=[outline])]}
seen = {tool: judge(tool, truth, [hit(A)])[0] for tool in TOOLS}
expected = dict.fromkeys(TOOLS, -1.0)
report(seen, expected)
P
