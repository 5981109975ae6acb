"""What `14_evaluate` cannot hold: several processes, workers, peak memory, torchvision's network, real annotations."""

import builtins
import contextlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.nn.functional import pad
from torch.utils.data import Subset, get_worker_info
from torchvision.models.detection import maskrcnn_resnet50_fpn

from simple_maskrcnn.data import CocoDataset, mask_boxes, write_shapes
from simple_maskrcnn.evaluate import evaluate
from simple_maskrcnn.model import maskrcnn

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data"
SLIM = {"fpn_channels": 16, "box_channels": 16, "mask_channels": 16, "min_size": 64, "max_size": 96}


class Cheat(torch.nn.Module):
    """Knows the targets, and answers with masks that are moved by a few pixels, some missing and some twice."""

    def __init__(self, dataset, classes):
        super().__init__()
        self.answers, rng = {}, np.random.default_rng(0)
        for image, target in dataset:
            rows = [i for i, crowd in enumerate(target["iscrowd"]) for _ in range(rng.choice([0, 1, 1, 1, 2])) if not crowd]
            masks = torch.zeros(len(rows), *image.shape[1:], dtype=torch.uint8)
            for mask, i in zip(masks, rows):
                extent = (target["boxes"][i, 2:] - target["boxes"][i, :2]).numpy()
                dx, dy = np.clip(rng.normal(0, 0.06, 2) * extent, -30, 30).round().astype(int).tolist()
                mask[:] = pad(target["masks"][i], (dx, -dx, dy, -dy))
            wrong = torch.from_numpy(rng.random(len(rows)) < 0.05)
            labels = torch.where(wrong, 1 + rng.integers(classes), target["labels"][rows])
            self.answers[image.sum().item()] = {
                "boxes": mask_boxes(masks), "labels": labels, "masks": masks[:, None].float(),
                "scores": torch.from_numpy(rng.random(len(rows)).round(1))}  # many equal scores

    def forward(self, images):
        return [self.answers[image.sum().item()] for image in images]


def network():
    torch.manual_seed(0)
    return maskrcnn(5, "resnet18", box_score_thresh=0.15, **SLIM)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = write_shapes(tmp_path_factory.mktemp("shapes"), 0, 30, size=(128, 192), seed=1, empty=0.2, crowds=0.5)
    return CocoDataset(folder / "val", folder / "annotations" / "instances_val.json")


