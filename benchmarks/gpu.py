"""All that is measured on a GPU, one part after the other; each is kept in a JSON of its own as soon as it is done.

race      `simple-maskrcnn bench`, one picture and eight: inference and training beside torchvision, with graphs and without,
          and how often Python waits.
nuclei    recipes/nuclei.py --wide: minutes, and AP of its network in float32 and bfloat16, with graphs and without.

usage: python benchmarks/gpu.py [--data DIR] [--epochs N] [--out DIR]      DIR as of recipes/nuclei.py; without it no nuclei
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "recipes"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nuclei import load

from simple_maskrcnn import eval_transforms, evaluate, load_model
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.network.graphs import with_graphs

ROOT = Path(__file__).resolve().parent.parent


def run(*words) -> None:
    print("$", *words, flush=True)
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=ROOT)


def ap(folder: Path, data: Path, graphs: bool, bf16: bool) -> dict:
    """Box and mask AP of a run, and the seconds of the evaluation."""
    model, start = load_model(folder), time.perf_counter()
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
        results = evaluate(with_graphs(model) if graphs else model, load(data, "val", eval_transforms()), max_detections=400)
    return {"graphs": graphs, "precision": "bf16" if bf16 else "fp32", "seconds": round(time.perf_counter() - start, 1),
            **{kind: round(results[kind]["AP"], 4) for kind in ("bbox", "segm")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", help="default: %(default)s")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("PyTorch sees no CUDA device here")
    out = args.out.resolve()
    name = "-".join(torch.cuda.get_device_name().lower().split()[:2])
    for size, rounds in ((1, 8), (8, 4)):
        end = f"-batch-{size}" * (size > 1)
        run("-m", "simple_maskrcnn.cli", "bench", "--rounds", rounds, "--batch-size", size, "--json",
            out / f"model-{name}{end}.json")
    if args.data:
        data, folder, start = args.data.resolve(), ROOT / "runs/nuclei-gpu", time.perf_counter()
        run("recipes/nuclei.py", "--data", data, "--wide", "--epochs", args.epochs, "--batch-size", 16, "--out", folder)
        minutes = round((time.perf_counter() - start) / 60, 1)
        ap(folder, data, False, False)  # warms up
        rows = [ap(folder, data, graphs, bf16) for bf16 in (False, True) for graphs in (False, True)]
        save_figures(out / f"ap-{name}.json", "python benchmarks/gpu.py",
                     machine() | {"epochs": args.epochs, "minutes_in_all": minutes, "rows": rows})
        for row in rows:
            print(row)


if __name__ == "__main__":
    main()
