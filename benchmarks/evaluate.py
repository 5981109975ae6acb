"""Masks, evaluation and prediction at scale, each beside the usual way.

masks     From small masks to RLE, 100 detections in a picture of 3000×2000 pixels: `encode_masks` against
          `paste_masks_in_image`, a threshold, and pycocotools' `encode`. The RLEs must be equal.
backends  `evaluate` end to end, 5,000 pictures with 60 objects each, of 80 classes, a few of them crowds, and detections
          made from the objects: with each backend that is installed. All figures must be equal.
files     Pictures on disk to a file in COCO's format: `predict_files` against torchvision's network with the same weights,
          its paste and pycocotools' `encode`. Numbers of detections must be equal.

The ways take turns in one run, so that whatever else the machine does hits all, and the median of the rounds counts. The
memory of masks is each way's own, in a process of its own: its peak, less what was in use before.

usage: python benchmarks/evaluate.py [masks | backends | files] [--pictures N] [--detections N] [--height H] [--width W]
                                     [--threads N] [--rounds N] [--json FILE]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import paste_masks_in_image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn import CocoDataset, evaluate, predict_files
from simple_maskrcnn.bench import lively_state, machine, networks, save_figures
from simple_maskrcnn.data.images import read_image
from simple_maskrcnn.data.shapes import scene
from simple_maskrcnn.network.mask_head import encode_masks


def example(n: int, size: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Masks like a network's, smooth blobs that fill about half of their boxes, and boxes of 2 to 27 percent of a side."""
    rng = torch.Generator().manual_seed(seed)
    wave = F.interpolate(torch.randn(n, 1, 5, 5, generator=rng), (28, 28), mode="bicubic")[:, 0]
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 28)] * 2, indexing="ij")
    masks = torch.sigmoid(8 * (0.8 - x**2 - y**2 + 0.3 * wave))
    sides = torch.tensor([size[1], size[0]])
    extent = sides * (0.02 + 0.25 * torch.rand(n, 2, generator=rng))
    corner = (sides - extent) * torch.rand(n, 2, generator=rng)
    return masks, torch.cat([corner, corner + extent], 1)


