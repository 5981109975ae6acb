#!/usr/bin/env bash
# One would guess: nothing was found, so AP is 0.
# What happens: pycocotools stops with IndexError: list index out of range; it looks at the first detection to learn
#   of which kind they are. The others say 0.
# Users meet: the first epochs of a training, and every script with a threshold on the score. Whoever catches the
#   error and goes on leaves the worst models out.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, TOOLS, classes, judge, picture, report, thing

truth = {"images": [picture()], "categories": classes, "annotations": [thing(1, A)]}
seen = {tool: judge(tool, truth, []) for tool in TOOLS}
seen = {tool: value if isinstance(value, str) else value[0] for tool, value in seen.items()}
expected = {"pycocotools": "IndexError", "faster-coco-eval": 0.0, "hotcoco": 0.0, "ultrafast-pycocotools": 0.0}
report(seen, expected)
P
