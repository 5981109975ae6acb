#!/usr/bin/env bash
# One would guess: a hundred false detections make AP worse.
# What happens: the class has no object in these pictures, so it is left out of the mean, and AP stays 1.
# Users meet: small validation parts, in which a rare class does not occur: the network may see it everywhere, and no
#   figure says so.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, TOOLS, classes, hit, judge, picture, report, thing

two = classes + [{"id": 2, "name": "b"}]
truth = {"images": [picture()], "categories": two, "annotations": [thing(1, A)]}
false = [hit([n % 90, n, 20, 20], 0.99, category=2) for n in range(100)]
seen = {tool: judge(tool, truth, [hit(A), *false])[0] for tool in TOOLS}
expected = dict.fromkeys(TOOLS, 1.0)
report(seen, expected)
P
