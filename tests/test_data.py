"""What the notebooks on shapes and COCO cannot hold: workers, killed runs, large and broken files, every real annotation."""

import gc
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from torch.testing import assert_close
from torch.utils.data import DataLoader

from simple_maskrcnn.data.coco import CocoDataset, write_shapes
from simple_maskrcnn.data.shapes import ShapesDataset

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("shapes"), n_train=24, n_val=4, size=(64, 96))


def coco(shapes, split="train", **options):
    return CocoDataset(shapes / split, shapes / "annotations" / f"instances_{split}.json", **options)


def first(batch):
    return batch[0]


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("kind", ["shapes", "coco"])
def test_workers_give_the_same_items(shapes, kind, start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start} processes")
    data = coco(shapes) if kind == "coco" else ShapesDataset(24, (64, 96))
    loader = DataLoader(data, batch_size=1, num_workers=2, multiprocessing_context=start, collate_fn=first)
    for item, expected in zip(loader, data, strict=True):
        assert_close(item, expected, rtol=0, atol=0)


def test_an_unreadable_image_stops_the_workers_with_its_name(shapes, tmp_path):
    data = coco(shapes)
    data.image_dir = tmp_path  # every file is gone or cut
    for name in data.file_names:
        whole = (shapes / "train" / name).read_bytes()
        (tmp_path / name).write_bytes(whole if name != "000011.png" else whole[:200])
    with pytest.raises(ValueError, match=r"image id 11: .*000011\.png cannot be decoded"):
        list(DataLoader(data, batch_size=1, num_workers=2, collate_fn=first))
    data.skip_bad = True
    ids = [target["image_id"] for _, target in DataLoader(data, batch_size=1, num_workers=2, collate_fn=first)]
    assert ids == [*range(11), 12, *range(12, 24)]


def test_a_file_that_vanishes_is_named(shapes, tmp_path):
    data = coco(shapes)
    data.image_dir = tmp_path
    with pytest.raises(ValueError, match=r"image id 3: .*000003\.png"):
        data[3]


def test_no_readable_image_at_all(shapes, tmp_path):
    data = coco(shapes, split="val", skip_bad=True)
    data.image_dir = tmp_path
    with pytest.raises(ValueError, match="none of the 4 images"), pytest.warns(UserWarning, match="takes its place"):
        data[0]


