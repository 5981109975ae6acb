"""A training step of tools/demo.py and of recipes/nuclei.py by this build and by an earlier one, in turns in one run.

Both builds train with `fit`, each with two processes of two pictures; while one makes a few steps, the other waits. A step is
all that a process does for it: to read and change its pictures, both passes, the exchange of gradients, the move of the weights,
the log. Counted are processor seconds of the first process, so that other programs disturb less. Of the first 50 steps the losses
are compared: at the second step only roundings differ; later a rounding decides now and then which boxes are drawn.
"as it comes": in the precision that each build chooses for the machine.

usage: python benchmarks/training.py --before DIR [--data DIR] [--rounds N] [--only ROW ...] [--json FILE]
       --before: a checkout of the earlier build; --data: as of recipes/nuclei.py, without it only the demo is measured
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "tools"), str(ROOT / "recipes")]  # behind PYTHONPATH, which says whose package it is

BLOCK, COMPARED = 5, 50  # steps in a turn; whose losses are compared
PARTS = ("pictures", "forward", "backward", "optimizer")  # of a step, whose processor's milliseconds are counted
PRECISIONS = {"bfloat16": "bf16", "float32": "no", "as it comes": ""}
ROWS = [f"{part}, {precision}" for part in ("demo", "nuclei") for precision in PRECISIONS]


def setting(part: str, data: Path):
    """Dataset, settings of the network and arguments of `fit`, as in the scripts."""
    from simple_maskrcnn import train_transforms

    if part == "demo":
        from demo import NETWORK, read

        train = read(data, "train", train_transforms(flip=0.5, vertical_flip=0.5, rotate90=True))
        return train, NETWORK, {"lr": 1.5e-3, "ema": 0.99, "epochs": 6}
    from nuclei import NETWORK, load, v2

    train = load(data, "train", train_transforms(
        vertical_flip=0.5, rotate90=True, scales=range(320, 761, 20), max_size=4000, crop=256, color=0.8, grey=True, min_area=10,
        extra=[v2.RandomInvert(0.15)]))
    return train, NETWORK, {"lr": 1e-3, "ema": 0.99, "epochs": 60, "optimizer": "adamw"}


def work(part: str, precision: str, data: Path, folder: Path) -> None:
    """Train; the first process makes as many steps as it is told in each line, and prints milliseconds and losses."""
    import torch
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer

    from simple_maskrcnn import CocoDataset, fit, maskrcnn
    from simple_maskrcnn.network.model import GeneralizedRCNN
    from simple_maskrcnn.training.run import Run
    from simple_maskrcnn.training.train import make_accelerator

    advance, done, orders, spent = Run.advance, [], open(folder / "orders"), dict.fromkeys(PARTS, 0.0)
    state = {"wanted": 0, "clocks": None}

    def watch(owner: type, name: str, part: str) -> None:
        method = getattr(owner, name)

        def watched(*given, **options):
            start = time.process_time()
            try:
                return method(*given, **options)
            finally:
                spent[part] += 1000 * (time.process_time() - start)

        setattr(owner, name, watched)

    for owner, name, part in ((CocoDataset, "__getitem__", "pictures"), (GeneralizedRCNN, "forward", "forward"),
                              (Accelerator, "backward", "backward"), (AcceleratedOptimizer, "step", "optimizer")):
        watch(owner, name, part)

    def gated(run: Run, losses: dict) -> None:
        advance(run, losses)
        if int(os.environ["RANK"]):
            return  # it waits for the first one
        if state["clocks"]:  # the first step of all warms up
            passed = [1000 * (now - then) for now, then in zip((time.process_time(), time.perf_counter()), state["clocks"])]
            done.append([*passed, sum(value for name, value in losses.items() if name.startswith("loss")), *spent.values()])
        if len(done) == state["wanted"]:
            print("done", json.dumps(done), flush=True)
            done.clear()
            state["wanted"] = int(orders.readline())
        spent.update(dict.fromkeys(spent, 0.0))
        state["clocks"] = time.process_time(), time.perf_counter()

    Run.advance = gated
    accelerator = make_accelerator(precision or None)
    train, network, options = setting(part, data)
    torch.manual_seed(0)
    model = maskrcnn(len(train.class_names), **network)
    fit(model, train, batch_size=2, output_dir=folder / "run", accelerator=accelerator, **options)


class Training:
    """A training in a build's processes, that goes on when it is told to."""

    def __init__(self, build: Path, row: str, data: Path, folder: Path):
        part, precision = row.split(", ")
        folder.mkdir()
        os.mkfifo(folder / "orders")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, "--part", part]
        environment = os.environ | {"PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}
        self.errors = open(folder / "errors", "w+")
        self.process = subprocess.Popen(
            [*command, "--precision", PRECISIONS[precision], "--data", data, "--folder", folder], env=environment,
            stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.orders = open(folder / "orders", "w")
        self.answer()

    def answer(self) -> list[list[float]]:
        for line in self.process.stdout:
            if line.startswith("done"):
                return json.loads(line[5:])
        self.errors.seek(0)
        raise SystemExit(self.errors.read()[-3000:])

    def steps(self, n: int) -> list[list[float]]:  # of each step: processor's milliseconds, milliseconds, loss, and of each part
        print(n, file=self.orders, flush=True)
        return self.answer()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def race(row: str, builds: list[Path], data: Path, rounds: int, folder: Path) -> dict:
    """The figures of a row; the first round warms up."""
    both = [Training(build, row, data, folder / f"{i}") for i, build in enumerate(builds)]
    turns = [[training.steps(BLOCK) for training in both] for _ in range(rounds + 1)]
    for training in both:
        training.end()
    seconds, wall = ([[statistics.median(step[k] for step in block) for block in turn] for turn in turns[1:]] for k in (0, 1))
    parts = {name: [round(statistics.median(step[k] for turn in turns[1:] for step in turn[i]), 1) for i in (0, 1)]
             for k, name in enumerate(PARTS, 3)}
    losses = [[step[2] for turn in turns for step in turn[i]][:COMPARED] for i in (0, 1)]
    ratios = sorted(before / after for before, after in seconds)
    return {"row": row, "processor_ms": [round(statistics.median(column), 1) for column in zip(*seconds)],
            "ms": [round(statistics.median(column), 1) for column in zip(*wall)],
            "parts": parts, "ratio": round(statistics.median(ratios), 2),
            "quartiles": [round(ratios[len(ratios) * k // 4], 2) for k in (1, 3)],
            "second_loss": [run[0] for run in losses],  # the first step warms up
            "mean_loss": [round(statistics.mean(run), 4) for run in losses],
            "losses": [[round(x, 5) for x in run] for run in losses]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="without it nothing is measured")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=20, help=f"turns of {BLOCK} steps (default: 20; of nuclei a third)")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--json", type=Path, help="gets the figures")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        return work(args.part, args.precision, args.data, args.folder)
    if args.before is None:  # `make bench` calls each script without arguments
        return print("A step before and after needs the earlier build: give --before")
    from demo import SIZE, WORLD

    from simple_maskrcnn import write_shapes
    from simple_maskrcnn.bench import machine, save_figures

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        shapes = write_shapes(Path(folder, "shapes"), 1000, 8, size=SIZE, **WORLD)
        for number, row in enumerate(row for row in args.only if row.startswith("demo") or args.data):
            data = shapes if row.startswith("demo") else args.data.resolve()
            Path(folder, str(number)).mkdir()
            rounds = args.rounds if row.startswith("demo") else args.rounds // 3 + 1
            rows.append(race(row, [args.before.resolve(), ROOT], data, rounds, Path(folder, str(number))))
            print("{row:22} {processor_ms} ms of a processor: {ratio} times as fast {quartiles}; mean loss {mean_loss}"
                  .format(**rows[-1]), flush=True)
            if args.json:
                save_figures(args.json, "python benchmarks/training.py", machine() | {"rounds": args.rounds, "rows": rows})


if __name__ == "__main__":
    main()
