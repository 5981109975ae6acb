"""Seconds and memory that people ask for, on this machine: one picture, a training step, the demo's steps, the demo.

Each part runs in a process of its own. Seconds are the median of the rounds after one that warms up; memory is the most
that the whole process held, Python and PyTorch included. Weights are random: they change neither. The demo runs once, and
its memory is that of the larger of its processes.

usage: python benchmarks/laptop.py [--rounds N] [--only PART ...] [--json FILE]
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from demo import NETWORK, SIZE, WORLD

from simple_maskrcnn import ShapesDataset, maskrcnn
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.training.optim import make_optimizer
from simple_maskrcnn.training.run import memory_mb


def one_picture():
    """One picture of 480×640 pixels, ResNet-50 FPN at torchvision's sizes"""
    model, image = maskrcnn(91).eval(), torch.rand(3, 480, 640)
    return lambda: model([image])


def training(model, data, batch: int, steps: int):
    """What makes so many steps."""
    optimizer, item = make_optimizer(model.train(), "adamw", 1e-4), itertools.count()

    def run():
        for _ in range(steps):
            images, targets = zip(*(data[next(item) % len(data)] for _ in range(batch)))
            sum(model(list(images), list(targets)).values()).backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def one_step():
    """One training step, one picture of 480×640 pixels, ResNet-50 FPN at torchvision's sizes"""
    return training(maskrcnn(5), ShapesDataset(n=100, size=(480, 640)), batch=1, steps=1)


def demo_steps():
    """100 training steps of `make demo`, each of four pictures of 96×96 pixels, in one process"""
    return training(maskrcnn(5, **NETWORK), ShapesDataset(n=400, size=SIZE, **WORLD), batch=4, steps=100)


def demo():
    """`make demo`: draw, train, evaluate, predict"""


PARTS = {part.__name__: part for part in (one_picture, one_step, demo_steps, demo)}


def measure_demo() -> None:
    """Print the seconds and the megabytes."""
    import resource

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).resolve().parent.parent / "tools/demo.py"
        subprocess.run([sys.executable, script, "--out", folder], stdout=subprocess.DEVNULL, check=True)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(time.perf_counter() - start, most >> (20 if sys.platform == "darwin" else 10))


def measure(name: str, rounds: int) -> None:
    """Print the seconds of each round, and the megabytes."""
    if name == "demo":
        return measure_demo()
    run, seconds = PARTS[name](), []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        with torch.set_grad_enabled(name != "one_picture"):
            run()
        seconds.append(time.perf_counter() - start)
    print(*seconds[1:], memory_mb(torch.device("cpu")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--json", type=Path, help="gets the figures")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        return measure(args.part, args.rounds)
    rows = []
    for name in args.only:
        part = PARTS[name]
        command = [sys.executable, __file__, "--part", name, "--rounds", str(args.rounds)]
        *seconds, peak = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
        rows.append({"part": part.__doc__, "seconds": [round(s, 3) for s in seconds],
                     "median_seconds": round(statistics.median(seconds), 3), "peak_mb": peak})
        print(f"{part.__doc__}: {rows[-1]['median_seconds']:.2f} s, {peak:,.0f} MB", flush=True)
    if args.json:
        save_figures(args.json, "python benchmarks/laptop.py", machine() | {"rounds": args.rounds, "rows": rows})


if __name__ == "__main__":
    main()
