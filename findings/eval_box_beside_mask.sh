#!/usr/bin/env bash
# One would guess: in an evaluation of masks, a detection's area is its mask's; a box that stands beside the mask
#   changes nothing.
# What happens: if the first detection of the file has a box, every detection's area is its box's, and the figures for
#   small, medium and large objects differ: APs is 1 instead of 0.5 here. All four agree on that.
# Users meet: networks that give boxes and masks: whoever writes both into one file gets other APs, APm and APl than
#   COCO's server.
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

from pycocotools import mask
ell = mask.merge(mask.frPyObjects([[60, 60, 68, 60, 68, 108, 60, 108], [60, 100, 108, 100, 108, 108, 60, 108]], 128, 128))
square = mask.merge(mask.frPyObjects([[10, 10, 30, 10, 30, 30, 10, 30]], 128, 128))
truth = {"images": [picture()], "categories": classes, "annotations": [thing(1, A)]}
found = [{"image_id": 1, "category_id": 1, "score": score, "segmentation": {**code, "counts": code["counts"].decode()}}
         for code, score in ((square, 0.8), (ell, 0.9))]  # the second is wrong, 704 pixels in a box of 2,304
boxes = [A, [60, 60, 48, 48]]
seen = {tool: [judge(tool, truth, answers, "segm")[3] for answers in (found, [{**d, "bbox": box} for d, box in zip(found, boxes)])]
        for tool in TOOLS}
expected = dict.fromkeys(TOOLS, [0.5, 1.0])  # APs without and with boxes

for tool, value in seen.items():
    print(f"{tool} {version(tool)}: {value}")
assert seen == expected, f"this has changed; it was {expected}"
P
