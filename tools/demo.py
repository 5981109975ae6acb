"""The whole way on synthetic shapes, on a laptop: draw a dataset, train, evaluate, predict.

    python tools/demo.py [--out runs/demo]

Interrupt it when you like: the same command goes on. To begin anew, remove the folder.
"""

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch

from simple_maskrcnn.augment import eval_transforms, train_transforms
from simple_maskrcnn.data import CocoDataset, write_shapes
from simple_maskrcnn.evaluate import evaluate, format_results
from simple_maskrcnn.model import MaskRCNN, maskrcnn
from simple_maskrcnn.train import fit
from simple_maskrcnn.viz import panels, show_detections, show_target

NETWORK = {  # slim, and with anchors for pictures of 128 pixels: see 05_anchors and 12_model
    "backbone": "resnet18",
    "levels": (2, 3, 4),
    "anchor_sizes": [[12], [24], [48], [96]],
    "fpn_channels": 48,
    "box_channels": 128,
    "mask_channels": 48,
    "min_size": 128,
    "max_size": 128,
    "rpn_pre_nms_top_n_train": 300,
    "rpn_post_nms_top_n_train": 200,
    "rpn_pre_nms_top_n_test": 300,
    "rpn_post_nms_top_n_test": 200,
    "box_batch_size_per_image": 32,
}
WORLD = {"max_objects": 4, "crowds": 0.05, "radius_parts": (10, 4)}  # nothing tiny: that takes longer to learn
NEXT = """What to try next:
  your own pictures    simple-maskrcnn predict {out}/run/best PICTURES --output-dir {out}/mine   (it knows circles,
                       squares, triangles and stars)
  your own dataset     simple-maskrcnn check --data-dir DIR, then simple-maskrcnn train --data-dir DIR --weights coco
  how it works         make lab, and begin with nbs/01_viz.ipynb"""


def read(folder: Path, split: str, transforms) -> CocoDataset:
    return CocoDataset(folder / split, folder / "annotations" / f"instances_{split}.json", transforms)


def draw_sheet(model: MaskRCNN, dataset: CocoDataset, path: Path, n: int = 6):
    """Ground truth above, and what the network found below."""
    axes = panels(2 * n, cols=n, size=2.6)
    for i, (above, below) in enumerate(zip(axes[:n], axes[n:], strict=True)):
        image, target = dataset[i]
        with torch.no_grad():
            found = model.eval()([image.to(next(model.parameters()).device)])[0]
        show_target(image, target, dataset.class_names, ax=above)
        show_detections(image, {k: v.cpu() for k, v in found.items()}, dataset.class_names, 0.5, ax=below)
    plt.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where to write (default: runs/demo)")
    parser.add_argument("--train", type=int, default=1000, help="scenes to learn from (default: 1000)")
    parser.add_argument("--val", type=int, default=200, help="other scenes to evaluate on (default: 200)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the scenes (default: 4)")
    args = parser.parse_args()
    start, folder = time.perf_counter(), args.out / "shapes"

    if not (folder / "annotations/instances_val.json").exists():
        write_shapes(folder, args.train, args.val, size=128, **WORLD)
    train = read(folder, "train", train_transforms(flip=0.5, vertical_flip=0.5, rotate90=True))
    valid = read(folder, "val", eval_transforms())
    print(f"{len(train)} scenes to learn from and {len(valid)} others, in COCO format, in {folder}")
    torch.manual_seed(0)
    model = maskrcnn(len(train.class_names), **NETWORK)
    fit(model, train, epochs=args.epochs, batch_size=4, lr=1.5e-3, ema=0.99, output_dir=args.out / "run")
    results = evaluate(model, valid, batch_size=8, output_dir=args.out)
    draw_sheet(model, valid, args.out / "predictions.png")
    print(f"\n{format_results(results)}\n\n{time.perf_counter() - start:.0f} s in all. In {args.out}: run/last (the network), "
          "run/losses.png, metrics.json, precision_recall.png, results_segm.json, predictions.png\n")
    print(NEXT.format(out=args.out))


if __name__ == "__main__":
    main()
