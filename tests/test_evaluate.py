"""What the evaluation notebooks cannot hold: several processes, workers, peak memory, torchvision's network, real annotations."""

import contextlib
import io
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.nn.functional import pad
from torch.utils.data import Subset, get_worker_info
from torchvision.models.detection import maskrcnn_resnet50_fpn

from simple_maskrcnn.data import windows
from simple_maskrcnn.data.augment import eval_transforms, to_item, train_transforms
from simple_maskrcnn.data.coco import CocoDataset, write_shapes
from simple_maskrcnn.data.shapes import mask_boxes
from simple_maskrcnn.evaluation import tiles
from simple_maskrcnn.evaluation.ap import (
    coco_classes,
    coco_eval,
    coco_figures,
    coco_objects,
    coco_results,
    simple_figures,
)
from simple_maskrcnn.evaluation.evaluate import _shown, evaluate, record_of
from simple_maskrcnn.evaluation.mistakes import KINDS, format_mistakes, image_mistakes
from simple_maskrcnn.inference.predict import detect
from simple_maskrcnn.network.model import maskrcnn

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data"
SLIM = {"fpn_channels": 16, "box_channels": 16, "mask_channels": 16, "min_size": 64, "max_size": 96}


class Cheat(torch.nn.Module):
    """Knows the targets, and answers with masks that are moved by a few pixels, some missing and some twice."""

    def __init__(self, dataset, classes, shift=0.06, crowds=False):
        super().__init__()
        self.answers, rng = {}, np.random.default_rng(0)
        for image, target in dataset:
            rows = [i for i, crowd in enumerate(target["iscrowd"]) for _ in range(rng.choice([0, 1, 1, 1, 2]))
                    if crowds or not crowd]
            masks = torch.zeros(len(rows), *image.shape[1:], dtype=torch.uint8)
            for mask, i in zip(masks, rows):
                extent = (target["boxes"][i, 2:] - target["boxes"][i, :2]).numpy()
                move = rng.normal(0, 0 if target["iscrowd"][i] else shift, 2) * extent
                dx, dy = np.clip(move, -30, 30).round().astype(int).tolist()
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


def rectangles(rng, n, categories, side=128):
    """Objects and detections of one image on a coarse grid: equal IoUs, IoUs at a threshold, equal scores, crowds, odd areas."""
    things = []
    for _ in range(2 * n):
        (x, y), (w, h) = rng.integers(0, 30, 2) * 4, np.minimum(rng.integers(1, 5, 2) * 4, side)
        mask = np.zeros((side, side), np.uint8, order="F")
        mask[y:y + h, x:x + w] = 1
        things.append({"category_id": int(rng.choice(categories)), "bbox": [float(v) for v in (x, y, w, h)],
                       "segmentation": coco_mask.encode(mask)})
    odd = [0, 400, 1024, 9216, 1e10]
    objects = [t | {"iscrowd": int(rng.random() < 0.2), "area": float(rng.choice(odd))} for t in things[:n]]
    return objects, [things[k + n * int(rng.random() < 0.5)] | {"score": float(np.float32(rng.integers(20) / 20))}
                     for k in range(n)]


@pytest.mark.parametrize("ids, categories, most, limit", [
    (range(12), [1, 2, 3], 12, 100), (range(30), [4], 3, 11), ([5, 6], [1, 2], 500, 100), ([5, 6], [1], 500, 500),
    ([-3, 0, 2**31, 2**63 - 1], [7, 2**31, 2**62], 12, 100)], ids=["many", "few", "500", "500 that count", "ids"])
def test_the_other_backend_agrees_on_ties_crowds_and_empty_images(ids, categories, most, limit):
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is optional and not installed")
    rng = np.random.default_rng(most)
    records = []
    for k, image_id in enumerate(ids):
        objects, found = rectangles(rng, most if most > 99 else int(rng.integers(0, most + 1)), categories)
        records.append({"image_id": image_id, "size": (128, 128), "objects": objects if k % 5 != 3 else [],
                        "detections": found if k % 4 != 2 else []})
    names = {category: str(category) for category in categories}
    for kind in ("bbox", "segm"):
        one, other = (coco_eval(kind, records, names, limit, backend) for backend in ("pycocotools", "faster_coco_eval"))
        for key in ("precision", "recall", "scores"):
            np.testing.assert_allclose(np.asarray(other.eval[key]), one.eval[key], rtol=0, atol=1e-15)
        assert simple_figures(one, records) == simple_figures(other, records)
        assert 0 < coco_figures(one)["AP"] < 1
    backends = {coco_classes(backend) for backend in (None, "faster_coco_eval")}
    assert len(backends) == 1 and coco_classes("pycocotools") == (COCO, COCOeval)


