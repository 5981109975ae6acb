"""Steps of tools/demo.py and of recipes/nuclei.py by this build and by an earlier one, in turns in one run.

Each turn is a whole call of `fit` with two processes and two pictures each, from the same weights on the same pictures. Its
speed is the median over its steps, without the first ten. The losses of the first 50 steps stand beside each other: at first only
roundings differ; later a rounding decides now and then which boxes are drawn.

Then one step of each build is taken apart by PyTorch's profiler: forward, backward and the move of the weights for two
pictures, on one thread. And steps of this build take turns with steps whose backbone and pyramid `torch.compile` has made.

usage: python benchmarks/training.py --before DIR [--data DIR] [--rounds N] [--json FILE]
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
from operator import itemgetter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT), str(ROOT / "tools"), str(ROOT / "recipes")]  # behind PYTHONPATH, which says whose package it is

WARM, COMPARED = 10, 50  # steps that are not timed; whose losses are compared
STEPS = {"demo": 80, "nuclei": 30}
APART = 20  # steps that the profiler sees
KINDS = {"convolutions and their gradients": {"aten::mkldnn_convolution", "aten::convolution_backward", "aten::_convolution",
                                              "aten::_slow_conv2d_forward", "aten::_slow_conv2d_backward"},
         "matrix products": {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise"},
         "copies": {"aten::copy_"}}


def prepare(part: str, data: Path) -> tuple:  # the pictures, the network with its first weights, the learning rate
    import torch

    from simple_maskrcnn import maskrcnn, train_transforms

    if part == "demo":
        from demo import NETWORK, read

        train, lr = read(data, "train", train_transforms(flip=0.5, vertical_flip=0.5, rotate90=True)), 1.5e-3
    else:
        from nuclei import NETWORK, load

        train, lr = load(data, "train", train_transforms(vertical_flip=0.5, rotate90=True, crop=256, min_area=10)), 1e-3
    torch.manual_seed(0)
    return train, maskrcnn(len(train.class_names), **NETWORK), lr


def work(part: str, precision: str, data: Path, folder: Path) -> None:
    """A process of one turn."""
    from torch.utils.data import Subset

    from simple_maskrcnn import fit
    from simple_maskrcnn.training.train import make_accelerator

    accelerator, (train, model, lr) = make_accelerator(precision), prepare(part, data)
    fit(model, Subset(train, range(4 * STEPS[part])), epochs=1, batch_size=2, lr=lr, optimizer="adamw", ema=0.99, log_every=1,
        output_dir=folder, accelerator=accelerator)
    accelerator.end_training()


def stepper(part: str, precision: str, data: Path, compiled: bool = False):  # → a function: some steps of two pictures
    import torch

    train, model, lr = prepare(part, data)
    optimizer, items = torch.optim.AdamW(model.train().parameters(), lr, fused=True), [train[i] for i in range(2 * APART)]
    if compiled:
        model.backbone.compile(dynamic=False)

    def steps():
        for pair in zip(items[::2], items[1::2]):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                losses = model(*map(list, zip(*pair)))
            sum(losses.values()).backward()
            optimizer.step()
            optimizer.zero_grad()

    return steps


def take_apart(part: str, precision: str, data: Path) -> None:
    """Print how many operations a step runs, and the milliseconds of each kind."""
    from torch.profiler import profile

    (steps := stepper(part, precision, data))()
    with profile() as seen:
        steps()
    total, count = dict.fromkeys([*KINDS, "all others"], 0.0), 0
    for event in seen.key_averages():
        kind = next((kind for kind, words in KINDS.items() if event.key in words), "all others")
        total[kind] += event.self_cpu_time_total / 1000 / APART
        count += event.count * event.key.startswith("aten::")
    print(json.dumps({"operations": round(count / APART), **{kind: round(ms, 1) for kind, ms in total.items()}}))


def compile_it(part: str, precision: str, data: Path) -> None:
    """Print the seconds that compiling takes, and how many times as fast the steps are then."""
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # what an earlier run has compiled does not count

    def seconds(steps):
        start = time.perf_counter()
        steps()
        return time.perf_counter() - start

    ways = [stepper(part, precision, data, compiled) for compiled in (False, True)]
    first = [seconds(steps) for steps in ways]  # with all that is done once, for each size of the pictures
    turns = [[seconds(steps) for steps in ways] for _ in range(5)]
    ratios = sorted(usual / compiled for usual, compiled in turns)
    print(json.dumps({"compiling_s": round(first[1] - turns[0][1], 1), "ratio": round(ratios[2], 2),
                      "range": [round(ratios[0], 2), round(ratios[-1], 2)]}))


def run(build: Path, *command) -> str:  # what a process prints that imports this build
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return done.stdout


def turn(build: Path, part: str, precision: str, data: Path) -> tuple[float, list[float]]:  # steps a second; losses
    with tempfile.TemporaryDirectory() as folder:
        run(build, sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, "--part", part,
            "--precision", precision, "--data", data, "--folder", folder)
        records = [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]
    records = [record for record in records if "images_per_s" in record]
    return (statistics.median(record["images_per_s"] for record in records[WARM:]) / 4,
            [round(record["loss"], 4) for record in records[:COMPARED]])


def race(part: str, precision: str, builds: dict[str, Path], data: Path, rounds: int) -> dict:
    """The figures of a row."""
    turns = [{name: turn(build, part, precision, data) for name, build in builds.items()} for _ in range(rounds)]
    ratios = sorted(one["now"][0] / one["before"][0] for one in turns)
    return {"row": f"{part}, {precision}", "steps_per_s": {name: round(statistics.median(one[name][0] for one in turns), 2)
                                                           for name in builds},
            "ratio": round(statistics.median(ratios), 2), "range": [round(ratios[0], 2), round(ratios[-1], 2)],
            "losses": {name: turns[0][name][1] for name in builds},
            "step": {name: json.loads(run(build, sys.executable, __file__, "--part", part, "--precision", precision, "--data",
                                          data).splitlines()[-1]) for name, build in builds.items()},
            "compiled": json.loads(run(ROOT, sys.executable, __file__, "--part", part, "--precision", precision, "--data", data,
                                       "--compiled", 1).splitlines()[-1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    for hidden in ("--part", "--precision", "--folder", "--compiled"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        given = args.part, args.precision, args.data
        return work(*given, args.folder) if args.folder else (compile_it if args.compiled else take_apart)(*given)
    if not args.before:
        parser.error("give --before, a checkout of the earlier build")
    from demo import SIZE, WORLD

    from simple_maskrcnn import write_shapes
    from simple_maskrcnn.bench import machine, save_figures

    builds, rows = {"before": args.before.resolve(), "now": ROOT}, []
    with tempfile.TemporaryDirectory() as folder:
        parts = {"demo": write_shapes(folder, 4 * STEPS["demo"], 8, size=SIZE, **WORLD), "nuclei": args.data}
        for part, data in filter(itemgetter(1), parts.items()):
            for precision in ("no", "bf16"):
                rows.append(race(part, precision, builds, Path(data).resolve(), args.rounds))
                print("{row:14} {steps_per_s} steps a second, ratio {ratio}, from {range}".format(**rows[-1]), flush=True)
                if args.json:
                    save_figures(args.json, "python benchmarks/training.py", machine() | {"rounds": args.rounds, "rows": rows})


if __name__ == "__main__":
    main()
