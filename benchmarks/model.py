"""Our network against torchvision's in one run: same weights, same inputs, first the same answers, then the time.

The two take turns, round by round, so that whatever else the machine does hits both; a ratio is the median of the rounds.
Times on a CPU that others share mean little by themselves, so on a CPU only ratios are printed. On a GPU the table also has
milliseconds and the number of times that the host waits for the device. There "fp32" is what PyTorch does by default:
convolutions on an NVIDIA GPU round their inputs to TF32, for both networks; the answers are compared without that.
On a CPU that only emulates bfloat16 the rows of "bf16" are left out.

usage: python benchmarks/model.py [--rounds N] [--threads N] [--height H --width W] [--batch N] [--only TEXT] [--json FILE]
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import MultiScaleRoIAlign

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data import machine

from simple_maskrcnn.data import scene
from simple_maskrcnn.model import MaskRCNN
from simple_maskrcnn.roi_align import roi_align
from simple_maskrcnn.train import best_precision
from simple_maskrcnn.viz import default_device
from simple_maskrcnn.weights import load_weights

EVERYTHING = {"rpn_batch_size_per_image": 10**6, "box_batch_size_per_image": 10**6, "rpn_post_nms_top_n_train": 300}


@torch.no_grad()
def lively_state(image: torch.Tensor) -> dict:
    """Random weights for torchvision's network whose scores and boxes differ, so that there are 100 detections to compare."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d)
    network = detection.MaskRCNN(backbone, 91)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # its averages are those of this image
        if name.endswith("bn3"):
            nn.init.constant_(module.weight, 0.2)  # a residual branch that adds little, as in a trained network
    network.backbone(network.transform([image.cpu()])[0].tensors)
    for name, parameter in network.named_parameters():
        if "cls_logits" in name or "cls_score" in name:
            nn.init.normal_(parameter, std=0.5 if name.endswith("bias") else 0.1)
        elif "bbox_pred" in name:
            nn.init.normal_(parameter, std=0.1 if name.endswith("bias") else 0.003)
    return network.state_dict()


def networks(state: dict, device: torch.device, **options) -> tuple[nn.Module, nn.Module]:
    """torchvision's ResNet-50 FPN Mask R-CNN and ours as they are fine-tuned (frozen norm, three stages learn), one state."""
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=3)
    theirs = detection.MaskRCNN(backbone, 91, **options).to(device)
    ours = MaskRCNN(norm="frozen", trainable_layers=3, **options).to(device)
    for network in (theirs, ours):
        network.load_state_dict(state)
    return theirs, ours


def inputs(args: argparse.Namespace, device: torch.device) -> tuple[list, list]:
    image, target = scene((args.height, args.width))
    target = {key: target[key].to(device) for key in ("boxes", "labels", "masks")}
    return [image.to(device)] * args.batch, [target] * args.batch


@torch.no_grad()
def infer(network, images, bf16=False):
    with torch.autocast(images[0].device.type, torch.bfloat16, enabled=bf16):
        return network(images)


def train(network, images, targets, bf16=False):
    network.zero_grad(set_to_none=True)
    with torch.autocast(images[0].device.type, torch.bfloat16, enabled=bf16):
        losses = network(images, [dict(target) for target in targets])
    sum(losses.values()).backward()
    return losses


def check_same(state: dict, device: torch.device, images: list, targets: list) -> str:
    """Raise unless both networks give the same detections and, with nothing drawn at random, the same losses."""
    default, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    theirs, ours = networks(state, device, **EVERYTHING)
    a, b = infer(ours.eval(), images)[0], infer(theirs.eval(), images)[0]
    assert len(a["boxes"]) == len(b["boxes"]) > 0, f"{len(a['boxes'])} detections, torchvision {len(b['boxes'])}"
    scores = (a["scores"] - b["scores"]).abs().max().item()
    nearest = (a["boxes"][:, None] - b["boxes"]).abs().amax(-1).amin(1)
    close = (nearest < 1e-2).float().mean().item()
    losses = train(ours.train(), images, targets), train(theirs.train(), images, targets)
    apart = max((losses[0][name] - losses[1][name]).abs().item() for name in losses[1])
    assert scores < 1e-3 and close > 0.97 and apart < 1e-3, (scores, close, nearest.max(), apart)
    torch.backends.cudnn.allow_tf32 = default
    n = len(a["boxes"])
    return f"{n} detections, scores within {scores:.0e}, {close:.0%} of boxes within 0.01 px; losses within {apart:.0e}"


