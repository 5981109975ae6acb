"""Five bands of 16 bits from check to prediction, by the command line; the classes differ in the last two bands only."""

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from simple_maskrcnn import cli, load_model
from simple_maskrcnn.data.coco import mask_record
from simple_maskrcnn.data.shapes import outline, polygon_mask

SIZE, SLIM = (64, 96), ["--backbone", "resnet18", "--levels", "3,4", "--anchor-sizes", "[20],[28],[56]", "--fpn-channels", "32",
                        "--box-channels", "64", "--mask-channels", "16", "--min-size", "64", "--max-size", "96"]


def write(folder, count: int, seed: int) -> None:
    """Discs that are alike in three bands; the young ones shine in the fourth, the old ones in the fifth."""
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "young"}, {"id": 2, "name": "old"}]}
    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        image = rng.normal(300, 40, (5, *SIZE))
        content["images"].append({"id": i, "file_name": f"{i}.tif", "height": SIZE[0], "width": SIZE[1]})
        for x in (24, 70):
            mask = polygon_mask([outline(1, x + rng.uniform(-6, 6), rng.uniform(18, 46), rng.uniform(10, 14), 0)], SIZE)
            label = int(rng.integers(1, 3))
            image[:3, mask] += 800
            image[2 + label, mask] += 3000
            content["annotations"].append({"id": len(content["annotations"]) + 1, "image_id": i, "category_id": label,
                                           "iscrowd": 0, **mask_record(mask)})
        tifffile.imwrite(folder / f"{i}.tif", image.clip(0, 65535).astype(np.uint16), photometric="minisblack",
                         planarconfig="separate" if i % 2 else None)  # in planes, or a page each
    (folder / "all.json").write_text(json.dumps(content))


def run(*words, code: int = 0) -> str:
    done = CliRunner().invoke(cli.app, [*map(str, words)])
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = tmp_path_factory.mktemp("bands")
    write(work / "train", 48, 0)
    write(work / "val", 8, 1)
    said = run("train", "--train-images", work / "train", "--train-annotations", work / "train/all.json", "--valid-images",
               work / "val", "--valid-annotations", work / "val/all.json", "--channels", 5, *SLIM, "--epochs", 5,
               "--batch-size", 4, "--lr", 0.003, "--eval-every", 5, "--color", 0.2, "--grey", "--output-dir", work / "run")
    return work, said


def test_check_measures_what_training_keeps(work):
    work, said = work
    told = run("check", "--images", work / "train", "--annotations", work / "train/all.json", "--channels", 5)
    every = np.concatenate([tifffile.imread(path).reshape(5, -1) for path in sorted((work / "train").glob("*.tif"))], 1)
    low, high = np.percentile(every, [0.1, 99.9], axis=1)
    bands = np.stack([np.floor(low), np.ceil(high)], 1).astype(int).tolist()
    assert f"value_range={bands}".replace(" ", "") in told and "no problems" in told and "--channels 5" in told
    network = load_model(work / "run")
    assert network.bands == {"channels": 5, "value_range": bands} and not network.unmeasured
    assert f"image_mean={network.transform.image_mean}" in said.replace("\n", "")
    assert json.loads((work / "run/best/config.json").read_text())["value_range"] == bands


def test_evaluate_and_predict_need_not_be_told(work, tmp_path):
    work, _ = work
    told = run("evaluate", work / "run", "--images", work / "val", "--annotations", work / "val/all.json", "--mistakes",
               "--output-dir", tmp_path / "ap")
    results = json.loads((tmp_path / "ap/metrics.json").read_text())
    assert results["bbox"]["AP50"] > 0.6, told  # with three bands alone at most about the half
    confused = json.loads((tmp_path / "ap/mistakes.json").read_text())["counts"]
    assert confused["wrong class"] <= 2 < confused["right"]
    for options in ([], ["--tiles", "64", "--no-overlays"]):
        run("predict", work / "run", work / "val", "--output-dir", tmp_path / "found", *options)
        found = json.loads((tmp_path / "found/predictions.json").read_text())
        assert len(found["images"]) == 8 and len(found["annotations"]) > 8


def test_other_pictures_and_networks_are_refused_with_their_bands(work, tmp_path):
    work, _ = work
    tifffile.imwrite(tmp_path / "four.tif", np.zeros((4, 40, 40), np.uint16), photometric="minisblack", planarconfig="separate")
    told = run("predict", work / "run", tmp_path / "four.tif", "--output-dir", tmp_path / "found", code=1)
    assert "four.tif" in told and "4 bands" in told and "takes 5" in told
    told = run("predict", "nuclei", work / "val/1.tif", "--output-dir", tmp_path / "found", code=1)
    assert "1.tif" in told and "5 bands" in told
    told = run("check", "--images", work / "val", "--annotations", work / "val/all.json", "--channels", 4, code=1)
    assert "5 bands" in told and "takes 4" in told
    told = run("train", "--train-images", work / "train", "--train-annotations", work / "train/all.json", "--channels", 5, *SLIM,
               "--epochs", 1, "--color", 0.2, "--output-dir", tmp_path / "run", code=1)
    assert "--grey" in told and "5 bands" in told and not (tmp_path / "run").exists()


def test_the_next_training_goes_on_with_the_bands_of_the_run(work, tmp_path):
    work, _ = work
    told = run("train", "--weights", work / "run", "--train-images", work / "val", "--train-annotations", work / "val/all.json",
               "--epochs", 1, "--output-dir", tmp_path / "run")
    assert "measured:" not in told  # the range is the old one
    assert load_model(tmp_path / "run").bands == load_model(work / "run").bands


def test_pictures_of_other_bits_are_named(work, tmp_path):
    work, _ = work
    for name, convert in (("8", lambda x: (x >> 4).astype(np.uint8)), ("12", lambda x: x), ("14", lambda x: x * 4)):
        (tmp_path / name).mkdir()
        for path in (work / "val").glob("*.tif"):
            tifffile.imwrite(tmp_path / name / path.name, convert(tifffile.imread(path)), photometric="minisblack")
        told = [run("predict", work / "run", tmp_path / name, "--output-dir", tmp_path / "found" / name, "--no-overlays"),
                run("train", "--weights", work / "run", "--train-images", tmp_path / name, "--train-annotations",
                    work / "val/all.json", "--epochs", 1, "--output-dir", tmp_path / "run" / name)]
        for text in told:
            assert ("in 8 of 8 pictures" in text and "0.tif" in text) == (name != "12"), text
