"""What the recipe of `train` costs on the eighteen pictures of nbs/training/mine, and what the defaults of the library cost.

CPU seconds, on one thread, of a step of two pictures and of one picture in evaluation; then of a whole run on 12 of the pictures,
with 6 to validate, evaluations (once a picture) included. The step is the median after the first. Weights are random.

usage: python benchmarks/recipe.py [--json FILE]
"""

import argparse
import statistics as statistic
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn import CocoDataset, maskrcnn, train_transforms
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.training.optim import make_optimizer
from simple_maskrcnn.training.recipe import OF_NETWORK, recipe, statistics

ROOT = Path(__file__).resolve().parent.parent
RESULTS, MINE = ROOT / "benchmarks/results/recipe-cpu.json", ROOT / "nbs/training/mine"


def measure(items: list, steps: int, **network) -> tuple[list[float], float]:
    """CPU seconds of each step of two pictures, and of one picture in evaluation."""
    torch.manual_seed(0)
    model, seconds = maskrcnn(2, **network), []
    optimizer = make_optimizer(model.train(), "adamw", 1e-4)
    for k in range(steps):
        start = time.process_time()
        images, targets = zip(*(items[(2 * k + j) % len(items)] for j in (0, 1)))
        sum(model(list(images), list(targets)).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(round(time.process_time() - start, 2))
    start = time.process_time()
    with torch.no_grad():
        model.eval()([items[0][0]])
    return seconds, round(time.process_time() - start, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=RESULTS, help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = CocoDataset(MINE, MINE / "annotations.json", train_transforms())
    items, seen, rows = [data[i] for i in range(len(data))], statistics(data), []
    chosen = recipe(seen | {"pictures": 12}, {"device": "cpu", "memory": 0})
    plain = {"epochs": 12, "batch_size": 2, "eval_every": 1}
    small = {"backbone": "resnet18", "min_size": 400, "max_size": 640, "exact_masks": True}
    for name, steps, network, training in (
            ("--no-recipe: the library's defaults", 3, {"exact_masks": True}, plain),
            ("--no-recipe --backbone resnet18 --min-size 400 --max-size 640", 4, small, plain),
            ("the recipe", 4, {key: chosen[key] for key in OF_NETWORK if key in chosen} | {"exact_masks": True}, chosen)):
        step, picture = measure(items, steps, **network)
        count, rounds = 6 * training["epochs"], -(-training["epochs"] // training["eval_every"])
        whole = count * statistic.median(step[1:]) + rounds * 6 * picture
        rows.append({"run": name, "step_cpu_seconds": step, "picture_cpu_seconds": picture, "steps": count,
                     "cpu_minutes": round(whole / 60, 1)})
        print(rows[-1], flush=True)
    save_figures(args.json, "python benchmarks/recipe.py", {**machine(), "rows": rows})


if __name__ == "__main__":
    main()