def summary(annotations, results, kind):
    """The twelve figures of COCO's program, from files."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluator = COCOeval(truth, truth.loadRes(str(results)), kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats.tolist()


def check_against_files(data, folder):
    results = evaluate(Cheat(data, len(data.class_names) - 1), data, output_dir=folder, progress=False)
    for kind in ("bbox", "segm"):
        expected = summary(data.annotation_file, folder / f"results_{kind}.json", kind)
        assert list(results[kind].values()) == pytest.approx(expected, abs=1e-12)
        assert 0.2 < results[kind]["AP"] < results[kind]["AP50"] < 0.98, "too easy or too hard to prove anything"
    assert sorted(p.name for p in folder.iterdir()) == [
        "metrics.json", "precision_recall.png", "results_bbox.json", "results_segm.json"]
    assert json.loads((folder / "metrics.json").read_text()) == results
    return results


def test_equals_pycocotools_on_the_annotation_file(shapes, tmp_path):
    assert (shapes.annotation_counts == 0).any() and shapes._crowd.any()
    check_against_files(shapes, tmp_path)


@pytest.mark.skipif(not (REAL / "coco_mini").exists(), reason="the real images are not part of the project")
@pytest.mark.parametrize("split", ["val2017", "train2017"])
def test_equals_pycocotools_on_real_annotations(split, tmp_path):
    data = CocoDataset(REAL / "coco_mini" / split, REAL / "coco_mini" / "annotations" / f"instances_{split}.json")
    results = check_against_files(data, tmp_path)
    assert len(results["per_class"]["segm"]) == 80 and results["per_class"]["bbox"]["person"]["AP"] > 0.2


def test_the_other_backend_gives_the_same(shapes):
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is optional and not installed")
    for model, data in ((Cheat(shapes, 4), shapes), (network(), Subset(shapes, range(6))), (network(), [shapes[0]])):
        one, other = (evaluate(model, data, backend=b, progress=False) for b in ("pycocotools", "faster_coco_eval"))
        assert {k: v for k, v in one.items() if k in ("voc50", "jaccard50")} == {k: other[k] for k in ("voc50", "jaccard50")}
        for kind in ("bbox", "segm"):
            assert one[kind] == pytest.approx(other[kind], abs=1e-12)
            for name, figures in one["per_class"][kind].items():
                assert figures == pytest.approx(other["per_class"][kind][name], abs=1e-12)


def test_a_missing_backend_is_named(shapes, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("faster_coco_eval"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match="pip install faster-coco-eval"):
        evaluate(network(), shapes, backend="faster_coco_eval", progress=False)


def test_workers_batches_and_silence(shapes, capsys):
    expected = evaluate(network(), shapes, losses=True, batch_size=4, progress=False)
    assert evaluate(network(), shapes, losses=True, batch_size=4, num_workers=2, progress=False) == expected
    assert evaluate(Cheat(shapes, 4), shapes, batch_size=7, progress=False) == evaluate(Cheat(shapes, 4), shapes, progress=False)
    out = capsys.readouterr()
    assert out.out == out.err == ""
    evaluate(Cheat(shapes, 4), shapes)
    out = capsys.readouterr()
    assert out.out == "" and "30/30" in out.err


class Wary(CocoDataset):
    """Can be read only where Ctrl-C is left to the main process."""

    def __getitem__(self, index):
        assert get_worker_info() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return super().__getitem__(index)


def test_workers_leave_ctrl_c_to_the_main_process_and_none_stays_behind(shapes):
    data = Wary(shapes.image_dir, shapes.annotation_file)
    expected = evaluate(Cheat(shapes, 4), shapes, progress=False)
    assert evaluate(Cheat(shapes, 4), data, num_workers=2, progress=False) == expected
    assert not multiprocessing.active_children()


def test_an_unreadable_image_is_left_out_and_its_stand_in_counts_once(shapes, tmp_path):
    (tmp_path / "val").mkdir()
    for k, name in enumerate(shapes.file_names):
        whole = (shapes.image_dir / name).read_bytes()
        (tmp_path / "val" / name).write_bytes(whole[:100] if k in (3, 29) else whole)
    broken = CocoDataset(tmp_path / "val", shapes.annotation_file, skip_bad=True)
    rest = Subset(shapes, [i for i in range(30) if i not in (3, 29)])
    with pytest.warns(UserWarning, match="skipped"):
        results = evaluate(Cheat(shapes, 4), broken, progress=False)
    assert results == evaluate(Cheat(shapes, 4), rest, progress=False)


def test_torchvisions_network_with_the_same_weights(shapes, tmp_path):
    torch.manual_seed(1)
    theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=5, min_size=64, max_size=96,
                                   box_score_thresh=0.19, box_detections_per_img=12).eval()
    ours = maskrcnn(5, min_size=64, max_size=96, box_score_thresh=0.19, box_detections_per_img=12)
    ours.load_state_dict(theirs.state_dict())
    few = Subset(shapes, range(3))
    found = []
    for k, model in enumerate((theirs, ours)):
        with pytest.warns(UserWarning, match="best 12 of an image"):
            evaluate(model, few, output_dir=tmp_path / str(k), progress=False)
        found.append({(d["image_id"], d["category_id"], round(d["score"], 4)): d["segmentation"]
                      for d in json.loads((tmp_path / str(k) / "results_segm.json").read_text())})
    same = found[0].keys() & found[1].keys()
    assert len(same) > 0.9 * max(map(len, found)) > 5
    assert sum(found[0][key] == found[1][key] for key in same) > 0.9 * len(same)


WORLD = """
    import json, os, sys, torch
    from accelerate import Accelerator
    sys.path.insert(0, "tests")
    from simple_maskrcnn.data import ShapesDataset
    from test_evaluate import Cheat, evaluate, network
    folder = sys.argv[1]
    accelerator = Accelerator(cpu=True) if "RANK" in os.environ else None
    rank = os.environ.get("RANK", "alone")
    read = []

    class Watched(ShapesDataset):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    data = Watched(9, (64, 96), seed=4, empty=0.2, crowds=0.4)
    model, cheat = network(), Cheat(data, 4)
    if accelerator:
        assert accelerator.num_processes == 2
        model = accelerator.prepare(model)
    torch.manual_seed(int(rank == "1"))
    before = torch.get_rng_state()
    options = {"accelerator": accelerator, "progress": False}
    out = [evaluate(model, data, batch_size=2, losses=True, output_dir=f"{folder}/{rank}", **options),
           evaluate(cheat, data, batch_size=4, **options)]
    read.clear()
    out.append(evaluate(cheat, data, batch_size=9, **options))  # a single batch, so one process has none
    assert read == ([] if rank == "1" else list(range(9)))
    assert torch.equal(before, torch.get_rng_state()) and model.training
    with open(f"{folder}/{rank}.json", "w") as file:
        json.dump(out, file)
