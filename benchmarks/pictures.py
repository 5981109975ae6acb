"""How AP grows with the number of annotated pictures: 4, 8, 16, 32 and 64 of the nuclei, each time the same steps from scratch.

The network is that of recipes/nuclei.py at half the size of pictures and half the width, so that a run takes about a minute on
one core. The pictures are the first of `train` in one random order, so that each set holds those before it; AP is that of all
pictures of `val`. A finished run is kept in the JSON at once, and the same command goes on with those that are missing.

usage: python benchmarks/pictures.py --data DIR [--json FILE]    DIR as of recipes/nuclei.py
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import Subset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "recipes"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nuclei import NETWORK, load

from simple_maskrcnn import eval_transforms, evaluate, fit, maskrcnn, train_transforms
from simple_maskrcnn.bench import machine, save_figures

RESULTS = Path(__file__).resolve().parent / "results/pictures-cpu.json"
NUMBERS = (4, 8, 16, 32, 64)
SMALL = {"min_size": 300, "max_size": 700, "anchor_sizes": [[5, 7], [11, 15], [22, 30], [45, 64]], "fpn_channels": 48,
         "box_channels": 128, "mask_channels": 32}
RUN = {"batch_size": 4, "lr": 2e-3, "optimizer": "adamw", "ema": 0.97}
STEPS, WINDOW = 150, 128


def learn(data: Path, order: list[int], n: int) -> dict:
    """The figures of a network that has learned from the first `n` pictures of `order`, and its seconds."""
    augment = train_transforms(vertical_flip=0.5, rotate90=True, scales=range(160, 381, 10), max_size=4000, crop=WINDOW,
                               color=0.8, grey=True, min_area=5)
    train = load(data, "train", augment)
    torch.manual_seed(0)
    model = maskrcnn(len(train.class_names), **NETWORK | SMALL)
    chosen, start = (order[:n] * (STEPS * RUN["batch_size"] // n + 1))[:STEPS * RUN["batch_size"]], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        fit(model, Subset(train, chosen), epochs=1, output_dir=folder, **RUN)
    seconds = time.perf_counter() - start
    results = evaluate(model, load(data, "val", eval_transforms()), max_detections=400)
    objects = int(train.annotation_counts[order[:n]].sum())
    return {"pictures": n, "objects": objects, "seconds": seconds, "bbox": results["bbox"], "segm": results["segm"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with train/, val/ and annotations/; without it nothing is measured")
    parser.add_argument("--json", type=Path, default=RESULTS, help="default: %(default)s")
    args = parser.parse_args()
    if args.data is None:  # `make bench` calls each script without arguments
        return print("AP by the number of pictures needs the nuclei: give --data")
    torch.set_num_threads(1)
    order = torch.randperm(len(load(args.data, "train", None)), generator=torch.Generator().manual_seed(0)).tolist()
    settings = {"steps": STEPS, "window": WINDOW, **RUN, **machine()}
    runs = json.loads(args.json.read_text())["runs"] if args.json.exists() else []
    for n in NUMBERS:
        if n not in {run["pictures"] for run in runs}:
            runs = sorted([*runs, learn(args.data, order, n)], key=lambda run: run["pictures"])
            save_figures(args.json, "python benchmarks/pictures.py", {**settings, "runs": runs})
        print(f"{n} pictures: mask AP {next(run['segm']['AP'] for run in runs if run['pictures'] == n):.3f}", flush=True)


if __name__ == "__main__":
    main()
