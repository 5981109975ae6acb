#!/usr/bin/env bash
# One would guess: ids are names; one object and one detection exactly on it give AP 1, whatever the object's id.
# What happens: with the id 0, AP is 0: the id of the object that a detection found is noted, and 0 stands for none.
#   Only faster-coco-eval warns. hotcoco and ultrafast-pycocotools, which promise pycocotools' figures, say 1.
# Users meet: files whose exporter counts from 0 (globox, pylabel). With many objects a single one is lost, and nobody
#   sees it.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HERE venv/bin/python - <<'P'
from four_evaluators import A, TOOLS, classes, hit, judge, picture, report, thing

truth = {"images": [picture()], "categories": classes, "annotations": [thing(0, A)]}
seen = {tool: judge(tool, truth, [hit(A)])[0] for tool in TOOLS}
expected = {"pycocotools": 0.0, "faster-coco-eval": 0.0, "hotcoco": 1.0, "ultrafast-pycocotools": 1.0}
report(seen, expected)
P
