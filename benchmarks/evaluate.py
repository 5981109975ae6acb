"""From small masks to RLE, 100 detections in a picture of 3000×2000 pixels: `encode_masks` against torchvision's way.

torchvision's way is `paste_masks_in_image`, a threshold, and pycocotools' `encode`. Both start from the same masks of
28×28 and the same boxes, and their RLEs must be equal. The two take turns in one run, so that whatever else the machine
does hits both, and the median of the rounds counts. The memory is each way's own, in a process of its own: its peak,
less what was in use before.

usage: python benchmarks/evaluate.py [--detections N] [--height H] [--width W] [--threads N] [--rounds N] [--json FILE]
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn.bench import machine, save_figures
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


def measure(n: int, size: tuple[int, int], rounds: int) -> dict:
    masks, boxes = example(n, size)
    times, rles = {name: [] for name in WAYS}, {}
    for _ in range(rounds):
        for name, way in WAYS.items():
            start = time.perf_counter()
            rles[name] = way(masks, boxes, size)
            times[name].append(1000 * (time.perf_counter() - start))
    first, second = rles.values()
    equal = sum(a == b for a, b in zip(first, second, strict=True))
    if equal < n:
        raise SystemExit(f"only {equal} of {n} masks are equal; a comparison of their speed says nothing")
    median = {name: statistics.median(values) for name, values in times.items()}
    return {"detections": n, "height": size[0], "width": size[1], "equal_masks": equal,
            "covered": float(np.mean(coco_mask.area(first)) / (size[0] * size[1])), "ms": times, "median_ms": median,
            "ratio": median["torchvision + pycocotools"] / median["encode_masks"],
            "peak_mb": {name: peak_memory(name, n, size) for name in WAYS}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--height", type=int, default=2000)
    parser.add_argument("--width", type=int, default=3000)
    parser.add_argument("--threads", type=int, help="for PyTorch; default: its own choice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures, the machine and the command to this file")
    parser.add_argument("--memory", choices=list(WAYS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    size = (args.height, args.width)
    if args.memory:
        print(measure_memory(args.memory, args.detections, size))
        return
    result, info = measure(args.detections, size, args.rounds), machine()
    print(f"{args.detections} masks of 28×28 to RLE in a picture of {args.width}×{args.height}: "
          f"{result['equal_masks']} equal from both")
    print(f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads; torch {info['torch']}, "
          f"torchvision {info['torchvision']}")
    print(f"{'':26}{'ms':>8}{'ratio':>8}{'peak MB':>10}")
    for name, ms in result["median_ms"].items():
        peak = result["peak_mb"][name]
        ratio = result["median_ms"]["torchvision + pycocotools"] / ms
        print(f"{name:26}{ms:8.0f}{ratio:8.1f}{'?' if peak is None else f'{peak:.0f}':>10}")
    if args.json:
        save_figures(args.json, "python benchmarks/evaluate.py", info | result)


if __name__ == "__main__":
    main()