def test_a_version_that_was_not_compared_does_not_judge_unasked(monkeypatch):
    faster = pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is optional and not installed")
    monkeypatch.setattr(faster, "__version__", "1.9.0")
    with pytest.warns(UserWarning, match="pycocotools judges: .* is 1.9.0"):
        assert coco_classes(None) == (COCO, COCOeval)
    assert coco_classes("faster_coco_eval") == (faster.COCO, faster.COCOeval_faster)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)  # it is not installed
    assert coco_classes(None) == (COCO, COCOeval)


def test_masks_that_stay_run_lengths_are_the_same(shapes):
    for transforms, known in ((None, True), (eval_transforms(), True), (lambda image, target: to_item(image, target), False),
                              (train_transforms(flip=0), False)):
        data = CocoDataset(shapes.image_dir, shapes.annotation_file, transforms)
        lean = _shown(Subset(data, [3, 0, 7, 12]), None, losses=False)
        assert lean.dataset.runs == known
        for (image, target), (other, runs) in zip(Subset(data, [3, 0, 7, 12]), lean):
            assert torch.equal(image, other) and coco_objects(target, (128, 192)) == coco_objects(runs, (128, 192))
    assert not data.runs and any(data.target(i)["iscrowd"].any() for i in (3, 0, 7, 12))


