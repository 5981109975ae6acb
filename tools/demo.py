"""The shortest way through the library: write a dataset, read it back, load a batch, draw it.

    python tools/demo.py [--out runs/demo]
"""

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from simple_maskrcnn.augment import make_loader, train_transforms
from simple_maskrcnn.data import CocoDataset, write_shapes
from simple_maskrcnn.viz import default_device, panels, show_target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where to write (default: runs/demo)")
    parser.add_argument("--images", type=int, default=64, help="how many images to draw (default: 64)")
    args = parser.parse_args()
    folder, start = args.out / "shapes", time.perf_counter()

    write_shapes(folder, n_train=args.images, n_val=0, size=160)
    dataset = CocoDataset(folder / "train", folder / "annotations" / "instances_train.json", train_transforms(flip=0.5))
    print(f"{len(dataset)} images in COCO format in {folder}, written and indexed in {time.perf_counter() - start:.1f} s")

    images, targets = next(iter(make_loader(dataset, batch_size=8, seed=0)))
    objects = sum(len(target["boxes"]) for target in targets)
    print(f"one batch: {len(images)} images, {objects} objects; notebooks here compute on: {default_device()}")

    for ax, image, target in zip(panels(8, cols=4, size=2.8), images, targets, strict=True):
        show_target(image, target, dataset.class_names, ax=ax)
    picture = args.out / "batch.png"
    plt.savefig(picture, dpi=110)
    print(f"drawn: {picture.resolve()}")


if __name__ == "__main__":
    main()
