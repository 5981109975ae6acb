"""What the notebook on the check cannot hold: several processes at once, Ctrl-C, and every real image."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simple_maskrcnn.data.check import check_dataset, look
from simple_maskrcnn.data.coco import CocoDataset, write_shapes

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data"
SETS = [("nuclei", "train", "instances_train"), ("coco_mini", "train2017", "instances_train2017"),
        ("coco_mini", "val2017", "instances_val2017")]
CHECK = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from pathlib import Path
import simple_maskrcnn.data.check as check
from simple_maskrcnn.data.coco import CocoDataset
root, pause = Path(sys.argv[1]), float(sys.argv[2])
plain = check.upright_size
check.upright_size = lambda path: time.sleep(pause) or plain(path)
print(check.check_dataset(CocoDataset(root / "train", root / "annotations/instances_train.json"), progress=True))
"""


@pytest.fixture
def shapes(tmp_path):
    return write_shapes(tmp_path, n_train=60, n_val=1, size=64)


def start(root, pause=0.0, **options):
    return subprocess.Popen([sys.executable, "-c", CHECK, str(root), str(pause)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_processes_at_once(shapes):
    outputs = {process.communicate(timeout=120)[0] for process in [start(shapes) for _ in range(3)]}
    assert len(outputs) == 1 and "'images': 60" in outputs.pop()
    assert sorted(p.name for p in (shapes / "annotations").iterdir()) == [
        ".instances_train.check.json", "instances_train.json", "instances_val.json"]
    assert len(json.loads((shapes / "annotations/.instances_train.check.json").read_text())) == 60


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to the whole console")
def test_ctrl_c_stops_at_once(shapes):
    process = start(shapes, pause=1.0)  # a minute, if nobody interrupts it
    for line in process.stderr:  # the bar: it has begun
        if "checking" in line:
            break
    begin = time.perf_counter()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0 and time.perf_counter() - begin < 20
    assert not (shapes / "annotations/.instances_train.check.json").exists()


@pytest.mark.parametrize("name, images, annotations", SETS)
def test_real_images(name, images, annotations, tmp_path, monkeypatch):
    if not (REAL / name).is_dir():
        pytest.skip(f"{REAL / name} is not here")
    shutil.copy(REAL / name / "annotations" / f"{annotations}.json", tmp_path)  # the cache lies beside the copy
    data = CocoDataset(REAL / name / images, tmp_path / f"{annotations}.json")
    report = check_dataset(data, progress=False)
    assert report["problems"] == {}
    assert report["counts"]["images"] == len(data)
    assert report["counts"]["objects"] + report["counts"]["crowds"] == data.annotation_counts.sum()
    for i in range(0, len(data), max(1, len(data) // 20)):  # against masks that are drawn
        assert look(data, i)["areas"] == data.target(i)["masks"].sum((1, 2)).tolist()
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("an image was opened"))
    assert check_dataset(data, progress=False) == report
