"""Images a second of `CocoDataset` against torchvision's `CocoDetection`, once both are seen to give the same tensors.

Both decode the image, turn it into a float tensor in 0–1, and build boxes, labels and masks; torchvision's through
`wrap_dataset_for_transforms_v2`. The two take turns in one run, so that whatever else the machine does hits both,
and the median of the rounds counts.

usage: python benchmarks/data.py [--images DIR --annotations FILE] [--threads N] [--rounds N] [--limit N]
                                 [--json FILE]
Without a dataset it writes one of shapes (480×640, PNG) into a temporary folder.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.testing import assert_close
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.data.coco import CocoDataset, write_shapes


def torchvision_dataset(images: Path, annotations: Path):
    """torchvision's reader, which gives images in the order of their ids."""
    to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    with contextlib.redirect_stdout(io.StringIO()):
        plain = CocoDetection(images, annotations, transforms=to_float)
    return wrap_dataset_for_transforms_v2(plain, target_keys=("boxes", "labels", "masks"))


def check_same(theirs, ours, category_of: dict):
    """Raise unless two items hold the same tensors; where there is no object, torchvision gives only the image id."""
    assert_close(theirs[0].as_subclass(Tensor), ours[0], rtol=0, atol=0)
    for key in ("boxes", "masks"):
        if key in theirs[1]:
            assert_close(theirs[1][key].as_subclass(Tensor), ours[1][key], rtol=0, atol=0)
    categories = [category_of[label] for label in ours[1]["labels"].tolist()]
    assert theirs[1].get("labels", torch.zeros(0)).tolist() == categories, "labels differ"


def measure(images: Path, annotations: Path, rounds: int = 5, limit: int | None = None) -> dict:
    """Milliseconds an image of both readers, round by round, and the ratio of their medians."""
    theirs, ours = torchvision_dataset(images, annotations), CocoDataset(images, annotations)
    order = np.argsort(ours.image_ids).tolist()[:limit]
    for k, i in enumerate(order):
        check_same(theirs[k], ours[i], ours.category_of)
    readers = {"torchvision": lambda: [theirs[k] for k in range(len(order))],
               "CocoDataset": lambda: [ours[i] for i in order]}
    times, processor = {name: [] for name in readers}, {name: 0.0 for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            start, busy = time.perf_counter(), time.process_time()
            read()
            times[name].append(1000 * (time.perf_counter() - start) / len(order))
            processor[name] += time.process_time() - busy
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "images": len(order),
        "objects": int(ours.annotation_counts[order].sum()),
        "ms_per_image": times,
        "median_ms_per_image": median,
        "ratio": median["torchvision"] / median["CocoDataset"],
        "ratio_processor_time": processor["torchvision"] / processor["CocoDataset"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of the images of a COCO dataset")
    parser.add_argument("--annotations", type=Path, help="its annotation file")
    parser.add_argument("--threads", type=int, help="for PyTorch; default: its own choice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="only the first images")
    parser.add_argument("--json", type=Path, help="write the figures, the machine and the command to this file")
    args = parser.parse_args()
    if (args.images is None) != (args.annotations is None):
        parser.error("--images and --annotations belong together")
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        if args.images is None:
            shapes = write_shapes(scratch, n_train=0, n_val=40, size=(480, 640), max_objects=12)
            args.images, args.annotations = shapes / "val", shapes / "annotations/instances_val.json"
            source = "shapes, 480×640 PNG"
        else:
            source = f"{args.annotations.name}"
        result = measure(args.images, args.annotations, args.rounds, args.limit)
    info = machine()
    print(f"{source}: {result['images']} images, {result['objects']} objects; the same tensors from both")
    print(f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads; torch {info['torch']}, "
          f"torchvision {info['torchvision']}")
    print(f"{'':14}{'ms an image':>12}{'images/s':>10}{'ratio':>8}")
    for name, ms in result["median_ms_per_image"].items():
        ratio = result["median_ms_per_image"]["torchvision"] / ms
        print(f"{name:14}{ms:12.2f}{1000 / ms:10.0f}{ratio:8.2f}")
    print(f"in processor time, which other programs disturb less: {result['ratio_processor_time']:.2f}")
    if args.json:
        save_figures(args.json, "python benchmarks/data.py", {"source": source} | info | result)


if __name__ == "__main__":
    main()
