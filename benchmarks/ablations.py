"""What each idea of Mask R-CNN brings: the network of tools/demo.py learns shapes, each time with one idea less.

Every variant sees the same scenes for the same number of steps, in float32 on one thread, once from each seed; the
figures are COCO's on other scenes. The ideas are taken out here, by patching names where the package looks them up.
A finished run is kept in the JSON at once, and the same command goes on with those that are missing.

usage: python benchmarks/ablations.py [--seeds N] [--json FILE] [--quick]    2 minutes a run; --quick: 1 minute in all
       python benchmarks/ablations.py --draw nbs/images/ablations.svg        the picture of what is in the JSON
"""

import argparse
import io
import json
import sys
import tempfile
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torchvision.ops import roi_pool

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demo import NETWORK, SIZE, WORLD, read

from simple_maskrcnn import eval_transforms, evaluate, fit, train_transforms, write_shapes
from simple_maskrcnn.bench import machine, save_figures
from simple_maskrcnn.network import model as heads
from simple_maskrcnn.network import rpn
from simple_maskrcnn.network.matching import match
from simple_maskrcnn.network.roi_align import assign_levels, roi_align

RESULTS = Path(__file__).resolve().parent / "results/ablations-cpu.json"
FIGURES = ["box AP", "mask AP", "mask AP50", "mask AP75", "mask APs", "mask APm"]


def pool_rounded(features, boxes, output_size, strides, table=None):
    """RoIPool (Girshick 2015) in place of `roi_align`: torchvision's, on the levels that the same rule chooses."""
    rois = torch.cat([F.pad(b, (1, 0), value=i) for i, b in enumerate(boxes)])  # number of the image, box
    level = assign_levels(rois[:, 1:], strides)
    out = [roi_pool(x, rois[level == i], output_size, 1 / strides[i]) for i, x in enumerate(features)]
    return torch.cat(out)[level.argsort(stable=True).argsort()]  # in the order of the boxes again


def mask_size(cells):
    """The mask head sees `cells`² bins instead of 14², and gives masks of twice as many a side."""
    def pool(features, boxes, output_size, **options):
        return roi_align(features, boxes, cells if output_size == 14 else output_size, **options)
    return {(heads, "roi_align"): pool}


def softmax_masks():
    """A pixel belongs to one class or to the background: the classes compete, and the loss is multinomial."""
    def own_logits(predictor, x, labels):
        scores, own = predictor(x).float(), (torch.arange(len(labels), device=x.device), labels)
        own_logits.background = scores.log_softmax(1)[:, 0]
        others = scores.index_put(own, scores.new_tensor(-torch.inf)).logsumexp(1)
        return scores[own] - others  # the sigmoid of this is the softmax over the classes

    def loss(logits, targets):
        pixels = targets * F.logsigmoid(logits) + (1 - targets) * own_logits.background
        return -pixels.mean() if len(pixels) else pixels.sum()
    return {(heads, "class_mask_logits"): own_logits, (heads, "mask_loss"): loss}


def one_map(level):
    """No pyramid: all anchors on one map, and as many boxes from it into NMS as from three levels."""
    return {"levels": (level,), "anchor_sizes": [sum(NETWORK["anchor_sizes"], [])],
            "rpn_pre_nms_top_n_train": 600, "rpn_pre_nms_top_n_test": 600}


VARIANTS = {  # name → changed options of the network, patches
    "all ideas": ({}, {}),
    "one map of stride 8, no pyramid": (one_map(3), {}),
    "one map of stride 4, no pyramid": (one_map(2), {}),
    "RoIPool, not RoIAlign": ({}, {(heads, "roi_align"): pool_rounded}),
    "softmax over classes, not a mask each": ({}, softmax_masks()),
    "no rescue of low matches": ({}, {(rpn, "match"): lambda *args, rescue: match(*args)}),
    "masks of 14×14, not 28×28": ({}, mask_size(7)),
    "masks of 8×8, not 28×28": ({}, mask_size(4)),
    "masks half a pixel off, not exact": ({"exact_masks": False}, {}),
}


def run(variant, seed, folder, epochs):
    """Train and evaluate once."""
    train = read(folder, "train", train_transforms(flip=0.5, vertical_flip=0.5, rotate90=True))
    (options, patches), start, called = VARIANTS[variant], time.process_time(), set()

    def noted(name, function):
        return lambda *args, **kwargs: called.add(name) or function(*args, **kwargs)

    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()), \
            redirect_stderr(io.StringIO()):
        for (module, name), function in patches.items():
            stack.enter_context(patch.object(module, name, noted(name, function)))
        torch.manual_seed(seed)
        network = heads.maskrcnn(len(train.class_names), **NETWORK | options)
        fit(network, train, epochs=epochs, batch_size=4, lr=1.5e-3, ema=0.99, seed=seed, precision="no", output_dir=scratch)
        found = evaluate(network, read(folder, "val", eval_transforms()), batch_size=8)
    assert called == {name for _, name in patches}, f"{variant}: only {called} were called"
    figures = {name: round(found["bbox" if name[0] == "b" else "segm"][name.split()[1]], 4) for name in FIGURES}
    return {"variant": variant, "seed": seed, **figures, "minutes": round((time.process_time() - start) / 60, 2)}


