"""Large pictures in tiles: how many objects come out, their AP, seconds and memory, from 1 to 100 megapixels.

The network is the one that comes along. A world of cells of light on a dark ground is drawn, so that each pixel of the truth
is known, and cells lie under every seam. Each row is measured in a process of its own, on one thread. Memory is the most that
it held, less what it held before, with network and picture loaded and one window predicted. CPU seconds are those of the
process; other work on the machine changes them less than the clock's. A finished row is kept in the JSON at once, and the same
command goes on with those that are missing. "right": objects that one of the detections covers with an IoU above one half.

usage: python benchmarks/tiles.py [--data DIR] [--only TEXT] [--json FILE]

With DIR as of recipes/nuclei.py there is also a mosaic of its pictures.
"""

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torchvision.transforms.v2.functional import to_pil_image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn import CocoDataset, detect, load_model, predict_files
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.evaluation.ap import coco_eval, coco_figures, coco_objects
from simple_maskrcnn.evaluation.tiles import merge, windows

RESULTS = Path(__file__).resolve().parent / "results/tiles-cpu-2-cores.json"
SCENE = 400  # side of the scenes that a mosaic is made of, no multiple of where windows begin


def draw_cells(cells: np.ndarray, size: tuple[int, int], seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Ellipses [N, 5] (x, y, half axes, turn), the first in front: a picture, uint8 [3, H, W], and its label image."""
    rng, numbers, light = np.random.default_rng(seed), np.zeros(size, np.int32), np.full(size, 8, np.float32)
    for number, (x, y, a, b, turn) in enumerate(cells, start=1):
        reach = math.ceil(max(a, b))
        part = tuple(slice(max(0, int(at) - reach), int(at) + reach + 2) for at in (y, x))
        rows, columns = np.indices(numbers[part].shape)
        down, right = rows + part[0].start + 0.5 - y, columns + part[1].start + 0.5 - x
        far = ((right * np.cos(turn) + down * np.sin(turn)) / a) ** 2 + ((down * np.cos(turn) - right * np.sin(turn)) / b) ** 2
        inside = (far <= 1) & (numbers[part] == 0)
        numbers[part][inside], light[part][inside] = number, rng.uniform(70, 140) * (1 - 0.45 * far[inside])
    for row in light:  # a row at a time: noise for the whole picture takes the memory of eight
        row += rng.normal(0, 2, len(row)).astype(np.float32)
    return torch.from_numpy(light.clip(0, 255).astype(np.uint8)).expand(3, -1, -1).contiguous(), numbers


def world(size: tuple[int, int], objects: int) -> tuple[torch.Tensor, np.ndarray]:
    """Cells of 16 to 60 pixels, where chance puts them."""
    rng = np.random.default_rng(objects)
    place = rng.uniform(0, size[::-1], (objects, 2))
    return draw_cells(np.column_stack([place, rng.uniform(8, 30, (objects, 2)), rng.uniform(0, 3, objects)]), size)


def masks_of(numbers: np.ndarray, least: int = 60) -> list[dict]:
    """RLEs of a label image, without objects of fewer pixels."""
    flat = numbers.T.ravel()
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, len(flat))
    starts, order = np.append(0, ends[:-1]), np.argsort(flat[ends - 1], kind="stable")
    runs = np.split(np.stack([starts, ends])[:, order], np.flatnonzero(np.diff(flat[ends - 1][order])) + 1, axis=1)
    counts = [np.diff(r.T.ravel(), prepend=0, append=len(flat)).tolist() for r in runs if flat[r[0, 0]]]
    counts = [c for c in counts if sum(c[1::2]) >= least]
    return [coco_mask.frPyObjects({"size": list(numbers.shape), "counts": c}, *numbers.shape) for c in counts]


def objects_of(masks: list[dict]) -> list[dict]:
    return [{"category_id": 1, "bbox": coco_mask.toBbox(rle).tolist(), "area": float(coco_mask.area(rle)), "iscrowd": 0,
             "segmentation": rle} for rle in masks]


def figures_of(records: list[tuple]) -> dict:  # of each picture truth, and what was found
    """Mask AP of pictures."""
    records = [{"image_id": k, "size": tuple(found.size), "objects": truth, "detections": found.to_coco(k)}
               for k, (truth, found) in enumerate(records)]
    figures = coco_figures(coco_eval("segm", records, {1: "nucleus"}, max_detections=10**5))
    return {"AP": round(figures["AP"], 4), "AP50": round(figures["AP50"], 4)}


def matched(truth: list[dict], found: list[dict]) -> int:
    """How many objects a detection covers with an IoU above one half."""
    if not truth or not found:
        return 0
    return int((np.concatenate([coco_mask.iou(found, truth[k:k + 500], [0] * len(truth[k:k + 500])).max(0)
                                for k in range(0, len(truth), 500)]) > 0.5).sum())


def peak_mb(reset: bool = False) -> float:
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def one_world(height: int, width: int, objects: int, how: str) -> dict:
    """One picture: with tiles, without, or by `predict_files`, which draws it and writes label images."""
    model, (picture, numbers) = load_model("nuclei", "cpu"), world((height, width), objects)
    truth = masks_of(numbers)
    del numbers
    with tempfile.TemporaryDirectory() as folder:
        if how == "predict":
            to_pil_image(picture).save(f"{folder}/one.png")
        detect(model, picture[:, :600, :600])
        if how == "predict":
            picture = picture[:, :1, :1].clone()
        before = peak_mb(reset=True)
        start, cpu = time.perf_counter(), time.process_time()
        if how == "predict":
            done = predict_files(model, f"{folder}/one.png", f"{folder}/found", tiles=True, masks=True, progress=False)
        else:
            found = detect(model, picture, tiles=how == "tiles")
        seconds, cpu, peak = time.perf_counter() - start, time.process_time() - cpu, peak_mb()
        if how == "predict":
            masks = [thing["segmentation"] for thing in json.loads(done["file"].read_text())["annotations"]]
            masks = [rle | {"counts": rle["counts"].encode()} for rle in masks]
        else:
            masks = found["masks"]
    count = 1 if how == "none" else len(windows((height, width), (600, 600)))
    return {"megapixels": height * width / 1e6, "objects": len(truth), "found": len(masks), "right": matched(truth, masks),
            "windows": count, "cpu_seconds": round(cpu, 1), "seconds": round(seconds, 1), "above_model_mb": round(peak - before),
            "picture_mb": round(3 * height * width / 2**20)}


def merge_alone(height: int, width: int, objects: int) -> dict:
    """What merging costs, without a network: detections are the truth, cut by each window."""
    (numbers, places), found = (world((height, width), objects)[1], windows((height, width), (600, 600))), []
    truth = masks_of(numbers, 1)
    for x1, y1, x2, y2 in places:
        here = np.ascontiguousarray(numbers[y1:y2, x1:x2])
        masks = masks_of(here, 1)
        boxes = torch.tensor(np.array([coco_mask.toBbox(rle) for rle in masks]).reshape(-1, 4), dtype=torch.float32)
        boxes[:, 2:] += boxes[:, :2]
        found.append({"boxes": boxes, "labels": torch.ones(len(masks), dtype=torch.int64), "scores": torch.rand(len(masks)),
                      "masks": masks})
    del numbers, here
    before = peak_mb(reset=True)
    start, cpu = time.perf_counter(), time.process_time()
    merged = merge(found, places, (height, width))["masks"]
    seconds, cpu, peak = time.perf_counter() - start, time.process_time() - cpu, peak_mb()
    return {"megapixels": height * width / 1e6, "objects": len(truth), "detections": sum(len(f["masks"]) for f in found),
            "found": len(merged), "right": matched(truth, merged), "windows": len(places), "cpu_seconds": round(cpu, 2),
            "seconds": round(seconds, 2), "above_model_mb": round(peak - before)}


def mosaic(pictures: list[torch.Tensor], truths: list[list[dict]], columns: int, tiles: int | bool, min_size: int) -> dict:
    """AP of pictures one by one, and of all of them as one picture in tiles. Truths are masks; the pictures have one size."""
    model, (h, w) = load_model("nuclei", "cpu", min_size=min_size), pictures[0].shape[-2:]
    size, cpu = (h * (len(pictures) // columns), w * columns), time.process_time()
    parts = [(objects_of(truth), detect(model, picture, 0.05)) for picture, truth in zip(pictures, truths)]
    cpu = time.process_time() - cpu
    rows = [torch.cat(pictures[k:k + columns], -1) for k in range(0, len(pictures), columns)]
    numbers, count = np.zeros(size, np.int32), 0
    for k, truth in enumerate(truths):
        top, left = k // columns * h, k % columns * w
        for rle in truth:
            count += 1
            numbers[top:top + h, left:left + w][coco_mask.decode(rle) > 0] = count
    start = time.process_time()
    whole = detect(model, torch.cat(rows, -2), 0.05, tiles=tiles)
    seconds = time.process_time() - start
    both = {"mosaic": figures_of([(objects_of(masks_of(numbers, 1)), whole)]), "parts": figures_of(parts)}
    return {"megapixels": size[0] * size[1] / 1e6, "objects": count, "cpu_seconds": round(seconds, 1),
            "cpu_seconds_parts": round(cpu, 1), **both}


def cells_mosaic() -> dict:
    """16 scenes of cells"""
    scenes = [world((SCENE, SCENE), 40 + k) for k in range(16)]
    return mosaic([picture for picture, _ in scenes], [masks_of(numbers) for _, numbers in scenes], 4, SCENE, SCENE)


def nuclei_mosaic(data: str) -> dict:
    """25 pictures of nuclei of 256×256 pixels, from several microscopes"""
    dataset = CocoDataset(f"{data}/val", f"{data}/annotations/instances_val.json")
    chosen = [dataset[i] for i, size in enumerate(dataset.image_sizes.tolist()) if size == [256, 256]][:25]
    truths = [[thing["segmentation"] for thing in coco_objects(target, (256, 256))] for _, target in chosen]
    return mosaic([picture for picture, _ in chosen], truths, 5, 256, 600)


WORLDS = {f"{how}, {w}×{h}, {n:,} objects": (h, w, n, how) for h, w, n, how in (
    (1000, 1000, 200, "tiles"), (2000, 2000, 800, "tiles"), (4000, 6000, 5000, "none"), (4000, 6000, 10, "tiles"),
    (4000, 6000, 5000, "tiles"), (4000, 6000, 5000, "predict"), (10_000, 10_000, 5000, "tiles"))}
MERGES = {f"merge alone, {w}×{h}, {n:,} objects": (h, w, n) for h, w in ((1000, 1000), (4000, 6000), (10_000, 10_000))
          for n in (10, 500, 5000) if n < 5000 or w > 1000}


def measure_rows(parser: argparse.ArgumentParser, results: Path, runs_of: Callable) -> dict:  # runs_of: options → row → function
    "The rows that the JSON lacks, each measured in a process of its own, on one thread → row → what is known of it."
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--json", type=Path, default=results, help="default: %(default)s")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = runs_of(args)
    if args.row:
        with contextlib.redirect_stdout(sys.stderr):
            found = runs[args.row]()
        print(json.dumps(found))
        return {}
    rows = {row["row"]: row for row in json.loads(args.json.read_text())["rows"]} if args.json.exists() else {}
    for name in filter(lambda name: args.only in name, runs):
        if name not in rows:
            done = subprocess.run([sys.executable, *sys.argv, "--row", name], stdout=subprocess.PIPE, text=True, check=True,
                                  env=os.environ | {"OMP_NUM_THREADS": "1"})
            rows[name] = {"row": name, **json.loads(done.stdout.splitlines()[-1])}
            kept = sorted(rows.values(), key=lambda row: [*runs, row["row"]].index(row["row"]))
            save_figures(args.json, f"python benchmarks/{Path(sys.argv[0]).name}", machine() | {"rows": kept})
        print(rows[name], flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)

    def runs_of(args):
        nuclei = {"mosaic of 25 pictures of nuclei": partial(nuclei_mosaic, args.data)} if args.data else {}
        return {"mosaic of 16 scenes of cells": cells_mosaic, **nuclei,
                **{name: partial(one_world, *world) for name, world in WORLDS.items()},
                **{name: partial(merge_alone, *world) for name, world in MERGES.items()}}

    measure_rows(parser, RESULTS, runs_of)


if __name__ == "__main__":
    main()