def torchvisions_way(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> list[dict]:
    full = paste_masks_in_image(masks[:, None], boxes, size)
    return [coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in full[:, 0] > 0.5]


WAYS = {"torchvision + pycocotools": torchvisions_way, "encode_masks": encode_masks}


def peak_memory(name: str, n: int, size: tuple[int, int]) -> float | None:
    """Megabytes that one way needs at its peak, above what was in use before; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    command = [sys.executable, __file__, "--memory", name, "--detections", n, "--height", size[0], "--width", size[1]]
    return float(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout)


def megabytes(field: str) -> float:
    """VmRSS, what this process holds, or VmHWM, the most that it has held. (`ru_maxrss` may be the parent's peak.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def measure_memory(name: str, n: int, size: tuple[int, int]) -> float:
    masks, boxes = example(n, size)
    WAYS[name](masks[:1], boxes[:1] / 50, (size[0] // 50, size[1] // 50))  # everything is loaded
    before = megabytes("VmRSS")
    WAYS[name](masks, boxes, size)
    return megabytes("VmHWM") - before


def take_turns(ways: dict[str, Callable], rounds: int, equal: Callable) -> dict:
    """Seconds of each way, round by round, and of the processor, which other programs disturb less; the medians, and the
    ratio of the first to each; `equal` looks at the answers."""
    seconds, processor, answers = {name: [] for name in ways}, {name: [] for name in ways}, {}
    for _ in range(rounds):
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            answers[name] = way()
            seconds[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - busy)
            print(f"{name:30}{seconds[name][-1]:10.3f} s, {processor[name][-1]:.3f} s of the processor", flush=True)
    if not all(equal(next(iter(answers.values())), answer) for answer in answers.values()):
        raise SystemExit("the answers are not equal; a comparison of their speed says nothing")
    median, busy = ({name: statistics.median(values) for name, values in x.items()} for x in (seconds, processor))
    first = next(iter(median))
    return {"seconds": seconds, "median_seconds": median, "processor_seconds": busy,
            "ratio": {name: median[first] / value for name, value in median.items()},
            "range": {name: [pick(a / b for a, b in zip(seconds[first], values)) for pick in (min, max)]
                      for name, values in seconds.items()},
            "ratio_processor": {name: busy[first] / value for name, value in busy.items()}}


def masks(args, size: tuple[int, int], folder: Path) -> dict:
    """encode_masks"""
    given = example(args.detections, size)
    result = take_turns({name: lambda way=way: way(*given, size) for name, way in WAYS.items()}, args.rounds,
                        lambda one, other: one == other)
    rles = encode_masks(*given, size)
    return {"detections": args.detections, **result, "covered": float(np.mean(coco_mask.area(rles)) / (size[0] * size[1])),
            "peak_mb": {name: peak_memory(name, args.detections, size) for name in WAYS}}


# `evaluate`

CLASSES = 80


def write_world(folder: Path, pictures: int, objects: int, size: tuple[int, int]) -> CocoDataset:
    """Pictures of one colour, which tells their number, with ellipses of six classes each as polygons, or as RLE if a crowd."""
    rng, turn = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 24, endpoint=False)
    images, annotations, (height, width) = [], [], size
    for i in range(pictures):
        Image.new("RGB", (width, height), (i // 256, i % 256, 0)).save(folder / f"{i}.png", compress_level=1)
        images.append({"id": i, "file_name": f"{i}.png", "height": height, "width": width})
        half = rng.uniform(8, 60, (objects, 2))
        middle = half + rng.random((objects, 2)) * ([width, height] - 2 * half)
        labels = rng.choice(CLASSES, 6, replace=False)[rng.integers(6, size=objects)] + 1
        points = middle[:, None] + half[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        for number, polygon in enumerate(points.reshape(objects, -1).round(2).tolist()):
            crowd = int(rng.random() < 0.02)
            rle = coco_mask.frPyObjects([polygon], *size)[0]
            annotations.append({
                "id": len(annotations) + 1, "image_id": i, "category_id": int(labels[number]), "iscrowd": crowd,
                "bbox": [*(middle - half)[number].tolist(), *(2 * half)[number].tolist()], "area": float(coco_mask.area(rle)),
                "segmentation": {**rle, "counts": rle["counts"].decode()} if crowd else [polygon]})
    categories = [{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "world.json").write_text(json.dumps(content))
    return CocoDataset(folder, folder / "world.json")


class Finder(nn.Module):
    """Answers as a network does, with small masks: most objects are found, a little aside, some boxes are invented."""

    def __init__(self, dataset: CocoDataset):
        super().__init__()
        self.class_names, self.dataset, self.shape = dataset.class_names, dataset, example(1, (100, 100))[0][0]

    def forward(self, images: list[Tensor]) -> list[dict]:
        answers = []
        for image in images:
            i = int(image[0, 0, 0] * 255 + 0.5) * 256 + int(image[1, 0, 0] * 255 + 0.5)
            own, rng = self.dataset.own(i), torch.Generator().manual_seed(i)
            boxes, labels = (torch.from_numpy(x[own]) for x in (self.dataset._boxes, self.dataset._labels))
            extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
            boxes = boxes + extent * 0.1 * torch.randn(boxes.shape, generator=rng)
            boxes[::6] = boxes[::6].roll(1, 0)  # boxes of other objects: wrong, mostly
            scores = (torch.rand(len(boxes), generator=rng) * 100).round() / 100  # many are equal
            answers.append({"boxes": boxes, "labels": labels, "scores": scores, "masks": self.shape.expand(len(boxes), -1, -1)})
        return answers


def same_figures(one, other) -> bool:
    """Up to the last bits of a sum."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_figures(one[key], other[key]) for key in one)
    return abs(one - other) < 1e-12


def backends(args, size: tuple[int, int], folder: Path) -> dict:
    """evaluate"""
    start = time.perf_counter()
    dataset = write_world(folder, args.pictures, args.objects, size)
    print(f"{args.pictures} pictures written and opened in {time.perf_counter() - start:.0f} s")
    finder = Finder(dataset)
    ways = {name: lambda name=name: evaluate(finder, dataset, backend=name, progress=False) for name in args.backends}
    result = take_turns(ways, args.rounds, same_figures)
    return {"pictures": args.pictures, "objects": args.objects, "classes": CLASSES} | result


# `predict_files`


def files(args, size: tuple[int, int], folder: Path) -> dict:
    """predict_files"""
    image, _ = scene(size)
    state, device = lively_state(image), torch.device("cpu")
    both = networks(state, device)
    for i in range(args.pictures):
        noisy = (image + 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(i))).clamp(0, 1)
        Image.fromarray((noisy * 255).byte().permute(1, 2, 0).numpy()).save(folder / f"{i}.jpg", quality=95)
    names = sorted(folder.glob("*.jpg"))

    @torch.no_grad()
    def theirs():
        things = []
        for number, name in enumerate(names):
            (found,) = both["torchvision"].eval()([read_image(name) / 255])
            rles = [coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in found["masks"][:, 0] > 0.5]
            things += [{"image_id": number, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score,
                        "segmentation": {**rle, "counts": rle["counts"].decode()}} for label, (x1, y1, x2, y2), score, rle in
                       zip(found["labels"].tolist(), found["boxes"].tolist(), found["scores"].tolist(), rles)]
        (folder / "theirs.json").write_text(json.dumps(things))
        return len(things)

    def ours():
        done = predict_files(both["ours"].eval(), names, folder / "ours", score_threshold=0, overlays=False, resume=False,
                             progress=False)
        return done["objects"]

    ways = {"torchvision + pycocotools": theirs, "predict_files": ours}
    result = take_turns(ways, args.rounds, lambda one, other: abs(one - other) <= 0.01 * one)
    return {"pictures": args.pictures, "detections": len(json.loads((folder / "theirs.json").read_text()))} | result


PARTS = {part.__name__: part for part in (masks, backends, files)}
USUAL = {"masks": (2000, 3000, 1), "backends": (480, 640, 5000), "files": (480, 640, 10)}  # height, width, pictures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS, default="masks")
    parser.add_argument("--pictures", type=int)
    parser.add_argument("--objects", type=int, default=60, help="in each picture, for `backends`")
    parser.add_argument("--backends", nargs="+", default=["pycocotools", "faster_coco_eval"])
    parser.add_argument("--detections", type=int, default=100, help="masks in the picture, for `masks`")
    parser.add_argument("--height", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--threads", type=int, help="for PyTorch; default: its own choice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures, the machine and the command to this file")
    parser.add_argument("--before", type=Path, help="JSON of the same part by an earlier build on this machine, to stand beside")
    parser.add_argument("--memory", choices=list(WAYS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    height, width, pictures = USUAL[args.part]
    size, args.pictures = (args.height or height, args.width or width), args.pictures or pictures
    if args.memory:
        print(measure_memory(args.memory, args.detections, size))
        return
    info = machine()
    print(f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads; torch {info['torch']}, "
          f"torchvision {info['torchvision']}")
    with tempfile.TemporaryDirectory() as folder:
        result = {"height": size[0], "width": size[1]} | PARTS[args.part](args, size, Path(folder))
    print(f"\n{args.part}, pictures of {size[1]}×{size[0]}: equal answers")
    print(f"{'':30}{'seconds':>10}{'ratio':>8}{'of processor':>15}   range")
    for name, seconds in result["median_seconds"].items():
        ratio, busy, (least, most) = (result[key][name] for key in ("ratio", "ratio_processor", "range"))
        print(f"{name:30}{seconds:10.3f}{ratio:8.2f}{busy:15.2f}   {least:.2f} to {most:.2f}")
    if peaks := result.get("peak_mb"):
        print("peak MB: " + ", ".join(f"{name} {'?' if peak is None else f'{peak:.0f}'}" for name, peak in peaks.items()))
    if args.before:
        before = json.loads(args.before.read_text(encoding="utf-8"))
        result["before"] = {key: before[key] for key in ("pictures", "median_seconds", "processor_seconds")}
    if args.json:
        save_figures(args.json, "python benchmarks/evaluate.py", info | result)


if __name__ == "__main__":
    main()