def alternate(runs: dict, rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each run; the runs take turns."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    times = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            wait()
            start = time.perf_counter()
            run()
            wait()
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def waits(run) -> int:
    """How often the host waits for a CUDA device during a run."""
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def network_runs(state: dict, device: torch.device, images: list, targets: list) -> dict[str, dict]:
    """For each line of the table, the runs that are timed; the first of each is torchvision in float32."""
    theirs, ours = networks(state, device)
    simple = MaskRCNN(norm="frozen", levels=(5,)).to(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not fit, the RPN's predictors, stays random
        load_weights(simple, state, "random weights", levels=simple.levels)
    predicting = [copy.deepcopy(network).eval() for network in (theirs, ours, simple)]
    learning = [network.train() for network in (theirs, ours)]
    return {
        "inference": {
            "torchvision fp32": lambda: infer(predicting[0], images),
            "ours fp32": lambda: infer(predicting[1], images),
            "torchvision bf16": lambda: infer(predicting[0], images, True),
            "ours bf16": lambda: infer(predicting[1], images, True),
            "ours single level fp32": lambda: infer(predicting[2], images),
        },
        "training": {
            "torchvision fp32": lambda: train(learning[0], images, targets),
            "ours fp32": lambda: train(learning[1], images, targets),
            "torchvision bf16": lambda: train(learning[0], images, targets, True),
            "ours bf16": lambda: train(learning[1], images, targets, True),
        },
    }


def roi_runs(device: torch.device) -> dict[str, dict]:
    """RoIAlign alone: features of an 800×1088 canvas, boxes of all sizes."""
    torch.manual_seed(0)
    maps = [torch.randn(1, 256, 800 // s, 1088 // s, device=device, requires_grad=True) for s in (4, 8, 16, 32)]
    lasts = [m.detach().to(memory_format=torch.channels_last).requires_grad_() for m in maps]
    corner = torch.rand(1000, 2, device=device) * torch.tensor([900.0, 600.0], device=device)
    boxes = torch.cat([corner, corner + 8 * 40 ** torch.rand(1000, 2, device=device)], 1)
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)

    def torchvision(n):
        return theirs({str(i): m for i, m in enumerate(maps)}, [boxes[:n]], [(800, 1088)])

    def ours(n):
        return roi_align(lasts, [boxes[:n]], 7, [4, 8, 16, 32])

    torch.testing.assert_close(ours(1000), torchvision(1000), atol=1e-3, rtol=1e-3)
    upstream = torch.randn(512, 256, 7, 7, device=device)

    def forward(run):
        with torch.no_grad():
            run(1000)

    return {
        "RoIAlign, 1000 boxes": {"torchvision fp32": lambda: forward(torchvision), "ours fp32": lambda: forward(ours)},
        "RoIAlign, 512 boxes with backward": {
            "torchvision fp32": lambda: torchvision(512).backward(upstream), "ours fp32": lambda: ours(512).backward(upstream)},
    }


def peak_memory(which: str, mode: str, args: argparse.Namespace) -> float:
    """MB that one inference or training step needs above the network itself, in a process of its own."""
    command = [sys.executable, __file__, "--peak", which, mode]
    command += [f"--{name}={getattr(args, name)}" for name in ("height", "width", "batch")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure_peak(args: argparse.Namespace):
    device, (which, mode) = default_device(), args.peak
    images, targets = inputs(args, device)
    network = dict(zip(("torchvision", "ours"), networks(lively_state(images[0]), device)))[which].train(mode == "training")

    def run():
        return train(network, images, targets) if mode == "training" else infer(network, images)

    if device.type == "cuda":
        run()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        print((torch.cuda.max_memory_allocated() - before) / 2**20)
    else:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of building the network
        before = resident()["VmRSS"]
        run()
        print(resident()["VmHWM"] - before)


def resident() -> dict[str, float]:
    """MB of memory that this process holds (VmRSS) and has held at most (VmHWM), as Linux counts."""
    lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
    return {line[0][:-1]: int(line[1]) / 1024 for line in lines if line[0] in ("VmRSS:", "VmHWM:")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="for PyTorch; default: its own choice")
    parser.add_argument("--height", type=int, default=480, help="of the input image, which the network enlarges")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--batch", type=int, default=1, help="images at a time")
    parser.add_argument("--only", default="", help="only the parts whose name contains it: inference, training, RoIAlign, memory")
    parser.add_argument("--json", type=Path, help="write the figures, the machine and the command to this file")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        return measure_peak(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = default_device()
    info = machine() | ({"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda} if device.type == "cuda" else {})
    print(", ".join(f"{key} {value}" for key, value in info.items()))
    images, targets = inputs(args, device)
    state = lively_state(images[0])
    agreement = check_same(state, device, images, targets)
    print(f"ResNet-50 FPN, {args.batch} × {args.height}×{args.width}, torchvision's default sizes")
    print(f"the same answers: {agreement}\n")

    rows, parts = [], {}
    bf16 = device.type == "cuda" or best_precision(device) == "bf16"  # elsewhere it is emulated, and takes minutes
    if args.only in "inference training":
        parts |= network_runs(state, device, images, targets)
    parts |= roi_runs(device)
    for part, runs in parts.items():
        if args.only not in part:
            continue
        if not bf16:
            runs = {name: run for name, run in runs.items() if "bf16" not in name}
        seconds = alternate(runs, args.rounds if "RoI" not in part else 4 * args.rounds, device)
        for name, value in seconds.items():
            row = {"part": part, "network": name, "ratio": round(seconds["torchvision fp32"] / value, 2)}
            if device.type == "cuda":
                row |= {"ms": round(1000 * value, 2), "waits": waits(runs[name])}
            rows.append(row)
            absolute = f"{row['ms']:>10.2f} ms{row['waits']:>5} waits" if "ms" in row else ""
            print(f"{part:<36}{name:<26}{row['ratio']:>6.2f}×{absolute}", flush=True)
    if args.only in "memory" and (device.type == "cuda" or Path("/proc/self/clear_refs").exists()):
        for mode in ("inference", "training"):
            mb = {which: round(peak_memory(which, mode, args)) for which in ("torchvision", "ours")}
            rows.append({"part": f"peak memory, {mode}", **mb})
            print(f"{'peak memory, ' + mode:<36}torchvision {mb['torchvision']} MB, ours {mb['ours']} MB above the network")
    if args.json:
        command = " ".join(["python", "benchmarks/model.py", *sys.argv[1:]])
        args.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"command": command, **info, "agreement": agreement, "rounds": args.rounds, "rows": rows}
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