def by_variant(runs):
    """Each variant's figures, `[seeds, figures]`; and how much of a difference in mask AP may be chance: two standard
    errors, from what the seeds differ by, the mean over all variants with several."""
    table = {v: np.array([[r[name] for name in FIGURES] for r in runs if r["variant"] == v]) for v in VARIANTS}
    table = {variant: values for variant, values in table.items() if len(values)}
    spread = [values[:, 1].var(ddof=1) for values in table.values() if len(values) > 1] or [np.nan]
    n = len(table["all ideas"])
    return table, {v: 2 * np.sqrt(np.mean(spread) * (1 / len(values) + 1 / n)) for v, values in table.items()}


def show(runs):
    print(f"{'':40}{'seeds':>6}" + "".join(f"{name:>11}" for name in FIGURES) + f"{'range':>13}{'change':>9}  chance")
    table, chance = by_variant(runs)
    for variant, values in table.items():
        mean, low, high = values.mean(0), *(f(values[:, 1]) for f in (min, max))
        print(f"{variant:40}{len(values):6}" + "".join(f"{x:11.3f}" for x in mean) + f"{low:8.2f}–{high:.2f}"
              f"{mean[1] - table['all ideas'][:, 1].mean():+9.3f}  ±{chance[variant]:.3f}")


def draw(runs, file):
    """How much mask AP changes with each variant: the mean as a bar, each seed as a dot, what may be chance in grey."""
    table, chance = by_variant(runs)
    zero, table = table["all ideas"][:, 1].mean(), {v: table[v][:, 1] for v in list(table)[1:]}
    with matplotlib.rc_context({"svg.hashsalt": "ablations", "svg.fonttype": "none", "font.size": 13}):
        ax = (figure := Figure(figsize=(1000 / 96, 420 / 96), layout="constrained")).subplots()
        for y, (variant, values) in enumerate(table.items()):
            bar = ax.barh(y, values.mean() - zero, height=0.5, color="#56B4E9")
            seeds = ax.plot(values - zero, [y] * len(values), "o-", color="black", ms=4.5, lw=1.3)
            grey = ax.barh(y, 2 * chance[variant], left=-chance[variant], height=0.9, color="#E2E2E2", zorder=0)
        ax.axvline(0, color="black", lw=1)
        names = [f"{name}  {values.mean() - zero:+.2f}".replace("-", "−") for name, values in table.items()]
        ax.set_yticks(range(len(table)), names)
        ax.tick_params(axis="y", length=0)
        ax.invert_yaxis()
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.set_xlabel(f"change of mask AP, from {zero:.2f} with all ideas")
        figure.legend([bar, *seeds, grey], ["mean", "each seed", "may be chance"], loc="outside upper right", ncols=3,
                      frameon=False)
        figure.get_layout_engine().set(w_pad=0.1)
        figure.savefig(file, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="runs of each variant")
    parser.add_argument("--json", type=Path, help="read and write this file (default: results/ablations-cpu.json)")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="run nothing, draw what is in the JSON")
    parser.add_argument("--quick", action="store_true", help="a few steps from one seed; such figures mean nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, val, epochs, seeds = (8, 4, 1, 1) if args.quick else (800, 400, 4, args.seeds)
    with tempfile.TemporaryDirectory() as folder:
        file = args.json or (Path(folder, "quick.json") if args.quick else RESULTS)
        setting = {"train_scenes": train, "val_scenes": val, "epochs": epochs}
        saved = json.loads(file.read_text()) if file.exists() else setting | {"runs": []}
        if setting != {name: saved[name] for name in setting}:
            parser.error(f"{file} is of other numbers of scenes or epochs; give another --json")
        runs, done = saved["runs"], [(r["variant"], r["seed"]) for r in saved["runs"]]
        missing = [(v, s) for s in range(seeds) for v in VARIANTS if (v, s) not in done]
        if args.draw:
            draw(runs, args.draw)
        elif missing:
            write_shapes(folder, train, val, size=SIZE, **WORLD)
            for variant, seed in missing:
                runs.append(run(variant, seed, Path(folder), epochs))
                save_figures(file, "python benchmarks/ablations.py", machine() | setting | {"runs": runs})
                print(f"{variant}, seed {seed}: mask AP {runs[-1]['mask AP']:.3f}, {runs[-1]['minutes']:.1f} minutes", flush=True)
    show(runs)


if __name__ == "__main__":
    main()
