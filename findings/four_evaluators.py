"""What the scripts `eval_*.sh` share: small COCO files, and four evaluators that are asked the same."""

import contextlib
import importlib
import io
import json
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
            run.evaluate()
            run.accumulate()
            run.summarize()
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


def report(seen, expected):
    """Print what each says, with its version, and stop with an error if that has changed."""
    for tool, value in seen.items():
        print(f"{tool} {version(tool)}: {value}")
    assert seen == expected, f"this has changed; it was {expected}"
