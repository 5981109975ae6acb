"""Training on windows: the memory and the seconds of one item, its masks decoded for the window only, and the dense way.

Dense: all masks of the whole picture, and then the same transforms with the same random numbers; both give the same bits, which
is asserted where both fit into memory. Each row is measured in a process of its own, on one thread. Memory is the most that it
held, less what it held before, with the dataset open. The last rows train a small network on windows of a TIFF that is never
read whole: the memory of the whole process. A finished row is kept in the JSON at once.

usage: python benchmarks/windows.py [--only TEXT] [--json FILE]    5 minutes
"""

import argparse
import hashlib
import json
import math
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from tiles import measure_rows, peak_mb

from simple_maskrcnn import CocoDataset, fit, maskrcnn, train_transforms
from simple_maskrcnn.data.loader import seeded

RESULTS = Path(__file__).resolve().parent / "results/windows-cpu-2-cores.json"
Image.MAX_IMAGE_PIXELS = None


def write_world(folder: Path, side: int, objects: int, file_name: str) -> CocoDataset:
    """Discs of 16 to 60 pixels as polygons of 24 points, where chance puts them; the picture is noise, or a TIFF in squares."""
    rng = np.random.default_rng(objects)
    place, reach = rng.uniform(30, side - 30, (objects, 2)), rng.uniform(8, 30, objects)
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    outlines = (place[:, None] + reach[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], -1)).round(2)
    things = [{"id": k + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": round(math.pi * r * r, 1),
               "bbox": [*(xy - r).tolist(), 2 * float(r), 2 * float(r)], "segmentation": [o.ravel().tolist()]}
              for k, (o, xy, r) in enumerate(zip(outlines, place, reach))]
    record = {"id": 1, "file_name": file_name, "height": side, "width": side}
    (folder / "world.json").write_text(json.dumps({"images": [record], "annotations": things,
                                                   "categories": [{"id": 1, "name": "disc"}]}))
    if file_name.endswith("tif"):
        square = rng.integers(0, 255, (256, 256, 3), np.uint8)  # the same one all over
        tifffile.imwrite(folder / file_name, (square for _ in range((-(-side // 256)) ** 2)), shape=(side, side, 3),
                         dtype=np.uint8, tile=(256, 256), photometric="rgb", compression="zlib", compressionargs={"level": 1})
    else:
        Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(folder / file_name, compress_level=1)
    return CocoDataset(folder, folder / "world.json")


def one_item(side: int, objects: int, how: str, options: dict, file_name: str = "world.png") -> dict:
    """One item, by window or dense."""
    with tempfile.TemporaryDirectory() as scratch:
        data, transforms = write_world(Path(scratch), side, objects, file_name), train_transforms(**options)
        before, start = peak_mb(reset=True), time.process_time()
        with seeded(1):
            if how == "dense":
                image, target = transforms(data.image(0), data.target(0))
            else:
                data.transforms = transforms
                image, target = data[0]
        seconds, peak = time.process_time() - start, peak_mb()
    bits = b"".join(np.ascontiguousarray(x.numpy()).tobytes() for x in (image, target["boxes"], target["masks"], target["area"]))
    return {"pixels": side * side, "objects": objects, "in the window": len(target["boxes"]), "above_mb": round(peak - before, 1),
            "cpu_seconds": round(seconds, 3), "digest": hashlib.sha256(bits).hexdigest()[:16]}


def training(side: int, objects: int) -> dict:
    """Some steps on windows of one TIFF."""
    with tempfile.TemporaryDirectory() as scratch:
        data = write_world(Path(scratch), side, objects, "world.tif")
        data.transforms = train_transforms(crop=256, rotate90=True)
        model = maskrcnn(2, backbone="resnet18", levels=(3, 4), anchor_sizes=[[16], [32], [64]], fpn_channels=32, box_channels=64,
                         mask_channels=16, min_size=256, max_size=256, train_resize=False)
        before, start = peak_mb(reset=True), time.process_time()
        made = fit(model, data, epochs=8, batch_size=1, precision="no", output_dir=Path(scratch, "run"))
        return {"pixels": side * side, "objects": objects, "steps": made["step"], "above_mb": round(peak_mb() - before, 1),
                "picture_mb": round(3 * side * side / 2**20), "cpu_seconds": round(time.process_time() - start, 1)}


CROP, JITTER = {"crop": 512, "rotate90": True}, {"large_scale_jitter": (0.3, 2.0, 512)}
ITEMS = {f"{side}² pixels, {objects:,} objects, {name}, {how}": (side, objects, how, options)
         for side, objects in ((2000, 150), (2000, 1500)) for name, options in (("crop 512", CROP), ("jitter 0.3–2, 512", JITTER))
         for how in ("by window", "dense")}
ITEMS |= {"20000² pixels in a TIFF, 5,000 objects, crop 512, by window": (20_000, 5000, "by window", CROP, "world.tif")}
RUNS = {"training on windows of 256 pixels, 20000² pixels in a TIFF, 5,000 objects": (20_000, 5000)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    runs = {name: partial(one_item, *item) for name, item in ITEMS.items()}
    runs |= {name: partial(training, *world) for name, world in RUNS.items()}
    rows = measure_rows(parser, RESULTS, lambda args: runs)
    for name in ITEMS:
        if name in rows and (dense := name.replace("by window", "dense")) in rows:
            assert rows[name]["digest"] == rows[dense]["digest"], f"{name}: other bits than the dense way"


if __name__ == "__main__":
    main()
