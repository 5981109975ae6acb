"""Training as processes live it: killed at any moment, interrupted, resumed, on two processes, with files damaged."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from conftest import ROOT, child_environment
from torch.utils.data import ConcatDataset, Subset

from simple_maskrcnn.data.augment import CopyPaste, eval_transforms, train_transforms
from simple_maskrcnn.data.coco import CocoDataset, write_shapes
from simple_maskrcnn.data.loader import repeat_factors
from simple_maskrcnn.data.shapes import ShapesDataset
from simple_maskrcnn.draw import default_device
from simple_maskrcnn.evaluation import tiles
from simple_maskrcnn.evaluation.evaluate import evaluate
from simple_maskrcnn.evaluation.tiles import tile_size
from simple_maskrcnn.files import read_metrics
from simple_maskrcnn.inference.predict import load_model
from simple_maskrcnn.network.model import MaskRCNN, maskrcnn
from simple_maskrcnn.training import run as training_run
from simple_maskrcnn.training import train as training
from simple_maskrcnn.training.checkpoint import load_checkpoint, save_checkpoint
from simple_maskrcnn.training.run import StepSampler
from simple_maskrcnn.training.train import fit

PHOTOS = ROOT.parent / "shared/data/coco_mini"
TINY = {"backbone": "resnet18", "levels": (3, 4), "fpn_channels": 16, "box_channels": 32, "mask_channels": 16, "min_size": 64,
        "max_size": 64, "anchor_sizes": [[16], [32], [48]], "rpn_post_nms_top_n_train": 50, "rpn_post_nms_top_n_test": 50,
        "box_batch_size_per_image": 16}

# A child process trains; KILL says when it dies: "step 4" after that step, "replace 3" in the third move of a file into
# place (in the middle of a save), "evaluate 2" in the second evaluation. "interrupt 4" is Ctrl-C, "terminate 4" SIGTERM.
CHILD = f"""
import json, os, signal, sys, torch
import simple_maskrcnn.training.checkpoint as checkpoint
import simple_maskrcnn.training.run as run
import simple_maskrcnn.training.train as training
from simple_maskrcnn.data.augment import eval_transforms, train_transforms
from simple_maskrcnn.data.shapes import ShapesDataset
from simple_maskrcnn.network.model import maskrcnn

torch.set_num_threads(1)
out, options = sys.argv[1], json.loads(sys.argv[2])
what, when = (os.environ.get("KILL") or "never 0").split()


def counted(function, name, number):
    calls = []

    def call(*args, **kwargs):
        calls.append(0)
        if what == name and len(calls) == int(when):
            if name == "interrupt":
                os.killpg(os.getpgrp(), signal.SIGINT)  # as a terminal does
            elif name == "terminate":
                os.killpg(os.getpgrp(), signal.SIGTERM)  # as a cluster does
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


for name in ("step", "interrupt", "terminate"):
    training.train_step = counted(training.train_step, name, when)
run.evaluate = counted(run.evaluate, "evaluate", when)
checkpoint.os.replace = counted(os.replace, "replace", when)

torch.manual_seed(0)
model = maskrcnn(5, **{TINY!r})
train = ShapesDataset(10, 64, seed=1, transforms=train_transforms(flip=0.5, color=0.5))
valid = ShapesDataset(6, 64, seed=2, transforms=eval_transforms())
options = {{"epochs": 2, "batch_size": 2, "save_every": 2, "log_every": 1, "ema": 0.9}} | options
training.fit(model, train, valid, output_dir=out, **options)
"""


def start(out: Path, options: dict | None = None, kill: str = "", launcher: tuple = ()) -> subprocess.CompletedProcess:
    env = child_environment(KILL=kill, OMP_NUM_THREADS="1")
    script = out.parent / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, *launcher, str(script), str(out), json.dumps(options or {})]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, start_new_session=True)


def weights(out: Path) -> dict:
    state = load_checkpoint(out)
    return {f"{part}.{k}": v for part in ("model", "average") for k, v in state[part].items()}


def assert_same_run(one: Path, other: Path):
    """Bit by bit the same weights, and the same losses and AP in the same order."""
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    clock = ("images_per_s", "memory_mb")
    a, b = ([{k: v for k, v in r.items() if k not in clock} for r in read_metrics(out / "metrics.jsonl")] for out in (one, other))
    assert a == b and len(a) > 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = start(out)
    assert done.returncode == 0, done.stderr
    return out


def test_each_evaluation_records_the_ap_of_each_class(whole):
    records = [record for record in read_metrics(whole / "metrics.jsonl") if "segm" in record]
    assert len(records) == 2
    for record in records:
        values = [ap for ap in record["segm_by_class"].values() if ap >= 0]  # −1: no object of that class
        assert set(record["segm_by_class"]) == {"circle", "square", "triangle", "star"}
        assert sum(values) / len(values) == pytest.approx(record["segm"]["AP"])


def test_killed_again_and_again_it_ends_with_the_same_bits(whole, tmp_path):
    out = tmp_path / "run"
    # after a step that no checkpoint holds; while a checkpoint is moved into place; in an evaluation; while models are saved
    for kill in ("step 4", "replace 4", "evaluate 1", "replace 12", "step 3"):
        assert start(out, kill=kill).returncode == -signal.SIGKILL, kill
    done = start(out)
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stdout
    assert_same_run(whole, out)


def test_interrupted_it_saves_and_says_how_to_go_on(whole, tmp_path):
    out = tmp_path / "run"
    done = start(out, kill="interrupt 3")
    assert done.returncode in (130, -signal.SIGINT), (done.returncode, done.stderr)  # on a GPU machine it was 1: say why
    assert "Stopped after step 4 of 10, and saved" in done.stdout
    assert load_checkpoint(out)["progress"]["step"] == 4  # the signal came after step 3; the next one is the first to know
    done = start(out, {"num_workers": 2}, kill="terminate 3")  # of the steps that are left
    assert done.returncode == 128 + signal.SIGTERM and "Stopped after step 8" in done.stdout
    assert start(out).returncode == 0
    assert_same_run(whole, out)


def test_worker_processes_and_a_finished_run_change_nothing(whole, tmp_path):
    out = tmp_path / "run"
    assert start(out, {"num_workers": 2}, kill="step 6").returncode == -signal.SIGKILL
    assert start(out, {"num_workers": 2}).returncode == 0
    assert_same_run(whole, out)
    before = weights(out)
    assert start(out).returncode == 0  # nothing is left to do
    assert all(torch.equal(before[k], v) for k, v in weights(out).items())


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A run that was killed after step 6."""
    out = tmp_path_factory.mktemp("killed") / "run"
    assert start(out, kill="step 6").returncode == -signal.SIGKILL
    return out


