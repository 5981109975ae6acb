#!/usr/bin/env bash
# One would guess: boxes can be compared without `area` and `iscrowd`; COCO's figures for sizes may be missing then.
# What happens: pycocotools stops with KeyError: 'area', or 'iscrowd', although its own code asks whether 'iscrowd' is
#   there a few lines before. The others take what is meant.
# Users meet: files from most annotation programs (labelformat writes neither for boxes). A file that one evaluator
#   takes fails in the next.
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
    for field in ("area", "iscrowd"):
        annotation = {key: value for key, value in thing(1, A).items() if key != field}
        said = judge(tool, {"images": [picture()], "categories": classes, "annotations": [annotation]}, [hit(A)])
        seen.setdefault(tool, []).append(said if isinstance(said, str) else said[0])
expected = {tool: ["KeyError"] * 2 if tool == "pycocotools" else [1.0, 1.0] for tool in TOOLS}
report(seen, expected)
P
