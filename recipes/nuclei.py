"""Cell nuclei (Data Science Bowl 2018, fluorescence) from scratch: train, evaluate, and draw a sheet of predictions.

    python recipes/nuclei.py --data DIR                                                      # on two CPU cores
    python recipes/nuclei.py --data DIR --weights runs/nuclei --out runs/nuclei2 --epochs 26 --lr 4e-4    # its second part
    python recipes/nuclei.py --data DIR --wide --epochs 120 --batch-size 16                  # on a GPU

DIR is in COCO layout: train/, val/, annotations/instances_train.json, instances_val.json. Why each number is what it is:

- The pictures come from many microscopes. In those of 256×256 pixels a nucleus is 11 pixels wide, in others 20 to 60.
  Evaluated with the shorter side at 600 pixels, half of the nuclei in val are 22 to 34 pixels wide. (600, and the score below,
  were chosen on val, after an earlier run: mask AP 0.593 at 512 pixels, 0.599 at 600, 0.593 at 680.)
- Training sees windows of 256 pixels at about that scale, turned and mirrored, since a nucleus has no upper side;
  a fifth of the pixels is a fifth of the work. `train_resize=False` leaves the windows as they are.
- Anchors of 3 and 4 strides: 10 to 128 pixels. Level 5 of the usual pyramid would only see nuclei that are not there, so
  the network ends at level 4, and is narrow: 96 channels where the published one has 256. `--wide` has the published ones.
- A picture may hold 375 nuclei: up to 400 detections, more proposals than usual on each level, and doubtful ones
  too (score 0.01), which adds 0.002 to AP. (Who counts nuclei may want `box_nms_thresh` 0.4 instead of 0.5: 0.003 to 0.005
  less AP, but fewer nuclei found twice, and 0.013 to 0.015 more of TP / (TP + FP + FN). Seen on val, twice.)
- Not here, since it brought nothing: to stretch the contrast of each picture by its own percentiles, 1 and 99.8 (on a GPU,
  mask AP 0.666 instead of 0.672, and 0.812 instead of 0.828 of the other measure; one run each).
- The second part goes on with frozen norms. In the first, batch norm sees two windows at a time and uses *their* mean; later it
  uses the mean over all. With inverted windows among them the two differ much: mask AP 0.627 after the first part (`--lr` as it
  is, two cores), 0.671 after the second.
- Windows are inverted, and made brighter and darker, for microscopes that are not in `train`.
- A nucleus may be 9 pixels wide: `exact_masks`, since pasting at whole pixels makes it a fifth too large, and targets half a
  pixel beside it can't be made good by any training (nbs/network/11_mask_head.ipynb).
"""

import argparse
import math
import time
from pathlib import Path

import torch
from torch.utils.data import Subset
from torchvision.transforms import v2

from simple_maskrcnn import CocoDataset, eval_transforms, evaluate, fit, maskrcnn, train_transforms
from simple_maskrcnn.evaluation.ap import format_results
from simple_maskrcnn.inference.predict import draw_sheet
from simple_maskrcnn.training.run import start_processes
from simple_maskrcnn.training.train import make_accelerator

NETWORK = {
    "backbone": "resnet18",
    "levels": (2, 3, 4),
    "anchor_sizes": [[10, 14], [22, 30], [44, 60], [90, 128]],
    "fpn_channels": 96,
    "box_channels": 256,
    "mask_channels": 64,
    "exact_masks": True,
    "min_size": 600,
    "max_size": 1400,
    "train_resize": False,
    "image_mean": [0.1] * 3,
    "image_std": [0.12] * 3,
    "rpn_pre_nms_top_n_train": 500,
    "rpn_post_nms_top_n_train": 500,
    "rpn_pre_nms_top_n_test": 2000,
    "rpn_post_nms_top_n_test": 1500,
    "box_batch_size_per_image": 64,
    "box_positive_fraction": 0.4,
    "box_detections_per_img": 400,
    "box_score_thresh": 0.01,
}

WIDE = {"fpn_channels": 256, "box_channels": 1024, "mask_channels": 256, "box_batch_size_per_image": 128}


def load(folder: Path, split: str, transforms) -> CocoDataset:
    return CocoDataset(folder / split, folder / "annotations" / f"instances_{split}.json", transforms)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with train/, val/ and annotations/")
    parser.add_argument("--out", type=Path, default=Path("runs/nuclei"), help="where to write (default: runs/nuclei)")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the pictures (default: 60; with a GPU: 120)")
    parser.add_argument("--batch-size", type=int, default=4, help="windows a step, of all processes (default: 4; with a GPU: 16)")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate of AdamW (default: 0.001)")
    parser.add_argument("--weights", type=Path, help="a run to go on from: frozen norms, milder changes of the pictures")
    parser.add_argument("--wide", action="store_true", help="the published widths, and more boxes to learn from: for a GPU")
    args = parser.parse_args()
    start_processes()
    start = time.perf_counter()
    first = args.weights is None
    augment = train_transforms(vertical_flip=0.5, rotate90=True, scales=range(*((320, 761) if first else (440, 761)), 20),
                               max_size=4000, crop=256, color=0.8 if first else 0.5, grey=True, min_area=10,
                               extra=[v2.RandomInvert(0.15 if first else 0.08)])
    train, valid = load(args.data, "train", augment), load(args.data, "val", eval_transforms())
    torch.manual_seed(0)
    network = NETWORK | (WIDE if args.wide else {}) if first else {"norm": "frozen", "train_resize": False}
    model = maskrcnn(len(train.class_names), weights=args.weights, trainable_layers=5, **network)
    accelerator = make_accelerator(output_dir=args.out)
    passes = math.gcd(args.epochs, 15) if args.wide else 1  # a GPU needs two seconds for one; the run is saved after so many
    often = Subset(train, list(range(len(train))) * passes)
    steps = args.epochs * len(train) // args.batch_size
    fit(model, often, epochs=args.epochs // passes, batch_size=args.batch_size // accelerator.num_processes, lr=args.lr,
        output_dir=args.out, optimizer="adamw", ema=max(0.99, 1 - 20 / steps), accelerator=accelerator)
    trained = time.perf_counter() - start
    results = evaluate(model, valid, max_detections=400, output_dir=args.out, accelerator=accelerator)
    if accelerator.is_main_process:
        draw_sheet(model, valid, args.out / "predictions.png")
        print(f"{format_results(results)}\n{trained / 60:.1f} minutes of training, with the evaluation "
              f"{(time.perf_counter() - start) / 60:.1f}; a sheet of predictions: {args.out / 'predictions.png'}")
    accelerator.end_training()


if __name__ == "__main__":
    main()
