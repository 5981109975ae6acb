"""What the notebook on the check cannot hold: several processes at once, Ctrl-C, and every real image."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import simple_maskrcnn.data.check as check
from simple_maskrcnn.data.check import check_dataset, check_files, look
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
plain = check.examine
check.examine = lambda *arguments: time.sleep(pause) or plain(*arguments)
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
    assert len(json.loads((shapes / "annotations/.instances_train.check.json").read_text())["seen"]) == 60


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
    assert set(report["notes"]) <= {check.SMALL, check.MISSING, check.WITHIN, check.NEARLY}  # all of it is so
    assert report["counts"]["images"] == len(data)
    assert report["counts"]["objects"] + report["counts"]["crowds"] == data.annotation_counts.sum()
    for i in range(0, len(data), max(1, len(data) // 20)):  # against masks that are drawn
        assert look(data, i)["areas"] == data.target(i)["masks"].sum((1, 2)).tolist()
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("an image was opened"))
    assert check_dataset(data, progress=False) == report


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_picture_neither_hangs_nor_stops_the_check(shapes):
    makers = {"000003.png": os.mkfifo, "000004.png": lambda path: path.symlink_to("nowhere"), "000005.png": Path.mkdir}
    for name, make in makers.items():
        (shapes / "train" / name).unlink()
        make(shapes / "train" / name)
    (shapes / "train/000006.png").write_bytes(b"no picture")
    code = ("import sys; from simple_maskrcnn.data.check import check_files, format_check\n"
            "print(format_check(check_files(sys.argv[1] + '/train', sys.argv[1] + '/annotations/instances_train.json', False)))")
    done = subprocess.run([sys.executable, "-c", code, str(shapes)], cwd=ROOT, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(f"{i:06d}.png" in done.stdout for i in (3, 4, 5, 6)) and "no problems" not in done.stdout


def test_what_passes_can_be_read_as_training_reads_it(shapes):
    rng, broken = random.Random(0), set()
    for path in sorted((shapes / "train").iterdir()):
        content = bytearray(path.read_bytes())
        for _ in range(rng.choice([0, 0, 1, 3])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content)] * 3 + [rng.randrange(len(content))])])
    file = shapes / "annotations/instances_train.json"
    report, data = check_files(shapes / "train", file, progress=False), CocoDataset(shapes / "train", file)
    told = " ".join(place for places in report["problems"].values() for place in places)
    for i in range(len(data)):
        try:
            data[i]
        except ValueError:
            broken.add(str(data.file_names[i]))
    assert broken and all(name in told for name in broken)


def test_a_cache_of_other_pictures_is_not_believed(shapes, tmp_path):
    file = shapes / "annotations/instances_train.json"
    check_files(shapes / "train", file, progress=False)
    other = tmp_path / "other"
    shutil.copytree(shapes / "train", other)  # with the times, and so with the same names, sizes and times
    name = other / "000007.png"
    times = name.stat()
    name.write_bytes(bytes(times.st_size))
    os.utime(name, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "000007.png" in str(check_files(other, file, progress=False)["problems"])
    assert check_files(shapes / "train", file, progress=False)["problems"] == {}


def test_the_check_reads_a_tiff_that_only_tifffile_reads(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 30, 40), 9, np.uint8), photometric="rgb", planarconfig="separate",
                     extrasamples=[0])
    assert check.image_fault(tmp_path / "a.tif", (30, 40))[0] is None
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:3000])
    assert check.image_fault(tmp_path / "a.tif", (30, 40))[0][0] == "image cannot be decoded"
