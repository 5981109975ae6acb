"""What the stored score thresholds are worth: F1 of masks at IoU 0.5 with 0.5 for every class, and with the threshold of each
class that is best on the other half of the validation images.

Each half gives the thresholds for the other one, so that none is judged by images it was found on.

usage: python benchmarks/thresholds.py --images DIR --annotations FILE [--model nuclei] [--max-detections 400] [--json FILE]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn import CocoDataset, eval_transforms, evaluate, load_model
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.evaluation.ap import ON_CROWD, best_score, match_detections

RESULTS = Path(__file__).resolve().parent / "results/thresholds-cpu.json"


def matches(truth: COCO, found: list[dict], category: int, images: list[int]) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores, best first; which are right; and how many objects there are: of one class in some images."""
    scores, right, objects = [], [], 0
    for image in images:
        things = truth.loadAnns(truth.getAnnIds(imgIds=[image], catIds=[category]))
        crowd = [thing["iscrowd"] for thing in things]
        here = sorted((d for d in found if (d["image_id"], d["category_id"]) == (image, category)), key=lambda d: -d["score"])
        overlap = coco_mask.iou([d["segmentation"] for d in here], [truth.annToRLE(thing) for thing in things], crowd)
        matched = match_detections(np.reshape(overlap, (len(here), len(things))), crowd)
        scores += [d["score"] for d, m in zip(here, matched) if m != ON_CROWD]
        right += [m >= 0 for m in matched if m != ON_CROWD]
        objects += crowd.count(0)
    order = np.argsort(-np.array(scores), kind="stable")
    return np.array(scores)[order], np.array(right, bool)[order], objects


def f1(scores: np.ndarray, right: np.ndarray, objects: int, threshold: float) -> float:
    kept = scores >= threshold
    return float(2 * right[kept].sum() / (kept.sum() + objects))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="without them nothing is measured")
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--model", default="nuclei", help="default: %(default)s")
    parser.add_argument("--max-detections", type=int, default=400, help="default: %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS, help="default: %(default)s")
    args = parser.parse_args()
    if args.images is None:  # `make bench` calls each script without arguments
        return print("What score thresholds are worth needs a dataset: give --images and --annotations")
    data = CocoDataset(args.images, args.annotations, transforms=eval_transforms())
    with tempfile.TemporaryDirectory() as folder:
        evaluate(load_model(args.model), data, max_detections=args.max_detections, output_dir=folder)
        found = json.loads(Path(folder, "results_segm.json").read_text())
    truth, figures = COCO(args.annotations), {}
    halves = data.image_ids[0::2].tolist(), data.image_ids[1::2].tolist()
    for category, name in zip(data.label_of, data.class_names[1:]):
        sides = [matches(truth, found, category, half) for half in halves]
        best = [best_score(*side) for side in sides]
        rows = [{"threshold": other, "objects": side[2], "F1 at 0.5": f1(*side, 0.5), "F1": f1(*side, other)}
                for side, other in zip(sides, best[::-1])]
        figures[name] = rows
        print(name, rows)
    settings = {**machine(), "model": args.model, "images": len(data)}
    save_figures(args.json, "python benchmarks/thresholds.py", {**settings, "classes": figures})


if __name__ == "__main__":
    main()