def many_annotations(folder: Path, images: int, each: int) -> Path:
    """A COCO file of `images` × `each` annotations, polygons of 20 points; the image files are empty."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for i in range(images):
        (folder / "images" / f"{i}.jpg").touch()
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    annotations = []
    for k in range(images * each):
        x, y = rng.uniform(60, 400, 2)
        points = np.stack([x + 50 * np.cos(turn), y + 50 * np.sin(turn)], axis=1).round(2)
        annotations.append({"id": k, "image_id": k % images, "category_id": 1, "bbox": [x - 50, y - 50, 100, 100],
                            "area": 7854, "iscrowd": 0, "segmentation": [points.ravel().tolist()]})
    records = [{"id": i, "file_name": f"{i}.jpg", "height": 480, "width": 640} for i in range(images)]
    content = {"images": records, "annotations": annotations, "categories": [{"id": 1, "name": "disc"}]}
    (folder / "many.json").write_text(json.dumps(content))
    return folder / "many.json"


def reachable(thing) -> int:
    """How many Python objects hang on `thing`; classes and modules not counted."""
    seen, stack = set(), [thing]
    while stack:
        item = stack.pop()
        if id(item) not in seen and not isinstance(item, type) and not callable(item):
            seen.add(id(item))
            stack.extend(gc.get_referents(item))
    return len(seen)


def test_annotations_are_packed(tmp_path):
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    small_file, large_file = many_annotations(tmp_path / "few", 20, 5), many_annotations(tmp_path / "many", 20, 500)
    few, many = CocoDataset(tmp_path / "few/images", small_file), CocoDataset(tmp_path / "many/images", large_file)
    assert reachable(many) == reachable(few) < 200  # a hundred times the annotations, not one object more
    assert len(pickle.dumps(many)) < 1.6 * large_file.stat().st_size  # what a spawned worker is sent
    assert len(many.target(7)["labels"]) == 500


def test_opening_a_large_file_costs_little_more_than_reading_it(tmp_path):
    file = many_annotations(tmp_path, 2000, 25)
    start = time.process_time()
    json.loads(file.read_bytes())
    reading = time.process_time() - start
    start = time.process_time()
    data = CocoDataset(tmp_path / "images", file)
    opening = time.process_time() - start
    print(f"50,000 annotations: JSON {reading:.2f} s, checked and packed {opening:.2f} s")
    assert data.annotation_counts.sum() == 50_000
    assert opening < 15 * reading + 5  # only a gross slip fails: a loop over all for each


def test_a_killed_writer_leaves_no_annotation_file(tmp_path):
    code = "import sys; from simple_maskrcnn import write_shapes; write_shapes(sys.argv[1], 100_000, 10)"
    write_shapes(tmp_path, 3, 3)  # an older, complete dataset in the same place
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    deadline = time.time() + 120
    while len(list((tmp_path / "train").iterdir())) < 30 and time.time() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    process.wait()
    assert len(list((tmp_path / "train").iterdir())) >= 30
    assert not list((tmp_path / "annotations").glob("*.json"))
    with pytest.raises(FileNotFoundError, match="no annotation file"):
        coco(tmp_path)
    write_shapes(tmp_path, 3, 3)  # the pictures that are left say who made them, and may be replaced
    assert len(coco(tmp_path)) == 3


def test_many_bad_records_are_reported_briefly(shapes):
    content = json.loads((shapes / "annotations/instances_train.json").read_text())
    for a in content["annotations"]:
        a["bbox"][2] = 0
    content["annotations"][0]["segmentation"] = []
    (shapes / "bad.json").write_text(json.dumps(content))
    n = len(content["annotations"])
    with pytest.raises(ValueError, match=rf"{n} bad records") as error:
        CocoDataset(shapes / "train", shapes / "bad.json")
    assert len(str(error.value)) < 1000 and "id 1, image_id" in str(error.value) and "skip_bad=True" in str(error.value)
    with pytest.warns(UserWarning, match=rf"left out {n} bad records") as caught:
        data = CocoDataset(shapes / "train", shapes / "bad.json", skip_bad=True)
    assert len(caught) == 1 and len(data) == 24 and data.annotation_counts.sum() == 0
    assert data[0][1]["masks"].shape == (0, 64, 96)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised in `annToMask`
@pytest.mark.parametrize("folder, images, file", [
    ("coco_mini", "train2017", "instances_train2017.json"), ("coco_mini", "val2017", "instances_val2017.json"),
    ("nuclei", "train", "instances_train.json"), ("nuclei", "val", "instances_val.json"),
])
def test_every_real_annotation_agrees_with_pycocotools(folder, images, file):
    if not (REAL / folder).is_dir():
        pytest.skip(f"the {folder} images are not here")
    file = REAL / folder / "annotations" / file
    data, reference = CocoDataset(REAL / folder / images, file), COCO(file)
    for i, image_id in enumerate(data.image_ids.tolist()):
        annotations, target = reference.imgToAnns[image_id], data.target(i)
        x, y, w, h = torch.tensor([a["bbox"] for a in annotations]).reshape(-1, 4).T
        assert_close(target["boxes"], torch.stack([x, y, x + w, y + h], dim=1))
        assert_close(target["area"], torch.tensor([float(a["area"]) for a in annotations]))
        labels = [data.label_of[a["category_id"]] for a in annotations]
        assert target["labels"].tolist() == labels and target["image_id"] == image_id
        assert target["iscrowd"].tolist() == [a["iscrowd"] for a in annotations]
        for mask, a in zip(target["masks"].numpy(), annotations, strict=True):
            assert np.array_equal(mask, reference.annToMask(a)), f"annotation {a['id']}"
    for i in (0, len(data) - 1):
        image, target = data[i]
        assert image.shape == (3, *data.image_sizes[i]) and 0 <= image.min() < image.max() <= 1


def test_benchmark_compares_the_same_tensors(tmp_path):
    file = tmp_path / "data.json"
    command = [sys.executable, "benchmarks/data.py", "--limit", "3", "--rounds", "1", "--json", str(file)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    figures = json.loads(file.read_text())
    assert figures["ratio"] > 0 and figures["images"] == 3 and "CocoDataset" in out.stdout
