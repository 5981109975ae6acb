"""The network of nuclei as ONNX files, fp32, fp16 and int8, beside PyTorch: size, speed, AP, and how they differ.

    python benchmarks/export.py --data DIR [--pictures 50] [--threads 1] [--files DIR] [--json FILE]

DIR is as of recipes/nuclei.py. int8 is calibrated with 16 pictures of train; all is measured on the first pictures of
val. Seconds are those of the process, which other work on the machine changes less than the clock's: of one picture, all
engines in turn, the median of the rounds, after one that is not counted. OpenVINO reads the fp32 file, where it is
installed.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Subset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn import CocoDataset, evaluate, load_model
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.inference.export import PRECISIONS, OnnxNetwork, to_onnx

RESULTS = Path(__file__).resolve().parent / "results/export-cpu-2-cores.json"


class OpenVinoSession:
    """As onnxruntime's session, as far as `OnnxNetwork` asks it."""

    def __init__(self, path: Path, threads: int):
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        self.model = openvino.Core().compile_model(path, "CPU", settings)

    def run(self, names, inputs):
        found = self.model(inputs)
        return [np.array(found[name]) for name in names]


def same(found: list[dict], wanted: list[dict]) -> dict:
    """How two networks differ, of pictures in which they find as many objects; and in how many they do not."""
    pairs = [(f, w) for f, w in zip(found, wanted) if len(f["boxes"]) == len(w["boxes"])]
    orders = [torch.cdist(f["boxes"], w["boxes"]).argmin(1) for f, w in pairs]  # of nearly equal scores any is first
    pairs = [(f, {key: w[key][order] for key in w}) for (f, w), order in zip(pairs, orders) if len(order)]
    worst = {key: max(float((f[key].float() - w[key].float()).abs().max()) for f, w in pairs)
             for key in ("boxes", "scores", "masks")} if pairs else {}
    return {"other_count": sum(len(f["boxes"]) != len(w["boxes"]) for f, w in zip(found, wanted)),
            "differ_by": {key: round(value, 6) for key, value in worst.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=50, help="of val (default: %(default)s)")
    parser.add_argument("--files", type=Path, help="a folder that keeps fp32.onnx …; those that are there are not made again")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=RESULTS, help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    train, val = (CocoDataset(args.data / part, args.data / f"annotations/instances_{part}.json") for part in ("train", "val"))
    counted = min(args.pictures, len(val))
    versions = {name: version(name) for name in ("onnx", "onnxruntime", "openvino") if find_spec(name)}
    model, rows = load_model("nuclei", "cpu"), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.files or scratch
        engines = {"PyTorch": model}
        for precision in PRECISIONS:
            path = Path(folder, f"{precision}.onnx")
            if not path.exists():
                to_onnx(model, path, precision, [train[i][0] for i in range(0, len(train), len(train) // 16)][:16])
            engines[f"onnxruntime {precision}"] = OnnxNetwork(path)
            rows.append({"engine": f"onnxruntime {precision}", "megabytes": round(path.stat().st_size / 1e6, 1)})
        if find_spec("openvino"):
            engines["OpenVINO fp32"] = OnnxNetwork(Path(folder, "fp32.onnx"))
            engines["OpenVINO fp32"].session = OpenVinoSession(Path(folder, "fp32.onnx"), args.threads)
        rows = [{"engine": name} | next((row for row in rows if row["engine"] == name), {}) for name in engines]
        picture = next(val[i][0] for i in range(len(val)) if val[i][0].shape[-1] == 256)
        taken = {name: [] for name in engines}
        with torch.no_grad():
            for turn in range(args.rounds + 1):  # the first is not counted
                for name, engine in engines.items():
                    start = time.process_time()
                    engine.predict([picture], paste=False)
                    taken[name] += [time.process_time() - start] * (turn > 0)
            wanted = [model.predict([val[i][0]], paste=False)[0] for i in range(min(5, len(val)))]
        for row, (name, engine) in zip(rows, engines.items()):
            row["seconds"], row["of"] = round(statistics.median(taken[name]), 3), f"{picture.shape[-1]}×{picture.shape[-2]}"
            row["times_as_fast"] = round(statistics.median(taken["PyTorch"]) / statistics.median(taken[name]), 2)
            with torch.no_grad():
                row |= same([engine.predict([val[i][0]], paste=False)[0] for i in range(len(wanted))], wanted)
            found = evaluate(engine, Subset(val, range(counted)), max_detections=400, progress=False)
            row["AP"] = {kind: round(found[kind]["AP"], 4) for kind in ("bbox", "segm")}
            print(json.dumps(row, ensure_ascii=False), flush=True)
            figures = machine() | {"threads": args.threads, "pictures": counted, **versions, "rows": rows}
            save_figures(args.json, "python benchmarks/export.py", figures)


if __name__ == "__main__":
    main()
