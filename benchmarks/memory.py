"""Does memory grow? 2,000 steps of training and 5,000 predictions, each on pictures of another size.

    python benchmarks/memory.py [--steps 2000] [--predictions 5000] [--cache 256] [--json FILE]

A small network, so that what grows is seen beside it. --cache is the number of oneDNN's kept primitives (its own default is 1024;
`training.run` sets 256, unless ONEDNN_PRIMITIVE_CACHE_CAPACITY is set).
"""

import argparse
import os
import tempfile
from pathlib import Path


def resident() -> float:
    "Megabytes of this process that are in memory now (Linux)."
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--predictions", type=int, default=5000)
    parser.add_argument("--cache", type=int, default=256)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = str(args.cache)  # before PyTorch computes anything

    import torch
    from torch.utils.data import Dataset

    from simple_maskrcnn import detect, fit, maskrcnn
    from simple_maskrcnn.bench import machine, save_figures
    from simple_maskrcnn.data.shapes import ShapesDataset

    class Sizes(Dataset):
        "Scenes of random sides from 48 to 260 pixels; notes the memory at every tenth part."

        def __init__(self, n: int):
            self.n, self.seen, self.memory = n, 0, []
            self.sides = torch.randint(48, 261, (n, 2), generator=torch.Generator().manual_seed(0)).tolist()

        def __len__(self):
            return self.n

        def __getitem__(self, i: int):
            self.note()
            return ShapesDataset(1, tuple(self.sides[i]), seed=i)[0]

        def note(self):
            if self.seen % max(1, self.n // 10) == 0:
                self.memory.append(round(resident()))
                print(f"{self.seen} of {self.n}: {self.memory[-1]} MB", flush=True)
            self.seen += 1

    torch.manual_seed(0)
    model = maskrcnn(5, backbone="resnet18", levels=(2, 3), anchor_sizes=[[16], [32], [64]], fpn_channels=16, box_channels=32,
                     mask_channels=8, min_size=160, max_size=260, train_resize=False, box_batch_size_per_image=16,
                     rpn_pre_nms_top_n_train=50, rpn_post_nms_top_n_train=30)
    steps = Sizes(args.steps)
    with tempfile.TemporaryDirectory() as place:
        fit(model, steps, epochs=1, batch_size=1, lr=1e-4, num_workers=0, output_dir=place, precision="no")
    predictions = Sizes(args.predictions)
    for image, _ in map(predictions.__getitem__, range(args.predictions)):
        detect(model, image)
    figures = {"cache": args.cache, "steps": args.steps, "training_mb": steps.memory, "predictions": args.predictions,
               "prediction_mb": predictions.memory}
    print(figures)
    if args.json:
        save_figures(args.json, "python benchmarks/memory.py", {**machine(), **figures})


if __name__ == "__main__":
    main()
