#!/usr/bin/env bash
# One would guess: a part of two points has no area; the other part, 100 pixels, stays as it is, and the order of the
#   parts does not matter.
# What happens: if the part of two points, four numbers, comes first, all parts are taken for boxes x y w h.
#   faster-coco-eval reads the good polygon's first four numbers as a box of 1,020 pixels, without a word; the others
#   stop. If it comes last, all say 100.
# Users meet: polygons from tools that leave a stray line or click beside an outline.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14 numpy
venv/bin/python - <<'P'
import numpy as np
from importlib.metadata import version

import hotcoco
from faster_coco_eval.core import mask as faster
from pycocotools import mask as coco
from ultrafast_pycocotools import mask as ultrafast

line, square = [10.0, 10.0, 20.0, 20.0], [30.0, 30.0, 40.0, 30.0, 40.0, 40.0, 30.0, 40.0]
seen = {}
for tool, module in (("pycocotools", coco), ("faster-coco-eval", faster), ("hotcoco", hotcoco.mask), ("ultrafast-pycocotools", ultrafast)):
    for parts in ([square, line], [line, square]):
        try:
            value = [int(n) for n in module.area(module.frPyObjects(parts, 64, 64))]
        except (TypeError, ValueError) as error:
            value = type(error).__name__
        seen.setdefault(tool, []).append(value)
    print(f"{tool} {version(tool)}: areas, square first {seen[tool][0]}, line first {seen[tool][1]}")
assert seen == {"pycocotools": [[100, 0], "TypeError"], "faster-coco-eval": [[100, 0], [400, 1020]],
                "hotcoco": [[100, 0], "ValueError"], "ultrafast-pycocotools": [[100, 0], "ValueError"]}, "this has changed"
P
