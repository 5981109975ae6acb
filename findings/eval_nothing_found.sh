#!/usr/bin/env bash
# One would guess: nothing was found, so AP is 0.
# What happens: pycocotools stops with IndexError: list index out of range; it looks at the first detection to learn
#   of which kind they are. The others say 0.
# Users meet: the first epochs of a training, and every script with a threshold on the score. Whoever catches the
#   error and goes on leaves the worst models out.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check \
  pycocotools==2.0.11 faster-coco-eval==1.8.0 hotcoco==1.3.0 ultrafast-pycocotools==0.1.14
venv/bin/python - <<'P'
import contextlib, importlib, io, json
from importlib.metadata import version

TOOLS = {"pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "COCOeval"),
         "faster-coco-eval": ("faster_coco_eval", "faster_coco_eval", "COCOeval_faster"),
         "hotcoco": ("hotcoco", "hotcoco", "COCOeval"), "ultrafast-pycocotools": ("ultrafast_pycocotools",) * 2 + ("COCOeval",)}


def judge(tool, truth, found, kind="bbox", limits=None):
    """COCO's twelve figures, or the name of the error."""
    json.dump(truth, open("truth.json", "w"))
    json.dump(found, open("found.json", "w"))
    data, evaluation, name = TOOLS[tool]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = importlib.import_module(data).COCO("truth.json")
            run = getattr(importlib.import_module(evaluation), name)(coco, coco.loadRes("found.json"), kind)
            if limits:
                run.params.maxDets = limits
            run.evaluate(); run.accumulate(); run.summarize()
        return [round(float(x), 3) for x in run.stats]
    except Exception as error:
        return type(error).__name__


def picture(number=1):
    return {"id": number, "file_name": f"{number}.png", "height": 128, "width": 128}


def thing(number, box, image=1, category=1, **more):
    x, y, w, h = box
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": w * h, "iscrowd": 0,
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]], **more}


def hit(box, score=0.9, image=1, category=1):
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


A, B = [10, 10, 20, 20], [50, 10, 20, 20]
classes = [{"id": 1, "name": "a"}]

truth = {"images": [picture()], "categories": classes, "annotations": [thing(1, A)]}
seen = {tool: judge(tool, truth, []) for tool in TOOLS}
seen = {tool: value if isinstance(value, str) else value[0] for tool, value in seen.items()}
expected = {"pycocotools": "IndexError", "faster-coco-eval": 0.0, "hotcoco": 0.0, "ultrafast-pycocotools": 0.0}

for tool, value in seen.items():
    print(f"{tool} {version(tool)}: {value}")
assert seen == expected, f"this has changed; it was {expected}"
P
