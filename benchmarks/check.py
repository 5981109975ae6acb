"""Minutes that `check` takes for 20,000 pictures: the first time, again when nothing has changed, and with a page and a copy.

Each picture is another JPEG of 480×640 pixels with seven objects of COCO's kind: polygons of some twenty points, and one
mask in runs. One in a thousand has a fault, so that there is something to tell. Each look is a process of its own,
started as a user starts it; beside the seconds that passed stand those that the processor was busy with it (threads
together), which other programs on the machine disturb less, and the machine's load.

usage: python benchmarks/check.py [--images N] [--keep DIR] [--json FILE]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

sys.path.insert(0, str(ROOT := Path(__file__).resolve().parent.parent))

from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.data.coco import mask_record
from simple_maskrcnn.data.records import to_rle

SIZE = 480, 640  # height, width


def outline(rng: np.random.Generator) -> list[float]:
    """A polygon of about twenty points around a place that is drawn."""
    n, side = int(rng.integers(12, 32)), float(np.exp(rng.uniform(np.log(8), np.log(110))))
    angle, radius = np.sort(rng.uniform(0, 2 * np.pi, n)), side * rng.uniform(0.6, 1, n)
    centre = rng.uniform((side, side), (SIZE[1] - side, SIZE[0] - side))
    return (centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)).round(2).ravel().tolist()


def write(folder: Path, n: int, seed: int = 0) -> None:
    """The pictures in `train/`, and `train.json`."""
    rng, images, annotations = np.random.default_rng(seed), [], []
    (folder / "train").mkdir(parents=True)
    ground = np.kron(rng.integers(0, 256, (30, 40, 3)), np.ones((16, 16, 1))) * 0.8 + rng.normal(25, 12, (*SIZE, 3))
    ground = ground.clip(0, 255).astype(np.uint8)
    for k in range(n):
        Image.fromarray(np.roll(ground, rng.integers(0, SIZE), (0, 1))).save(buffer := BytesIO(), "JPEG", quality=85)
        content = buffer.getvalue()
        (folder / "train" / f"{k:06d}.jpg").write_bytes(content[: len(content) // 2] if k % 1000 == 500 else content)
        images.append({"id": k, "file_name": f"{k:06d}.jpg", "height": SIZE[0], "width": SIZE[1]})
        for j in range(7):
            polygon = outline(rng)
            x, y = np.float64(polygon[0::2]), np.float64(polygon[1::2])
            record = {"segmentation": [polygon], "area": float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2),
                      "bbox": [x.min(), y.min(), np.ptp(x), np.ptp(y)]}
            if j == 6:
                record = mask_record(coco_mask.decode(to_rle([polygon], SIZE)))
            annotations.append({"id": len(annotations) + 1, "image_id": k, "category_id": 1 + j % 5, "iscrowd": 0, **record})
    categories = [{"id": c, "name": f"class {c}"} for c in range(1, 7)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))


def measure(folder: Path, *words: str | Path) -> dict:
    """Seconds of one `check`, from the start of its process to its end."""
    command = [sys.executable, "-m", "simple_maskrcnn.cli", "check", "--images", folder / "train", "--annotations",
               folder / "train.json", *words]
    before, start, load = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), os.getloadavg()[0]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 1), done.stderr  # 1: there are faults
    return {"seconds": round(seconds, 1), "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime
                                                                    - before.ru_stime, 1),
            "load_before": round(load, 2), "load_after": round(os.getloadavg()[0], 2), "peak_mb": after.ru_maxrss // 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--keep", type=Path, help="write the pictures here, or take those that an earlier call wrote")
    parser.add_argument("--json", type=Path, help="write the figures, the machine and the command to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch, "pictures")
        if not (folder / "train.json").is_file():
            write(folder, args.images)
        (folder / ".train.check.json").unlink(missing_ok=True)
        extra = "--report", folder / "report.html", "--fix", folder / "fixed.json"
        size = sum(path.stat().st_size for path in (folder / "train").iterdir())
        figures = {"images": args.images, "objects": 7 * args.images, "megabytes": round(size / 1e6)}
        for name, words in {"first": (), "again": (), "report and fix": extra}.items():
            figures[name] = measure(folder, *words)
            print(f"{name}: {figures[name]}", flush=True)
    if args.json:
        save_figures(args.json, "python benchmarks/check.py", machine() | figures)


if __name__ == "__main__":
    main()
