"""How time and memory grow: with the size of a picture, pictures in a batch, objects, classes, and processes.

Each series runs in a process of its own, from small to large. Seconds are the median of the rounds after one that warms up:
of the processor, which other programs disturb less; of `processes`, by the clock. Memory is the most that the process held
during them, above what it held before the series; of `processes`, all that they hold. An exponent is the slope between two
points in a plot of logarithms: 1 is linear growth, 2 is quadratic. Small points are flat, since some work is always done.

usage: python benchmarks/growth.py [--series NAME ...] [--rounds N] [--json FILE]
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from demo import NETWORK
from evaluate import example, megabytes

from simple_maskrcnn import ShapesDataset, maskrcnn
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.data.loader import make_loader
from simple_maskrcnn.evaluation.ap import coco_results
from simple_maskrcnn.network.mask_head import encode_masks

SLIM = NETWORK | {"min_size": 256, "max_size": 256}
LIVELY = {"box_score_thresh": 0.0, "box_nms_thresh": 1.0, "rpn_nms_thresh": 1.0}  # as many objects as asked for


def predict(model, images: list) -> Callable:
    def run():
        with torch.no_grad():
            model.eval().predict(images, paste=False)
    return run


def train(model, images: list, targets: list) -> Callable:
    def run():
        sum(model.train()(images, targets).values()).backward()
        model.zero_grad(set_to_none=True)
    return run


def targets_of(n: int, side: int, classes: int = 5) -> dict:
    """So many ellipses at random places."""
    _, boxes = example(n, (side, side))
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 4).clamp(max=side)
    masks = torch.zeros(n, side, side, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist()):
        mask[y1:y2, x1:x2] = 1
    return {"boxes": boxes, "labels": torch.arange(n) % (classes - 1) + 1, "masks": masks}


def records_of(objects: int, classes: int, pictures: int = 1) -> list[dict]:
    """What is and what was found: the same, moved."""
    records = []
    for i in range(pictures):
        masks, boxes = example(objects, (480, 640), seed=i)
        found = [{"category_id": k % classes + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": rle,
                  "score": 1 - k / objects, "iscrowd": 0, "area": (x2 - x1) * (y2 - y1)}
                 for k, ((x1, y1, x2, y2), rle) in enumerate(zip(boxes.tolist(), encode_masks(masks, boxes, (480, 640))))]
        records.append({"image_id": i, "place": i, "size": (480, 640), "detections": found,
                        "objects": [a | {"segmentation": b["segmentation"]} for a, b in zip(found, found[1:] + found[:1])]})
    return records


def picture() -> Iterator[tuple]:
    """pixels of a picture, 128×128 to 1024×1024; the network of `make demo`"""
    for side in (128, 256, 512, 1024):
        model = maskrcnn(5, **NETWORK | {"min_size": side, "max_size": side})
        image, target = torch.rand(3, side, side), targets_of(5, side)
        yield side**2, "inference", predict(model, [image])
        yield side**2, "training step", train(model, [image], [target])


def batch() -> Iterator[tuple]:
    """pictures at a time, 256×256; the network of `make demo`"""
    for n in (1, 2, 4, 8, 16):
        model, image, target = maskrcnn(5, **SLIM), torch.rand(3, 256, 256), targets_of(5, 256)
        yield n, "inference", predict(model, [image] * n)
        yield n, "training step", train(model, [image] * n, [target] * n)


def objects() -> Iterator[tuple]:
    """objects in a picture of 256×256, four classes; the network of `make demo`"""
    for n in (1, 10, 100, 1000, 3000):
        image, target = torch.rand(3, 256, 256), targets_of(n, 256)
        limits = dict.fromkeys(("box_detections_per_img", "rpn_pre_nms_top_n_test", "rpn_post_nms_top_n_test"), n)
        model = maskrcnn(5, **SLIM | LIVELY | limits)
        yield n, "inference", predict(model, [image])
        yield n, "training step", train(model, [image], [target])
        given = example(n, (480, 640))
        yield n, "masks to run lengths", lambda given=given: encode_masks(*given, (480, 640))
        names, records = {k: str(k) for k in range(1, 5)}, records_of(n, 4)
        yield n, "evaluation", lambda names=names, records=records, n=n: coco_results(records, names, max(11, n))


def classes() -> Iterator[tuple]:
    """classes; the network of `make demo`; evaluation of 50 pictures with 60 objects each"""
    for n in (2, 20, 200, 1200):
        image, target = torch.rand(3, 256, 256), targets_of(20, 256, n)
        model = maskrcnn(n, **SLIM | LIVELY | {"rpn_post_nms_top_n_test": 100})
        yield n, "inference", predict(model, [image])
        yield n, "training step", train(model, [image], [target])
        names, records = {k: str(k) for k in range(1, n + 1)}, records_of(60, n, 50)
        yield n, "evaluation", lambda names=names, records=records: coco_results(records, names)


SERIES = {part.__name__: part for part in (picture, batch, objects, classes)}


def measure(name: str, rounds: int) -> None:
    """Print a line for each point: the number, what, seconds, megabytes."""
    before = megabytes("VmRSS")
    for number, what, run in SERIES[name]():
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        seconds = []
        for _ in range(rounds + 1):
            start = time.process_time()
            run()
            seconds.append(time.process_time() - start)
        print(json.dumps([number, what, statistics.median(seconds[1:]), megabytes("VmHWM") - before]), flush=True)


def measure_processes(rounds: int) -> None:
    """To be started as one of several: steps of four pictures each, all processes together; memory is their sum."""
    torch.manual_seed(0)
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(maskrcnn(5, **NETWORK))
    share = max(1, 4 // accelerator.num_processes)
    data = ShapesDataset(40, 96, seed=accelerator.process_index)
    batches = [*make_loader(data, batch_size=share)]
    start = time.perf_counter()
    for images, targets in batches[: 2 + 5 * rounds]:
        start = time.perf_counter() if images is batches[1][0] else start  # the first one warms up
        accelerator.backward(sum(model(images, targets).values()))
        model.zero_grad(set_to_none=True)
    steps = min(len(batches), 2 + 5 * rounds) - 1
    told = accelerator.gather(torch.tensor([[(time.perf_counter() - start) / steps, megabytes("VmHWM")]]))
    if accelerator.is_main_process:
        print(json.dumps([accelerator.num_processes, "training step", told[:, 0].mean().item(), told[:, 1].sum().item()]))
    accelerator.end_training()


def points_of(name: str, rounds: int) -> list[list]:
    commands = [[sys.executable, __file__]] if name in SERIES else [
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n), __file__] for n in (1, 2, 4)]
    points = []
    for command in commands:
        done = subprocess.run([*command, "--measure", name, "--rounds", str(rounds)], capture_output=True, text=True,
                              env=os.environ | ({"OMP_NUM_THREADS": "1"} if name == "processes" else {}))
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        points += map(json.loads, done.stdout.splitlines())
    return points


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", choices=[*SERIES, "processes"], default=[*SERIES, "processes"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures, the machine and the command to this file")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure_processes(args.rounds) if args.measure == "processes" else measure(args.measure, args.rounds)
    result = {}
    for name in args.series:
        points = points_of(name, args.rounds)
        about = SERIES[name].__doc__ if name in SERIES else "processes; a step of four pictures of 96×96 by all together"
        result[name] = {"about": about, "lines": {}}
        print(f"\n{name}: {about}", flush=True)
        for what in dict.fromkeys(point[1] for point in points):
            line = [[number, round(seconds, 4), round(mb, 1)] for number, w, seconds, mb in points if w == what]
            result[name]["lines"][what] = line
            for before, (number, seconds, mb) in zip([None, *line], line):
                run = before and math.log(number / before[0])
                slopes = "" if not run else f"   exponent {math.log(seconds / before[1]) / run:5.2f}" + (
                    f" {math.log(mb / before[2]) / run:5.2f}" if mb > 0 < before[2] else "")
                print(f"{what:22}{number:>9}{seconds:10.3f} s{mb:9.0f} MB{slopes}", flush=True)
    if args.json:
        save_figures(args.json, "python benchmarks/growth.py", machine() | {"rounds": args.rounds, "series": result})


if __name__ == "__main__":
    main()