"""


def start(script, *args, **env):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), *map(str, args)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"} | env)


def test_two_processes_give_the_same_as_one(tmp_path, free_port):
    ranks = [start(WORLD, tmp_path, RANK=r, LOCAL_RANK=r, WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                   MASTER_PORT=free_port, ACCELERATE_USE_CPU="true") for r in "01"]
    for process in [*ranks, start(WORLD, tmp_path)]:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-3000:]
    one, first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("alone", "0", "1"))
    assert one == first == second
    assert 0.2 < one[1]["segm"]["AP"] < 0.95 and one[1] == one[2] and one[0]["loss"]["loss_mask"] > 0
    for name in ("results_segm.json", "metrics.json"):  # written by the first process only
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert not (tmp_path / "1").exists()


MEMORY = """
    import torch
    from simple_maskrcnn.ap import coco_detections

    def megabytes(field):  # ru_maxrss would not do: a new process begins with its parent's
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1000

    torch.manual_seed(0)
    corner, extent = torch.rand(100, 2) * torch.tensor([2000.0, 1200]), 100 + torch.rand(100, 2) * 700
    result = {"boxes": torch.cat([corner, corner + extent], 1), "labels": torch.ones(100, dtype=torch.int64),
              "scores": torch.rand(100), "masks": torch.rand(100, 28, 28)}
    coco_detections({k: v[:1] for k, v in result.items()}, (40, 30))  # everything is loaded
    before = megabytes("VmRSS")
    found = coco_detections(result, (2000, 3000))
    assert len(found) == 100 and found[0]["segmentation"]["size"] == [2000, 3000]
    print(megabytes("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
def test_peak_memory_of_a_hundred_masks_in_a_large_picture():
    "As full-size floats they are 2.4 GB, as bytes 600 MB."
    process = start(MEMORY)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    print(out.strip(), "MB")
    assert float(out) < 600


EVALUATION = MEMORY[: MEMORY.index("    torch.manual_seed(0)")] + """
    from simple_maskrcnn.evaluate import evaluate
    from simple_maskrcnn.model import maskrcnn

    torch.manual_seed(0)
    model = maskrcnn(2, box_score_thresh=0.0)  # a ResNet-50, at its usual input size
    target = {"boxes": torch.tensor([[100.0, 100, 900, 700]]), "labels": torch.ones(1, dtype=torch.int64),
              "masks": torch.zeros(1, 2000, 3000, dtype=torch.uint8)}
    target["masks"][0, 100:700, 100:900] = 1
    dataset = [(torch.rand(3, 2000, 3000), target)]
    little = {**target, "boxes": target["boxes"] / 50, "masks": target["masks"][:, ::50, ::50]}
    slim = maskrcnn(2, "resnet18", min_size=64, max_size=64, fpn_channels=16, box_channels=16, mask_channels=16)
    evaluate(slim, [(torch.rand(3, 40, 60), little)], output_dir=FOLDER, progress=False)  # everything is loaded
    before = megabytes("VmRSS")
    with torch.no_grad():
        model.eval().predict([dataset[0][0]], paste=False)  # the network's own need, as small masks
    network = megabytes("VmHWM")
    found = evaluate(model, dataset, output_dir=FOLDER, progress=False)
    print(megabytes("VmHWM") - before, megabytes("VmHWM") - network)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much memory a process used")
def test_peak_memory_of_a_whole_evaluation(tmp_path):
    "From a picture of 3000×2000 pixels to a hundred detections on disk, above the network and the picture."
    process = start(EVALUATION.replace("FOLDER", repr(str(tmp_path))))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert len(json.loads((tmp_path / "results_segm.json").read_text())) == 100
    print(out.strip(), "MB")
    whole, rest = map(float, out.split())
    assert whole < 600 and rest < 200  # rest: above the most that the network itself needs
