"""The whole way on synthetic shapes, on a laptop: draw a dataset, train, evaluate, predict.

    python tools/demo.py [--out runs/demo]

Interrupt it when you like: the same command goes on. To begin anew, remove the folder.
"""

import argparse
import time
from pathlib import Path

import torch

from simple_maskrcnn import CocoDataset, eval_transforms, evaluate, fit, maskrcnn, train_transforms, write_shapes
from simple_maskrcnn.evaluation.ap import format_results
from simple_maskrcnn.inference.predict import draw_sheet
from simple_maskrcnn.training.run import start_processes
from simple_maskrcnn.training.train import make_accelerator

SIZE = 96  # of the scenes, in pixels
WORLD = {  # large objects that are mostly in sight: small and hidden ones take longer to learn
    "max_objects": 5,
    "crowds": 0.05,
    "radius_parts": (6, 3.7),
    "margin": 0.15,
    "min_visible": 0.75,
}
NETWORK = {  # slim, and with a small pyramid for small pictures: see nbs/network/03_anchors.ipynb
    "backbone": "resnet18",
    "levels": (2, 3),
    "anchor_sizes": [[16], [32], [64]],
    "fpn_channels": 48,
    "box_channels": 256,
    "mask_channels": 32,
    "exact_masks": True,
    "min_size": SIZE,
    "max_size": SIZE,
    "rpn_pre_nms_top_n_train": 200,
    "rpn_post_nms_top_n_train": 100,
    "rpn_pre_nms_top_n_test": 200,
    "rpn_post_nms_top_n_test": 100,
    "box_batch_size_per_image": 64,
    "box_positive_fraction": 0.25,  # sixteen boxes for the mask head, the costly part
}
NEXT = """What to try next:
  where it errs        simple-maskrcnn evaluate {out}/run --data-dir {out}/shapes --mistakes
  your own pictures    simple-maskrcnn predict {out}/run PICTURES --output-dir {out}/mine   (it knows circles,
                       squares, triangles and stars)
  your own dataset     simple-maskrcnn check --data-dir DIR, then simple-maskrcnn train --data-dir DIR --weights coco
  real pictures        simple-maskrcnn predict nuclei simple_maskrcnn/models/nuclei/pictures   (a network that comes along)
  how it works         make lab opens the index of the notebooks; this training is that of training/03_train.ipynb"""


def read(folder: Path, split: str, transforms) -> CocoDataset:
    return CocoDataset(folder / split, folder / "annotations" / f"instances_{split}.json", transforms)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where to write (default: runs/demo)")
    parser.add_argument("--train", type=int, default=1000, help="scenes to learn from (default: 1000)")
    parser.add_argument("--val", type=int, default=200, help="other scenes to evaluate on (default: 200)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the scenes (default: 6)")
    args = parser.parse_args()
    start_processes()  # two processes, if there is no GPU
    start, folder = time.perf_counter(), args.out / "shapes"
    accelerator = make_accelerator()

    with accelerator.main_process_first():
        if not (folder / "annotations/instances_val.json").exists():
            write_shapes(folder, args.train, args.val, size=SIZE, **WORLD)
    train = read(folder, "train", train_transforms(flip=0.5, vertical_flip=0.5, rotate90=True))
    valid = read(folder, "val", eval_transforms())
    accelerator.print(f"{len(train)} scenes to learn from and {len(valid)} others, in COCO format, in {folder}")
    torch.manual_seed(0)
    model = maskrcnn(len(train.class_names), **NETWORK)
    fit(model, train, epochs=args.epochs, batch_size=4 // accelerator.num_processes, lr=1.5e-3, ema=0.99,
        output_dir=args.out / "run", accelerator=accelerator)
    results = evaluate(model, valid, batch_size=8, output_dir=args.out, accelerator=accelerator)
    if accelerator.is_main_process:
        draw_sheet(model, valid, args.out / "predictions.png", n=8)
        print(f"\n{format_results(results)}\n\n{time.perf_counter() - start:.0f} s in all. In {args.out}: run/last (the "
              "network), run/losses.png, metrics.json, precision_recall.png, results_segm.json, predictions.png\n")
        print(NEXT.format(out=args.out))
    accelerator.end_training()


if __name__ == "__main__":
    main()