@pytest.mark.parametrize("damage", ["cut off", "one bit", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage, whole, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "run")
    newest = out / "checkpoint.pt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 4
    newest.write_bytes({"cut off": data[: len(data) // 2], "one bit": data, "empty": b""}[damage])
    done = start(out)
    assert done.returncode == 0, done.stderr
    assert "checkpoint.pt is damaged" in done.stderr
    assert_same_run(whole, out)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_learn_what_one_does(accumulate, tmp_path):
    """Two processes with one or two batches of two images each, and one process that adds up as many gradients as both."""
    options = {"ema": None, "optimizer": "sgd", "lr": 0.02, "warmup": 0, "epochs": 1 + accumulate, "precision": "no"}
    alone, both = tmp_path / "alone", tmp_path / "both"
    done = start(alone, options | {"accumulate": 2 * accumulate})
    assert done.returncode == 0, done.stderr
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    done = start(both, options | {"accumulate": accumulate}, launcher=launcher)
    assert done.returncode == 0, done.stderr
    a, b = (read_metrics(out / "metrics.jsonl") for out in (alone, both))
    a, b = ([r for r in records if "loss" in r] for records in (a, b))
    assert len(a) == len(b) == 6
    same = slice(4 - accumulate)  # with two batches each, the third step differed by 0.25 %: rounding alone? not known
    for one, two in zip(a[same], b[same], strict=True):
        for name in ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask", "grad_norm"):
            assert one[name] == pytest.approx(two[name], rel=2e-3), (one["step"], name)
    assert a[0]["loss"] == pytest.approx(b[0]["loss"], rel=1e-5)
    # the network that was evaluated on two processes is the one that was kept, with its batch norm's averages
    kept = MaskRCNN.from_pretrained(both / "last")
    found = evaluate(kept, ShapesDataset(6, 64, seed=2, transforms=eval_transforms()), batch_size=2, losses=True, progress=False)
    (last,) = [r["valid"] for r in read_metrics(both / "metrics.jsonl") if r.get("epoch") == 1 + accumulate and "valid" in r]
    assert {k: v for k, v in last.items() if k != "loss"} == pytest.approx(found["loss"], rel=1e-4)


NOTEBOOK = f"""
from accelerate import notebook_launcher

def work(out):
    import torch
    from simple_maskrcnn.data.shapes import ShapesDataset
    from simple_maskrcnn.network.model import maskrcnn
    from simple_maskrcnn.training.train import fit

    torch.set_num_threads(1)
    torch.manual_seed(0)
    fit(maskrcnn(5, **{TINY!r}), ShapesDataset(8, 64, seed=1), epochs=1, output_dir=out)

if __name__ == "__main__":
    import sys
    notebook_launcher(work, (sys.argv[1],), num_processes=2, use_port=sys.argv[2])
"""


def test_a_notebook_launches_two_processes(tmp_path, free_port):
    script = tmp_path / "notebook.py"
    script.write_text(NOTEBOOK)
    env = child_environment(OMP_NUM_THREADS="1")
    command = [sys.executable, str(script), str(tmp_path / "run"), free_port]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "2 × 2 processes" in done.stdout
    assert load_checkpoint(tmp_path / "run")["progress"]["step"] == 2


SCRIPT = f"""
import json, sys, torch
from simple_maskrcnn.data.augment import eval_transforms
from simple_maskrcnn.data.shapes import ShapesDataset
from simple_maskrcnn.evaluation import tiles
from simple_maskrcnn.evaluation.evaluate import evaluate
from simple_maskrcnn.evaluation.tiles import tile_size
from simple_maskrcnn.network.model import maskrcnn
from simple_maskrcnn.training.run import start_processes
from simple_maskrcnn.training.train import fit, make_accelerator

start_processes()
torch.manual_seed(0)
model, accelerator = maskrcnn(5, **{TINY!r}), make_accelerator()
fit(model, ShapesDataset(8, 64, seed=1), epochs=1, output_dir=sys.argv[1], accelerator=accelerator)
found = evaluate(model, ShapesDataset(4, 64, seed=2, transforms=eval_transforms()), accelerator=accelerator, progress=False)
seen = [accelerator.process_index, accelerator.num_processes, torch.get_num_threads(), found["segm"]]
print(f"seen {{json.dumps(seen)}}\\n", end="", flush=True)
accelerator.end_training()
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2 or os.name != "posix", reason="needs two cores, and a system with exec")
def test_a_script_starts_itself_anew_as_two_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {k: v for k, v in child_environment().items() if k != "OMP_NUM_THREADS"}
    command = [sys.executable, str(script), str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = sorted(json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("seen "))
    threads = os.cpu_count() // 2
    assert [row[:3] for row in seen] == [[0, 2, threads], [1, 2, threads]]
    assert seen[0][3] == seen[1][3]  # the accelerator that was given stays open, and both processes evaluate
    assert "Grad strides" not in done.stderr
    assert load_checkpoint(tmp_path / "run")["progress"]["step"] == 2


# What can be seen from inside one process.


@pytest.fixture
def tiny() -> MaskRCNN:
    torch.manual_seed(0)
    return maskrcnn(5, **TINY)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SIMPLE_MASKRCNN_DEVICE", "cpu")


def shapes(n: int = 4, seed: int = 1) -> ShapesDataset:
    return ShapesDataset(n, 64, seed=seed, transforms=train_transforms())


def test_another_network_is_refused_with_the_difference(tiny, tmp_path):
    fit(tiny, shapes(), epochs=1, output_dir=tmp_path)
    for change, said in (({"fpn_channels": 24}, "model.fpn_channels: 16 in the checkpoint, 24 now"),
                         ({"backbone": "resnet34"}, "model.backbone: 'resnet18' in the checkpoint, 'resnet34' now")):
        with pytest.raises(ValueError, match=said):
            fit(maskrcnn(5, **(TINY | change)), shapes(), epochs=2, output_dir=tmp_path)
    fewer = shapes()
    fewer.class_names = fewer.class_names[:4]
    with pytest.raises(ValueError, match="model.num_classes: 5 in the checkpoint, 4 now"):
        fit(maskrcnn(4, **TINY), fewer, epochs=2, output_dir=tmp_path)
    with pytest.raises(ValueError, match="seed: 0 in the checkpoint, 3 now"):
        fit(maskrcnn(5, **TINY), shapes(), epochs=2, output_dir=tmp_path, seed=3)
    assert fit(maskrcnn(5, **TINY), shapes(), epochs=2, output_dir=tmp_path)["step"] == 4  # more epochs are welcome


def test_windows_copy_paste_and_repeats_resume_exactly(tmp_path, monkeypatch):
    files = write_shapes(tmp_path / "world", 10, 0, 64, seed=3)
    place, step, calls = (files / "train", files / "annotations/instances_train.json"), training.train_step, []

    def run(out, threshold=0.9):
        torch.manual_seed(0)
        data = CopyPaste(CocoDataset(*place, train_transforms(crop=48, rotate90=True, color=0.3)), 0.7)
        return fit(maskrcnn(5, **TINY), data, epochs=2, output_dir=tmp_path / out, save_every=1, repeat_threshold=threshold)

    def dies(*args):
        calls.append(0)
        return 1 / 0 if len(calls) in (3, 8) else step(*args)

    whole = run("whole")
    repeats = repeat_factors(CocoDataset(*place), 0.9)
    assert whole["step"] == 2 * -(-round(float(repeats.sum())) // 2) > 10
    monkeypatch.setattr(training, "train_step", dies)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run("killed")
    assert run("killed")["step"] == whole["step"] and len(calls) > 8
    states = [load_checkpoint(tmp_path / out)["model"] for out in ("whole", "killed")]
    assert all(value.equal(states[1][name]) for name, value in states[0].items())
    with pytest.raises(ValueError, match="repeat_threshold: 0.9 in the checkpoint, None now"):
        run("killed", None)


@pytest.fixture
def pictures(tmp_path) -> dict:
    """A training and a validation set of pictures of 64 pixels, by transforms."""
    place = write_shapes(tmp_path / "pictures", 4, 2, 64)
    return {name: lambda transforms=None, name=name: CocoDataset(
        place / name, place / f"annotations/instances_{name}.json", transforms) for name in ("train", "val")}


@pytest.mark.parametrize("options, resize, scale", [
    ({}, True, 2), ({"crop": 32}, False, 1), ({"scales": [48]}, False, 0.75), ({"large_scale_jitter": (0.5, 2, 64)}, False, 1)])
def test_tiles_auto_is_as_large_as_training(options, resize, scale, pictures, tmp_path):
    train = pictures["train"](train_transforms(**options))
    model = maskrcnn(5, **TINY | {"min_size": 128, "max_size": 128, "train_resize": resize})
    assert tile_size(True, model.transform) == (128, 128)  # nobody knows
    fit(model, train, epochs=1, output_dir=tmp_path / "run", precision="no")
    for again in (model, load_model(tmp_path / "run", "cpu"), maskrcnn(weights=str(tmp_path / "run"))):
        assert again.transform.train_scale == scale
        assert tile_size(True, again.transform) == (round(128 / scale),) * 2
    assert load_model(tmp_path / "run", "cpu", min_size=256, max_size=256).transform.train_scale == scale  # windows stay
    state = load_checkpoint(tmp_path / "run")
    assert state["settings"]["model"]["train_scale"] is None  # a run of before had none, and goes on
    del state["settings"]["model"]["train_scale"]
    save_checkpoint(tmp_path / "run", state)
    fit(model, train, epochs=2, output_dir=tmp_path / "run", precision="no")


def test_validation_pictures_too_large_to_be_decoded_whole_are_looked_at_in_windows(pictures, tmp_path, monkeypatch, capsys):
    train, valid, calls = pictures["train"](train_transforms(crop=32)), pictures["val"](), []
    monkeypatch.setattr(tiles, "LARGE", 64 * 64 - 1)
    item = CocoDataset.__getitem__
    monkeypatch.setattr(CocoDataset, "__getitem__", lambda data, i: calls.append(data) or item(data, i))
    model = maskrcnn(5, **TINY | {"min_size": 32, "max_size": 32, "train_resize": False})
    record = fit(model, train, valid, epochs=1, output_dir=tmp_path / "run", precision="no")["valid"]
    assert calls and valid not in calls and "in windows of 32×32 pixels" in capsys.readouterr().out
    found = evaluate(model, valid, losses=True, progress=False, batch_size=2, tiles=32)
    assert record["segm"] == found["segm"] and record["valid"]["loss_mask"] == pytest.approx(found["loss"]["loss_mask"])
    fit(model, train, valid, epochs=2, output_dir=tmp_path / "run", precision="no", tiles=48)
    assert "evaluation.tiles: None in the checkpoint, 48 now" in (said := capsys.readouterr().out) and "best/ begins anew" in said


def test_processes_share_an_epoch_with_repeats():
    repeats = torch.tensor([1.0, 2.5, 1.25] * 7, dtype=torch.float64)
    samplers = [StepSampler([(1, 1)] * 21, 2, processes=2, process=k, repeats=repeats) for k in (0, 1)]
    (first, second), batches = map(list, samplers), samplers[0].batches(0)
    assert [b for pair in zip(first, second, strict=True) for b in pair][: len(batches)] == batches
    assert len(first) == samplers[0].steps and sum(map(len, batches)) == samplers[0].count == round(float(repeats.sum()))


def test_classes_that_do_not_fit_are_an_error(tiny, tmp_path):
    with pytest.raises(ValueError, match="the network has 3 classes, the training images have 5"):
        fit(maskrcnn(3, **TINY), shapes(), epochs=1, output_dir=tmp_path)
    other = shapes()
    other.class_names = ["background", "circle", "sun"]
    with pytest.raises(ValueError, match="validation images have the class 'sun'"):
        fit(tiny, shapes(), other, epochs=1, output_dir=tmp_path)
    tiny.class_names = ["background", "square", "circle", "triangle", "star"]
    with pytest.raises(ValueError, match="class names differ"):
        fit(tiny, shapes(), epochs=1, output_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


class Turned(ShapesDataset):
    """The same pictures and objects, with the classes in another order."""

    class_names = ["background", "star", "triangle", "square", "circle"]

    def __getitem__(self, index):
        image, target = super().__getitem__(index)
        return image, target | {"labels": 5 - target["labels"]}


def test_validation_classes_in_another_order_are_matched_by_name(tmp_path):
    results = []
    for kind in (ShapesDataset, Turned):
        torch.manual_seed(0)
        valid = Subset(kind(4, 64, seed=2, transforms=eval_transforms()), [3, 1, 0])
        results.append(fit(maskrcnn(5, **TINY), shapes(), valid, epochs=1, output_dir=tmp_path / kind.__name__)["valid"])
    assert results[0]["valid"] == results[1]["valid"] and results[0]["segm"] == results[1]["segm"]
    assert results[0]["segm_by_class"] == results[1]["segm_by_class"]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_images(tiny, tmp_path, monkeypatch):
    step = training.train_step

    def poisoned(accelerator, model, *args):
        if (tmp_path / "checkpoint.pt").exists():
            torch.nn.init.constant_(model.roi_heads.mask_predictor.mask_fcn_logits.bias, float("inf"))
        return step(accelerator, model, *args)

    monkeypatch.setattr(training, "train_step", poisoned)
    with pytest.raises(FloatingPointError, match=r"'loss_mask': (nan|inf).*ids \[[0-3], [0-3]\]"):
        fit(tiny, shapes(), epochs=3, output_dir=tmp_path)
    saved = load_checkpoint(tmp_path)
    assert saved["progress"]["step"] == 2 and all(v.isfinite().all() for v in saved["model"].values())


def test_weights_that_lead_nowhere_are_named(tiny, tmp_path):
    """Not finite before the run: nothing is written. Finite, but exploded, in the only checkpoint: how to leave it behind."""
    with torch.no_grad():
        tiny.roi_heads.box_predictor.bbox_pred.bias[0] = float("nan")
    with pytest.raises(ValueError, match="not finite, the first is roi_heads.box_predictor.bbox_pred.bias"):
        fit(tiny, shapes(), epochs=1, output_dir=tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
    again = dict(epochs=2, output_dir=tmp_path / "exploded", save_every=1, warmup=0)
    for lr in (1e30, 1e-3):
        with pytest.raises(FloatingPointError, match="step 1 leads there at once: begin anew, with resume=False and a small"):
            fit(maskrcnn(5, **TINY), shapes(), lr=lr, **again)
    assert not (tmp_path / "exploded/checkpoint-previous.pt").exists()
    assert fit(maskrcnn(5, **TINY), shapes(), lr=1e-3, resume=False, **again)["epoch"] == 2
    shutil.copy(tmp_path / "exploded/checkpoint.pt", tmp_path / "exploded/checkpoint-previous.pt")
    saved = torch.load(tmp_path / "exploded/checkpoint.pt", weights_only=True)
    with torch.no_grad():
        saved["model"]["backbone.fpn.layer_blocks.0.0.weight"].fill_(1e30)
    torch.save(saved, tmp_path / "exploded/checkpoint.pt")
    with pytest.raises(FloatingPointError, match="move checkpoint.pt away, and with a smaller lr or clip_norm the same call"):
        fit(maskrcnn(5, **TINY), shapes(), lr=1e-3, **again | {"epochs": 3})


def test_exploded_weights_are_not_saved_over_good_ones(tiny, tmp_path, monkeypatch):
    advance = training.Run.advance

    def explode(run, losses):
        advance(run, losses)
        if run.step == 3:
            torch.nn.init.constant_(run.model.roi_heads.box_predictor.bbox_pred.bias, float("nan"))

    options = {"epochs": 3, "output_dir": tmp_path, "batch_size": 2}
    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "advance", explode)
        with pytest.raises(FloatingPointError, match="weights are not finite after step 3.*checkpoint of step 2 is whole"):
            fit(tiny, shapes(), **options, save_every=1)
        with pytest.raises(FloatingPointError, match="The weights are not finite: an earlier.*checkpoint of step 2 is whole"):
            fit(tiny, shapes(), **options)  # noticed by the step after it
    assert load_checkpoint(tmp_path)["progress"]["step"] == 2
    assert fit(maskrcnn(5, **TINY), shapes(), **options)["step"] == 6  # and the run goes on


def test_a_schedule_that_is_stretched_says_what_the_rate_becomes(tiny, tmp_path, capsys):
    fit(tiny, shapes(), epochs=2, output_dir=tmp_path, lr=0.01, log_every=1)
    fit(tiny, shapes(), epochs=2, output_dir=tmp_path, lr=0.01, log_every=1)
    assert "laid anew" not in capsys.readouterr().out
    fit(tiny, shapes(), epochs=4, output_dir=tmp_path, lr=0.01, log_every=1)
    rates = [r["lr"] for r in read_metrics(tmp_path / "metrics.jsonl") if "lr" in r]
    said = f"the learning rate was {rates[3]:.2g}, is {rates[4]:.2g} in the next step and {rates[-1]:.2g} in the last"
    assert said in capsys.readouterr().out and rates[4] > 3 * rates[3]


def test_a_run_says_that_it_goes_on_with_other_annotations_and_refuses_a_changed_network(tmp_path, capsys):
    def go_on(epochs, learn=slice(None), judge=slice(None), **changed):
        torch.manual_seed(0)
        model = maskrcnn(5, **TINY)
        vars(model.transform).update(changed)
        train, valid = (CocoDataset(root / part, root / f"annotations/instances_{part}.json") for part in ("train", "val"))
        train._boxes[learn], valid._boxes[judge] = train._boxes[learn] + 1, valid._boxes[judge] + 1
        capsys.readouterr()
        fit(model, train, valid, epochs=epochs, output_dir=tmp_path / "run")
        return [line for line in capsys.readouterr().out.split("\n") if "not those of before" in line]

    root = write_shapes(tmp_path / "data", 3, 2, 64)
    none = slice(0)
    assert go_on(1, none, none) == go_on(2, none, none) == []
    checkpoint = load_checkpoint(tmp_path / "run")
    checkpoint["progress"]["best"] = 0.9
    save_checkpoint(tmp_path / "run", checkpoint)
    assert go_on(3, slice(1), none) == ["the training images, or their annotations, are not those of before"]
    assert load_checkpoint(tmp_path / "run")["progress"]["best"] == 0.9
    assert go_on(4, slice(1), slice(1)) == ["the validation images, or their annotations, are not those of before"]
    assert load_checkpoint(tmp_path / "run")["progress"]["best"] < 0.9  # chosen anew
    with pytest.raises(ValueError, match=r"model.max_size: 64 in the checkpoint, 80 now"):
        go_on(5, slice(1), slice(1), max_size=80)  # changed after it was made


def test_a_run_says_what_it_is_told_otherwise_and_when_best_stays_behind(tmp_path, capsys):
    root = write_shapes(tmp_path / "data", 3, 2, 64)
    for name in "ab":
        maskrcnn(5, **TINY).save_pretrained(tmp_path / name)

    def go_on(epochs, weights, judged=True, **options):
        torch.manual_seed(0)
        model = maskrcnn(weights=tmp_path / weights, class_names=ShapesDataset.class_names, trainable_layers=5)
        train, valid = (CocoDataset(root / part, root / f"annotations/instances_{part}.json", **options)
                        for part in ("train", "val"))
        capsys.readouterr()
        fit(model, train, valid if judged else None, epochs=epochs, output_dir=tmp_path / "run", batch_size=4)
        return capsys.readouterr().out

    assert not any(word in go_on(1, "a") for word in ("not used", "than before", "best/"))
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["weights"] == str(tmp_path / "a") and config["training"]["part 1"]["image_dir"] == str(root / "train")
    os.utime(root / "train/000001.png", (1, 1))
    said = go_on(2, "b", judged=False, transforms=eval_transforms())
    assert f"{str(tmp_path / 'b')!r} are not used" in said and f"began with {str(tmp_path / 'a')!r}" in said
    assert "files of the training images have another size or date" in said and "training, part 1.transforms: 'None'" in said
    assert "best/ stays the network of before" in said
    said = go_on(3, "a", transforms=eval_transforms())
    assert not any(word in said for word in ("not used", "than before", "best/ stays", "training, part 1"))
    assert "best/ begins anew" in said  # other transforms of the validation images, too


def test_a_record_says_which_weights_a_run_began_with(tiny, tmp_path, capsys):
    def began_with(name, **options):
        fit(tiny, shapes(), epochs=1, output_dir=tmp_path / name, batch_size=4, **options)
        return json.loads((tmp_path / name / "config.json").read_text())["weights"]

    assert began_with("a") is None and began_with("b", ema=0.5) == str(tmp_path / "a")
    assert began_with("c") == str(tmp_path / "b")
    tiny.load_state_dict(tiny.state_dict())
    assert began_with("d") == "a state dict"
    capsys.readouterr()
    fit(tiny, shapes(), epochs=2, output_dir=tmp_path / "d", batch_size=4)  # the network in memory is that of the run
    assert "not used" not in capsys.readouterr().out
    assert json.loads((tmp_path / "d/config.json").read_text())["weights"] == "a state dict"
    assert began_with("e") == str(tmp_path / "d")


def test_best_begins_anew_where_ap_is_measured_otherwise(tiny, tmp_path, monkeypatch, capsys):
    ap = iter([0.6, 0.5, 0.4])

    def found(*_, **__):
        figures = {"AP": next(ap)}
        return {"truth": "", "loss": {"loss_mask": 1.0}, "bbox": figures, "segm": figures} | {
            name: {"segm": {}} for name in ("per_class", "best_score")}

    monkeypatch.setattr("simple_maskrcnn.training.run.evaluate", found)
    for epochs, most, best, anew in ((1, 100, 0.6, False), (2, 100, 0.6, False), (3, 200, 0.4, True)):
        fit(tiny, shapes(), shapes(), epochs=epochs, output_dir=tmp_path, batch_size=4, max_detections=most)
        assert load_checkpoint(tmp_path)["progress"]["best"] == best
        said = capsys.readouterr().out
        assert ("max_detections: 100 in the checkpoint, 200 now" in said) == ("best/ begins anew" in said) == anew


def test_best_is_the_latest_of_equal_ap_and_needs_one(tiny, tmp_path, monkeypatch):
    ap = []
    found = {"truth": "", "best_score": {"segm": {}}, "loss": {"loss_mask": 1.0}, "bbox": {"AP": 0.0}, "per_class": {"segm": {}}}
    monkeypatch.setattr("simple_maskrcnn.training.run.evaluate", lambda *_, **__: found | {"segm": {"AP": ap.pop(0)}})
    for case, (values, same) in enumerate((([0.0, 0.0], True), ([0.5, 0.2], False), ([0.2, 0.5], True))):
        ap[:], tiny.weights_from = values, None  # a network that had weights is judged before the first step, too
        fit(tiny, shapes(4), shapes(2), epochs=2, output_dir=tmp_path / str(case), batch_size=4)
        best, last = ((tmp_path / str(case) / name / "model.safetensors").read_bytes() for name in ("best", "last"))
        assert (best == last) is same, values
    ap[:], tiny.weights_from = [-1.0], None  # there was no object to find
    fit(tiny, shapes(4), shapes(2), epochs=1, output_dir=tmp_path / "none", batch_size=4)
    assert not (tmp_path / "none/best").exists()


def test_joined_datasets_are_looked_at_part_by_part(tiny, tmp_path, capsys):
    root = write_shapes(tmp_path / "data", 3, 2, 64)
    content = json.loads((root / "annotations/instances_val.json").read_text())
    (root / "annotations/empty.json").write_text(json.dumps(content | {"annotations": []}))
    train, valid, empty = (CocoDataset(root / part, root / f"annotations/{name}.json") for part, name in (
        ("train", "instances_train"), ("val", "instances_val"), ("val", "empty")))
    train._boxes[0] = 0, 0, 3, 3  # does not fit its mask
    with pytest.raises(ValueError, match="(?s)training, part 2 of 2: .*box does not fit"):
        fit(tiny, ConcatDataset([valid, train]), epochs=1, output_dir=tmp_path / "run")
    both = ConcatDataset([empty, Subset(ConcatDataset([valid, valid]), [1])])  # a part that is all background is no error
    with pytest.raises(ValueError, match="000001.png"):
        fit(tiny, both, Subset(ConcatDataset([valid]), [1]), epochs=1, output_dir=tmp_path / "run", strict="in validation")
    with pytest.raises(ValueError, match="nothing to learn from"):
        fit(tiny, ConcatDataset([empty, empty]), epochs=1, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    fit(tiny, valid, copy.copy(valid), epochs=1, output_dir=tmp_path / "run", strict="in validation")  # on purpose: no leak
    assert "the same images as in training" in capsys.readouterr().out


def test_joined_datasets_have_one_set_of_names(tiny, tmp_path):
    with pytest.raises(ValueError, match="joined must have the same class names"):
        fit(tiny, ConcatDataset([shapes(), Turned(4, 64)]), epochs=1, output_dir=tmp_path)
    fit(tiny, ConcatDataset([shapes(), shapes()]), ConcatDataset([Turned(4, 64), Turned(4, 64)]), epochs=1, output_dir=tmp_path)
    assert json.loads((tmp_path / "last/config.json").read_text())["class_names"] == ShapesDataset.class_names


def test_a_list_of_pairs_trains_and_says_that_it_has_no_names(tiny, tmp_path, capsys):
    learn = list(shapes())
    milestones = {"schedule": "multistep", "milestones": [1, 9]}
    fit(tiny, learn, learn, epochs=2, output_dir=tmp_path, batch_size=4, warmup=2, **milestones)
    said = capsys.readouterr().out
    assert "no class names: classes go by number" in said and "ends before the milestones [9]" in said
    assert "never exceeds" in said and json.loads((tmp_path / "config.json").read_text())["arguments"]["milestones"] == [1, 9]


def test_what_cannot_learn_is_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"torch.float16; to learn they must be float32"):
        fit(tiny.half(), shapes(), epochs=1, output_dir=tmp_path)
    with pytest.raises(ValueError, match="all weights of the network are frozen"):
        fit(tiny.float().requires_grad_(False), shapes(), epochs=1, output_dir=tmp_path)
    with pytest.raises(ValueError, match="fp16' needs a GPU") if default_device().type == "cpu" else nullcontext():
        training.make_accelerator("fp16")
    assert list(tmp_path.iterdir()) == []


class Unlucky(ShapesDataset):
    """Cannot be read, once."""

    reads = 0

    def __getitem__(self, index):
        type(self).reads += 1
        if self.reads == 6:  # four are looked at before, and one is half of the first step
            raise OSError("unlucky")
        return super().__getitem__(index)


def test_a_call_that_broke_off_within_a_step_leaves_nothing_to_the_next(tmp_path):
    results = []
    for kind in (ShapesDataset, Unlucky):
        torch.manual_seed(0)
        model, accelerator = maskrcnn(5, norm="frozen", **TINY), training.make_accelerator("no", accumulate=2)
        start = model.rpn.head.cls_logits.weight.clone()
        for _ in range(1 + (kind is Unlucky)):
            with pytest.raises(OSError, match="unlucky") if kind.__dict__.get("reads") == 0 else nullcontext():
                out = tmp_path / kind.__name__
                fit(model, kind(4, 64, seed=1), epochs=1, output_dir=out, batch_size=1, accelerator=accelerator)
        results.append(model.rpn.head.cls_logits.weight.detach().clone())
        assert not torch.equal(start, results[-1])
    assert torch.equal(*results)


def test_more_images_in_a_batch_than_there_are_count_as_those_that_are(tiny, tmp_path, capsys):
    fit(tiny, shapes(), epochs=1, output_dir=tmp_path, batch_size=100)
    assert "1 steps, 1 an epoch, of 4 images (4 × 1" in capsys.readouterr().out


def test_a_call_that_is_refused_leaves_everything_as_it_was(tiny, tmp_path):
    def look():
        return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in sorted(tmp_path.rglob("*"))}

    options = {"epochs": 1, "output_dir": tmp_path / "run", "resume": False}
    fit(tiny, shapes(), **options)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "metrics.jsonl").write_text("{}")
    before = look()
    two = shapes(2)
    two.class_names = ["background", "a", "b", "c", "d"]
    for change in ({"schedule": "cosin"}, {"seed": -1}, {"max_detections": 10}, {"train": two}, {"output_dir": tmp_path / "mine"},
                   {"output_dir": tmp_path / "mine", "resume": True}, {"output_dir": tmp_path / "new", "lr": 0}):
        with pytest.raises((ValueError, OSError)):
            fit(**{"model": tiny, "train": shapes(), "valid": None} | options | change)
        assert look() == before, change
    with training.hold(tmp_path / "run"):  # a second run, in a process of its own
        done = start(tmp_path / "run")
        assert done.returncode == 1 and f"is held by process {os.getpid()} on " in done.stderr
    (tmp_path / "child.py").unlink()
    assert look().keys() == before.keys()


def test_a_terminal_that_knows_only_ascii_and_a_log_file_without_a_bar(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("start_processes()", ""))
    env = child_environment(OMP_NUM_THREADS="1", PYTHONIOENCODING="ascii", PYTHONUTF8="0", ACCELERATE_MIXED_PRECISION="bf16")
    command = [sys.executable, str(script), str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert r"(2 \xd7 1 processes \xd7 1 accumulated); bf16 mixed precision" in done.stdout  # as `accelerate launch` said
    assert re.search("step: 4 of 4 after .*, loss ", done.stderr) and done.stderr.count("step: ") == 2
    assert "starts one process" in done.stdout


def test_all_checkpoints_damaged_is_an_error(tiny, tmp_path):
    fit(tiny, shapes(), epochs=2, output_dir=tmp_path)
    for name in ("checkpoint.pt", "checkpoint-previous.pt"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ValueError, match="none of the checkpoints"):
        fit(tiny, shapes(), epochs=2, output_dir=tmp_path)


def test_tensorboard_gets_losses_and_ap(tiny, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    valid = ShapesDataset(3, 64, seed=2, transforms=eval_transforms())
    result = fit(tiny, shapes(), valid, epochs=2, output_dir=tmp_path, log_every=1, trackers=["tensorboard"])
    (events,) = tmp_path.glob("simple_maskrcnn/events.*")
    log = event_accumulator.EventAccumulator(str(events))
    log.Reload()
    found = {tag: log.Scalars(tag) for tag in log.Tags()["scalars"]}
    assert [e.step for e in found["loss"]] == [1, 2, 3, 4] and [e.step for e in found["segm/AP"]] == [2, 4]
    assert found["valid/loss"][-1].value == pytest.approx(result["valid"]["valid"]["loss"], rel=1e-5)


def test_what_a_run_leaves_behind(tiny, tmp_path):
    valid = ShapesDataset(3, 64, seed=2, transforms=eval_transforms())
    result = fit(tiny, shapes(), valid, epochs=1, output_dir=tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoint.pt", "checkpoint-previous.pt", "config.json", "metrics.jsonl", "losses.png", "best", "last"}
    assert json.loads((tmp_path / "config.json").read_text())["arguments"]["epochs"] == 1
    last = MaskRCNN.from_pretrained(tmp_path / "last")
    assert last.class_names == ShapesDataset.class_names
    assert all(torch.equal(v, last.state_dict()[k]) for k, v in tiny.state_dict().items())
    assert result["valid"]["valid"]["loss"] > 0 and result["step"] == 2


def test_one_network_trained_again_and_again_has_the_precision_asked_for(tiny, tmp_path):
    seen = []
    tiny.backbone.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    for k, precision in enumerate(("bf16", "no", "bf16")):
        fit(tiny, shapes(2), epochs=1, output_dir=tmp_path / str(k), precision=precision)
    assert seen == [True, False, True]
    assert not hasattr(tiny, "_original_forward") and all(p.dtype == torch.float32 for p in tiny.parameters())
    fit(tiny, shapes(2), epochs=1, output_dir=tmp_path / "0", resume=False)  # anew, though there is a checkpoint
    assert len(seen) == 4


def test_every_step_is_in_the_log_however_short_the_epochs(tiny, tmp_path):
    fit(tiny, shapes(), epochs=3, output_dir=tmp_path / "in-tens")
    fit(maskrcnn(5, **TINY), shapes(), epochs=3, output_dir=tmp_path / "in-fours", log_every=4)
    tens, fours = ([r["step"] for r in read_metrics(tmp_path / name / "metrics.jsonl")] for name in ("in-tens", "in-fours"))
    assert tens == [6] and fours == [4, 6]
    assert load_checkpoint(tmp_path / "in-fours")["progress"]["window"] == []


def test_a_layer_unfrozen_between_two_calls_is_an_error(tiny, tmp_path):
    for p in tiny.backbone.parameters():
        p.requires_grad_(False)
    fit(tiny, shapes(), epochs=1, output_dir=tmp_path, optimizer="sgd")
    for p in tiny.backbone.parameters():
        p.requires_grad_(True)
    with pytest.raises(ValueError, match=r"frozen.backbone.body.layer1: .* in the checkpoint, None now"):
        fit(tiny, shapes(), epochs=2, output_dir=tmp_path, optimizer="sgd")


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the photographs in ../shared/data/coco_mini")
def test_real_photographs_train_and_evaluate(tmp_path):
    train, valid = (CocoDataset(PHOTOS / f"{split}2017", PHOTOS / f"annotations/instances_{split}2017.json", transforms)
                    for split, transforms in (("train", train_transforms()), ("val", eval_transforms())))
    model = maskrcnn(len(train.class_names), **(TINY | {"min_size": 128, "max_size": 200}))
    result = fit(model, Subset(train, range(12)), Subset(valid, range(6)), epochs=1, batch_size=4, output_dir=tmp_path)
    assert result["step"] == 3 and 0 < result["train"]["loss"] < 100
    assert -1 <= result["valid"]["segm"]["AP"] < 0.1  # from scratch, after three steps
    assert MaskRCNN.from_pretrained(tmp_path / "last").class_names[1] == "person"


@pytest.mark.parametrize("names", [None, ["background", "a", "b", "c", "d"], ["background", "0", "1", "2", "3"]])
def test_thresholds_of_a_dataset_without_names(names, tmp_path, monkeypatch):
    """Its classes are called 1, 2, … whatever the network calls them: what validation found is theirs by number."""
    best = {"1": 0.7, "2": 0.6, "3": -1, "4": 0.4}
    monkeypatch.setattr(training_run, "evaluate", lambda *data, **options: (
        evaluate(*data, **options) | {"best_score": {"segm": best, "bbox": best}}))
    model, items = maskrcnn(5, **TINY, class_names=names), [shapes()[i] for i in range(2)]
    fit(model, items, items, epochs=1, output_dir=tmp_path / "run")
    assert load_model(tmp_path / "run", "cpu").score_thresholds == [0.7, 0.6, 0.5, 0.4]


def test_the_scale_of_training_stays_with_its_sizes(tmp_path):
    maskrcnn(5, **TINY, train_scale=2.0).save_pretrained(tmp_path / "run")
    assert maskrcnn(weights=tmp_path / "run").transform.train_scale == 2.0
    assert maskrcnn(weights=tmp_path / "run", min_size=96, max_size=96).transform.train_scale is None


def test_pictures_that_the_weights_have_learnt_are_told(pictures, tmp_path, capsys):
    """Of a run, and of the run before it; not where they are in training again, which is told as such."""
    train, valid, both = pictures["train"], pictures["val"](), ConcatDataset([pictures["val"](), pictures["train"]()])
    fit(maskrcnn(5, **TINY), train(), epochs=1, output_dir=tmp_path / "old")
    fit(maskrcnn(weights=tmp_path / "old"), valid, both, epochs=1, output_dir=tmp_path / "new")
    assert "validation: 4 of 6 pictures are among those that" in (said := capsys.readouterr().out) and "old has learnt" in said
    assert said.count("are among those") == 1
    with pytest.warns(UserWarning, match="6 of 6 pictures are among those that .*new/best has learnt from"):
        evaluate(load_model(tmp_path / "new/best", "cpu"), both, progress=False)
    fit(maskrcnn(weights=tmp_path / "old"), train(), train(), epochs=1, output_dir=tmp_path / "same")
    assert "are among those" not in capsys.readouterr().out
    with pytest.warns(UserWarning, match="4 of 4 pictures are among those"):
        evaluate(maskrcnn(5, **TINY, weights=tmp_path / "old/last/model.safetensors"), train(), progress=False)


def test_a_run_that_goes_on_with_other_pictures_keeps_those_of_before(pictures, tmp_path, capsys):
    halves = [Subset(pictures["train"](), [0, 1]), Subset(pictures["train"](), [2, 3])]
    fit(maskrcnn(5, **TINY), halves[0], halves[1], epochs=1, output_dir=tmp_path / "run")
    fit(maskrcnn(5, **TINY), pictures["val"](), pictures["val"](), epochs=1, output_dir=tmp_path / "other")
    other = maskrcnn(weights=tmp_path / "other", trainable_layers=5, norm="batch")  # which is not used
    fit(other, halves[1], halves[0], epochs=2, output_dir=tmp_path / "run")
    assert "2 of 2 validation pictures are among those that it has learnt from" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="4 of 4 pictures are among those"):
        evaluate(load_model(tmp_path / "run", "cpu"), pictures["train"](), progress=False)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        evaluate(load_model(tmp_path / "run", "cpu"), pictures["val"](), progress=False)
    assert not any("are among those" in str(one.message) for one in heard)
