"""What `patience` saves and costs: epochs that a run makes, and the mask AP of the network that it keeps, on drawn shapes.

Patience changes nothing in a run but its end, for the schedule is laid over all epochs. So one whole run a seed tells what each
patience would have done: its AP after every epoch is read, and the rule of `fit` applied. Runs from random weights, and runs that
go on from the network of the first one, with other pictures of the same kind.

usage: python benchmarks/patience.py [--seeds N] [--epochs N] [--json FILE]
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from demo import WORLD

from simple_maskrcnn import ShapesDataset, fit, maskrcnn
from simple_maskrcnn.bench import machine, save_figures

RESULTS = Path(__file__).resolve().parent / "results/patience-cpu.json"
SIZE, TRAIN, VALID = 64, 40, 24
NETWORK = {"backbone": "resnet18", "levels": (2, 3), "anchor_sizes": [[12], [24], [48]], "fpn_channels": 32, "box_channels": 128,
           "mask_channels": 16, "exact_masks": True, "min_size": SIZE, "max_size": SIZE, "rpn_pre_nms_top_n_train": 100,
           "rpn_post_nms_top_n_train": 50, "rpn_pre_nms_top_n_test": 100, "rpn_post_nms_top_n_test": 50,
           "box_batch_size_per_image": 32}


def stopped(curve: list[float], patience: int | None) -> dict:  # AP after each epoch
    """How long a run with this patience is, and the AP of what it keeps, by the rule of `fit`."""
    best, reached = -1.0, 0
    for epoch, ap in enumerate(curve, start=1):
        if ap > best:
            best, reached = ap, epoch
        if patience and best > 0.01 and epoch - reached >= patience:
            break
    return {"epochs": epoch, "AP": round(best, 4)}


def one_run(seed: int, epochs: int, folder: Path, weights: Path | None = None) -> tuple[list[float], float]:
    """AP after each epoch, and CPU seconds."""
    learn = ShapesDataset(TRAIN, SIZE, seed=1000 * (seed + 1) + (weights is not None), **WORLD)
    valid = ShapesDataset(VALID, SIZE, seed=7, **WORLD)
    torch.manual_seed(seed)
    model, start = maskrcnn(5, **({"weights": weights} if weights else NETWORK)), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        fit(model, learn, valid, epochs=epochs, batch_size=4, lr=1e-3, seed=seed, output_dir=folder)
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [r["segm"]["AP"] for r in records if "valid" in r and r["step"]], time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=24, help="default: %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS, help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            before = None
            for name in ("from random weights", "on from there, with other pictures"):
                curve, seconds = one_run(seed, args.epochs, Path(folder, name), before)
                before = Path(folder, name)
                for patience in (None, 2, 4, 8):
                    rows.append({"run": name, "seed": seed, "patience": patience, **stopped(curve, patience)})
                    print(rows[-1], flush=True)
                rows[-1]["curve"], rows[-1]["cpu_seconds"] = [round(ap, 4) for ap in curve], round(seconds, 1)
        settings = {**machine(), "epochs": args.epochs, "pictures": TRAIN, "size": SIZE, "valid": VALID}
        save_figures(args.json, "python benchmarks/patience.py", {**settings, "rows": rows})


if __name__ == "__main__":
    main()