def test_a_missing_backend_is_named(shapes, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
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
    assert out.out == "" and "30 of 30" in out.err


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


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[CocoDataset, CocoDataset]:
    """Shapes in three pictures larger than a window, as TIFFs in squares and as PNGs."""
    folder = write_shapes(tmp_path_factory.mktemp("large"), 1, 3, (150, 210), max_objects=12, crowds=0.3)
    file = folder / "annotations/instances_val.json"
    content = json.loads(file.read_text())
    for image in content["images"]:
        values = np.asarray(Image.open(folder / "val" / image["file_name"]))
        image["file_name"] = image["file_name"].replace("png", "tif")
        tifffile.imwrite(folder / "val" / image["file_name"], values, photometric="rgb", tile=(32, 32), compression="zlib")
    file.with_name("tiff.json").write_text(json.dumps(content))
    return CocoDataset(folder / "val", file.with_name("tiff.json")), CocoDataset(folder / "val", file)


def seen_by(model, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return evaluate(model, data, progress=False, **options)


def test_in_tiles_what_detect_finds_is_compared_with_all_that_is_there_and_no_file_is_read_whole(large, tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = maskrcnn(5, "resnet18", **SLIM, box_score_thresh=0.1, class_names=large[0].class_names).eval()
    records, masks = [], []
    for i in range(3):
        found = detect(model, large[1][i][0], tiles=96, score_threshold=0.1)
        assert len(found["scores"]) > 100  # of several windows
        masks += [rle["counts"].decode() for rle in found["masks"]]
        records.append({"image_id": i, **record_of(i, found.size, large[1].target(i), found, False)})
    expected, _ = coco_results(records, dict(enumerate(large[0].class_names[1:], 1)))
    assert seen_by(model, large[1], tiles=96) == expected
    monkeypatch.setattr(windows, "read_image", None)
    assert seen_by(model, large[0], tiles=96, num_workers=2, output_dir=tmp_path) == expected
    written = [thing["segmentation"]["counts"] for thing in json.loads((tmp_path / "results_segm.json").read_text())]
    assert sorted(written) == sorted(masks)
    with_losses = seen_by(model, large[0], tiles=96, losses=True)
    assert with_losses["bbox"] == expected["bbox"] and with_losses["segm"] == expected["segm"]
    monkeypatch.undo()
    assert seen_by(model, large[0], tiles=300) == seen_by(model, large[0]) != expected
    monkeypatch.setattr(tiles, "LARGE", 150 * 210 - 1)  # too large for anything else
    model.transform.train_scale = 64 / 96
    assert seen_by(model, large[0]) == expected != seen_by(model, large[0], tiles=False)


def test_pictures_that_are_shrunk_are_told(large):
    model = maskrcnn(5, "resnet18", **SLIM)
    for side, tile, told in ((37, None, 3), (38, None, 0), (37, 96, 0)):  # 150 × 210, of which a quarter is 37.5
        model.transform.min_size, model.transform.max_size = [side], 1000
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            evaluate(model, Subset(large[1], range(3)), tiles=tile, progress=False)
        assert sum(f"3 pictures are shrunk to less than a quarter for the network (min_size={side}" in str(one.message)
                   for one in heard) == bool(told), side


def test_the_losses_in_tiles_are_those_of_windows_as_pictures(large):
    torch.manual_seed(0)
    model, parts = maskrcnn(5, "resnet18", **SLIM), []
    for i in range(3):
        image, target = large[1][i]
        for x1, y1, x2, y2 in tiles.windows((150, 210), (96, 96)):
            here = {key: target[key] for key in ("labels", "iscrowd")} | {"masks": target["masks"][:, y1:y2, x1:x2]}
            boxes = target["boxes"] - torch.tensor([x1, y1, x1, y1])
            edge = (boxes[:, :2] <= 0).any(1) | (boxes[:, 2:] >= 96).any(1)
            boxes[edge] = mask_boxes(here["masks"][edge])
            seen = here["masks"].flatten(1).any(1).bool()
            parts.append((image[:, y1:y2, x1:x2], {key: value[seen] for key, value in (here | {"boxes": boxes}).items()}))
    assert seen_by(model, large[0], tiles=96, losses=True)["loss"] == pytest.approx(
        seen_by(model, parts, losses=True)["loss"], rel=1e-5)


def test_in_tiles_an_unreadable_picture_is_left_out_and_others_than_files_are_refused(large, tmp_path):
    torch.manual_seed(0)
    model = maskrcnn(5, "resnet18", **SLIM, class_names=large[0].class_names)
    for k, name in enumerate(large[0].file_names):
        whole = bytearray((large[0].image_dir / name).read_bytes())
        if k == 1:  # only one of its squares is damaged
            with tifffile.TiffFile(large[0].image_dir / name) as file:
                whole[(place := file.pages[0].dataoffsets[-1]):place + 20] = bytes(20)
        (tmp_path / name).write_bytes(whole)
    broken = CocoDataset(tmp_path, large[0].annotation_file, skip_bad=True)
    assert seen_by(model, broken, tiles=96) == seen_by(model, Subset(large[0], [0, 2]), tiles=96)
    broken.skip_bad = False
    with pytest.raises(ValueError, match="image id 1: .*cannot be decoded"):
        seen_by(model, broken, tiles=96)
    for data in (CocoDataset(tmp_path, large[0].annotation_file, transforms=train_transforms()), [large[0][0]]):
        with pytest.raises(TypeError, match="windows are read from the files of a CocoDataset"):
            seen_by(model, data, tiles=96)


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


def scenes(seed, n=200):
    """Rectangles (label, x1, y1, x2, y2): objects, answers to them that are moved, doubled, renamed, invented; scores."""
    draw = random.Random(seed)
    for _ in range(n):
        objects, found = [], []
        for _ in range(draw.randint(1, 6)):
            x, y, w, h = draw.randint(0, 60), draw.randint(0, 60), draw.randint(6, 30), draw.randint(6, 30)
            objects.append((draw.randint(1, 3), x, y, x + w, y + h))
        for label, x1, y1, x2, y2 in objects:
            for _ in range(draw.choice((0, 1, 1, 2, 3))):
                dx, dy = round(draw.gauss(0, 0.15) * (x2 - x1)), round(draw.gauss(0, 0.15) * (y2 - y1))
                box = max(x1 + dx, 0), max(y1 + dy, 0), min(x2 + dx, 96), min(y2 + dy, 96)
                found.append((draw.randint(1, 3) if draw.random() < 0.3 else label, *box))
        for _ in range(draw.randint(0, 2)):
            x, y = draw.randint(0, 80), draw.randint(0, 80)
            found.append((draw.randint(1, 3), x, y, x + 12, y + 12))
        yield objects, found, [draw.random() for _ in found]


def thing(rectangle, **more):
    label, x1, y1, x2, y2 = rectangle
    mask = np.zeros((96, 96), np.uint8, order="F")
    mask[y1:y2, x1:x2] = 1
    return {"category_id": label, "segmentation": coco_mask.encode(mask), **more}


def test_the_kinds_are_those_of_tide():
    "The numbers are of its authors' program, tidecv 1.0.1, for these scenes (it lists no right ones: the rest of 600)."
    counts = dict.fromkeys(KINDS, 0)
    for objects, found, scores in scenes(seed=4):
        record = {"objects": [thing(o, iscrowd=0) for o in objects],
                  "detections": [thing(d, score=score) for d, score in zip(found, scores)]}
        for kind, _, _ in image_mistakes(record):
            counts[kind] += 1
    assert counts == {"badly placed": 98, "wrong class": 66, "found twice": 51, "both": 26, "background": 87, "missed": 337,
                      "right": 600 - 98 - 66 - 51 - 26 - 87}


def find_mistakes(model, data, **options):
    return evaluate(model, data, mistakes=True, progress=False, **options)["mistakes"]


def check_mistakes_against_files(data, folder):
    "COCO's program on the annotation file and the results above the threshold: who is right, left out, and not found."
    cheat = Cheat(data, len(data.class_names) - 1, shift=0.2, crowds=True)
    mistakes = evaluate(cheat, data, mistakes=True, output_dir=folder, progress=False)["mistakes"]
    assert "mistakes" not in json.loads((folder / "metrics.json").read_text())
    results = [r for r in json.loads((folder / "results_segm.json").read_text()) if r["score"] >= 0.5]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data.annotation_file))
        evaluator = COCOeval(truth, truth.loadRes(results), "segm")
        evaluator.params.areaRng, evaluator.params.areaRngLbl = evaluator.params.areaRng[:1], ["all"]
        evaluator.evaluate()
    images = [e for e in evaluator.evalImgs if e]
    left_out = sum(int(e["dtIgnore"][0].sum()) for e in images)
    right = sum(int(((e["dtMatches"][0] > 0) & ~e["dtIgnore"][0]).sum()) for e in images)
    not_found = sum(int(((e["gtMatches"][0] == 0) & (np.array(e["gtIgnore"]) == 0)).sum()) for e in images)
    assert find_mistakes(cheat, data) == mistakes
    counts, confusion = mistakes["counts"], np.array(mistakes["confusion"])
    assert counts["right"] == right > 10
    assert sum(counts.values()) - counts["missed"] == len(results) - left_out
    assert 0 < counts["missed"] < not_found <= counts["missed"] + counts["badly placed"] + counts["wrong class"]
    assert confusion.sum() == sum(counts.values()) == right + sum(mistakes["per_image"])
    assert confusion[:, 0].sum() == counts["missed"] and confusion[0].sum() == counts["background"]
    assert np.trace(confusion) == right + counts["badly placed"] + counts["found twice"]
    assert counts["badly placed"] > 5 and counts["wrong class"] + counts["found twice"] > 0  # lively
    assert mistakes["class_names"] == data.class_names and len(confusion) == len(data.class_names)
    return left_out


def test_right_ones_are_cocos(shapes, tmp_path):
    assert check_mistakes_against_files(shapes, tmp_path) > 1


@pytest.mark.skipif(not (REAL / "coco_mini").exists(), reason="the real images are not part of the project")
def test_right_ones_are_cocos_on_real_annotations(tmp_path):
    data = CocoDataset(REAL / "coco_mini/val2017", REAL / "coco_mini/annotations/instances_val2017.json")
    check_mistakes_against_files(data, tmp_path)


def test_mistakes_do_not_depend_on_the_order_and_the_batches(shapes):
    cheat = Cheat(shapes, 4)
    expected = find_mistakes(cheat, shapes)
    assert find_mistakes(cheat, shapes, batch_size=7, num_workers=1) == expected
    order = np.random.default_rng(0).permutation(30).tolist()
    other = find_mistakes(cheat, Subset(shapes, order))
    assert {k: other[k] for k in ("counts", "confusion")} == {k: expected[k] for k in ("counts", "confusion")}
    assert other["per_image"] == [expected["per_image"][i] for i in order]
    worst = [expected["per_image"][i] for i in expected["worst"]]
    assert worst == sorted(worst, reverse=True) and worst[0] > worst[-1] and sorted(expected["worst"]) == list(range(30))


def test_mistakes_go_by_name_whatever_the_ids(shapes, tmp_path):
    content = json.loads(Path(shapes.annotation_file).read_text())
    ids = {1: 44, 2: 7, 3: 90, 4: 13}
    content["categories"] = [{**c, "id": ids[c["id"]]} for c in content["categories"]]
    content["annotations"] = [{**a, "category_id": ids[a["category_id"]]} for a in content["annotations"]]
    (tmp_path / "other.json").write_text(json.dumps(content))
    other, cheat = CocoDataset(shapes.image_dir, tmp_path / "other.json"), Cheat(shapes, 4)
    cheat.class_names = shapes.class_names
    assert other.class_names != shapes.class_names
    one, two = (find_mistakes(cheat, data) for data in (shapes, other))
    assert {k: one[k] for k in ("counts", "per_image", "worst")} == {k: two[k] for k in ("counts", "per_image", "worst")}
    cells = [{(t, c): n for t, row in zip(m["class_names"], m["confusion"]) for c, n in zip(m["class_names"], row)}
             for m in (one, two)]
    assert cells[0] == cells[1] and one["confusion"] != two["confusion"]


def test_labels_off_by_one_are_all_taken_for_another_class(shapes):
    cheat = Cheat(shapes, 1)
    for answer, (_, target) in zip(cheat.answers.values(), shapes):
        keep = target["iscrowd"] == 0
        answer |= {"masks": target["masks"][keep][:, None].float(), "boxes": target["boxes"][keep],
                   "labels": target["labels"][keep] % 4 + 1, "scores": torch.ones(int(keep.sum()))}
    mistakes = find_mistakes(cheat, shapes)
    objects = [int((shapes.target(i)["iscrowd"] == 0).sum()) for i in range(30)]
    assert mistakes["counts"] == dict.fromkeys(KINDS, 0) | {"wrong class": sum(objects)}
    assert mistakes["per_image"] == objects
    names, table = mistakes["class_names"], mistakes["confusion"]
    text = format_mistakes(mistakes, most=2).splitlines()
    most = max((1, 2, 3, 4), key=lambda label: table[label][label % 4 + 1])
    assert len(text) == len(KINDS) + 3 and text[2].split() == ["wrong", "class", str(sum(objects))]
    first = names.index(text[8].split()[0])
    assert text[8].split()[1:] == ["taken", "for", names[first % 4 + 1], f"{table[most][most % 4 + 1]}×"]


def test_mistakes_of_a_network_and_of_images_that_cannot_be_read(shapes, tmp_path):
    model = network().train()
    counts = find_mistakes(model, Subset(shapes, range(6)), score_threshold=0.2, batch_size=3)["counts"]
    assert model.training
    with torch.no_grad():
        answers = model.eval().predict([shapes[i][0] for i in range(6)], paste=False)
    assert sum(counts.values()) - counts["missed"] <= sum(int((a["scores"] >= 0.2).sum()) for a in answers)
    assert counts["background"] > 0
    whole = {name: (shapes.image_dir / name).read_bytes() for name in shapes.file_names}
    (tmp_path / "val").mkdir()
    for k, (name, data) in enumerate(whole.items()):
        (tmp_path / "val" / name).write_bytes(data[:100] if k == 3 else data)
    broken, cheat = CocoDataset(tmp_path / "val", shapes.annotation_file, skip_bad=True), Cheat(shapes, 4)
    with pytest.warns(UserWarning, match="1 of 30 images are left out"):
        found = find_mistakes(cheat, broken)
    expected = find_mistakes(cheat, shapes)["per_image"]
    assert found["per_image"] == [0 if i == 3 else n for i, n in enumerate(expected)]
    with pytest.raises(ValueError, match="no images"):
        find_mistakes(cheat, [])


WORLD = """
    import json, os, sys, torch
    from accelerate import Accelerator
    sys.path.insert(0, "tests")
    from simple_maskrcnn.data.shapes import ShapesDataset
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
    from simple_maskrcnn.evaluation.ap import coco_detections

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
    from simple_maskrcnn.evaluation.evaluate import evaluate
    from simple_maskrcnn.network.model import maskrcnn

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


def test_as_many_detections_count_as_the_network_keeps(large):
    for kept, given, named in ((150, None, "AR150"), (100, None, "AR100"), (20, None, "AR100"), (150, 120, "AR120")):
        model = maskrcnn(5, "resnet18", **SLIM | {"box_detections_per_img": kept})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that 20 are fewer than count
            assert named in evaluate(model, Subset(large[1], [0]), max_detections=given, progress=False)["bbox"]
