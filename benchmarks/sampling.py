"""What copy-paste and repeat factors bring, on shapes: mask AP of a small network, each time from the same seeds.

Copy-paste: few scenes, learnt for many epochs. Repeat factors: scenes of which few show a star; the same number of steps but
for a few that the run without them has more. Other scenes are judged, in which stars are as frequent as other shapes. One
thread. A finished run is kept in the JSON at once, and the same command goes on with those that are missing.

usage: python benchmarks/sampling.py [--seeds N] [--json FILE] [--quick]    13 minutes; --quick: one
"""

import argparse
import io
import json
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo import NETWORK, SIZE, WORLD, read

from simple_maskrcnn import eval_transforms, evaluate, fit, maskrcnn, train_transforms, write_shapes
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.data.augment import CopyPaste
from simple_maskrcnn.data.loader import repeat_factors

RESULTS = Path(__file__).resolve().parent / "results/sampling-cpu.json"
STAR, THRESHOLD = 4, 0.54
VARIANTS = {  # scenes, of which so many show a star (None: as it comes), epochs, probability of copy-paste, threshold
    "few scenes": (100, None, 18, 0.0, None),
    "few scenes, copy-paste 0.5": (100, None, 18, 0.5, None),
    "rare stars": (400, 24, 6, 0.0, None),
    f"rare stars, repeat threshold {THRESHOLD}": (400, 24, 5, 0.0, THRESHOLD),
}


def scenes(data, count, stars):
    """The first scenes of a dataset, or the first with as many that show a star."""
    if stars is None:
        return list(range(count))
    shows = np.array([bool((data._labels[data.own(i)] == STAR).any()) for i in range(len(data))])
    return sorted([*np.flatnonzero(shows)[:stars].tolist(), *np.flatnonzero(~shows)[:count - stars].tolist()])


def run(variant, seed, folder, quick):
    """Train and evaluate once."""
    count, stars, epochs, probability, threshold = VARIANTS[variant]
    data = read(folder, "train", train_transforms(flip=0.5, vertical_flip=0.5, rotate90=True))
    train, start = torch.utils.data.Subset(data, scenes(data, count, stars)), time.process_time()
    shown = len(train) if threshold is None else round(float(repeat_factors(train, threshold).sum()))
    train = CopyPaste(train, probability) if probability else train
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        torch.manual_seed(seed)
        network = maskrcnn(len(data.class_names), **NETWORK)
        made = fit(network, train, epochs=1 if quick else epochs, batch_size=4, lr=1.5e-3, ema=0.99, seed=seed, precision="no",
                   repeat_threshold=threshold, output_dir=scratch)
        found = evaluate(network, read(folder, "val", eval_transforms()), batch_size=8)
    return {"variant": variant, "seed": seed, "scenes": len(train), "shown in an epoch": shown, "steps": made["step"],
            "mask AP": round(found["segm"]["AP"], 4),
            "of class": {name: round(figures["AP"], 4) for name, figures in found["per_class"]["segm"].items()},
            "minutes": round((time.process_time() - start) / 60, 2)}


def show(runs):
    for variant in VARIANTS:
        rows = [row for row in runs if row["variant"] == variant]
        values = np.array([[row["mask AP"], row["of class"]["star"]] for row in rows]).reshape(-1, 2)
        if len(rows):
            (ap, star), spread = values.mean(0), values.std(0, ddof=1) if len(rows) > 1 else [np.nan] * 2
            print(f"{variant:38}{len(rows):3} seeds, {rows[0]['steps']} steps: mask AP {ap:.3f} ± {spread[0]:.3f}, of stars "
                  f"{star:.3f} ± {spread[1]:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one epoch from one seed, to see that it works; nothing is written")
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = json.loads(args.json.read_text())["runs"] if args.json.exists() and not args.quick else []
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_shapes(Path(scratch, "shapes"), 900, 20 if args.quick else 150, size=SIZE, **WORLD)
        for seed in range(1 if args.quick else args.seeds):
            for variant in VARIANTS:
                if not any((row["variant"], row["seed"]) == (variant, seed) for row in runs):
                    runs.append(run(variant, seed, folder, args.quick))
                    print(runs[-1], flush=True)
                    if not args.quick:
                        save_figures(args.json, "python benchmarks/sampling.py", machine() | {"runs": runs})
    show(runs)


if __name__ == "__main__":
    main()
