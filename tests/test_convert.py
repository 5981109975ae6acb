"""Pictures from any tool, and back into it: what each command says of a file that is not COCO's, and what the tools read."""

import json
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from typer.testing import CliRunner

from simple_maskrcnn import CocoDataset, cli, maskrcnn, predict_files
from simple_maskrcnn.data.recognise import FORMATS, STRANGERS
from simple_maskrcnn.inference.outputs import write_picture

SIZE, RING = (40, 60), [[5.0, 5.0], [30.0, 8.0], [28.0, 30.0], [6.0, 25.0]]  # height, width; an outline


def here(*words) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, list(map(str, words)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def picture(path: Path, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(SIZE, np.uint8)
    pixels[8:24, 10:25] = value
    Image.fromarray(pixels).save(path)


def text(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def draw(kind: str, folder: Path) -> Path | None:
    """A folder with two pictures in a format; return an annotation file of it, if it has one."""
    file = None
    for name in ("a", "b"):
        places = {"voc": "JPEGImages/{}.png", "labels": "images/{}.png", "masks": "{0}/images/{0}.png"}
        picture(folder / places.get(kind, "{}.png").format(name))
        if kind == "labelme":
            shape = {"label": "cell", "points": RING, "shape_type": "polygon", "group_id": None, "flags": {}}
            file = text(folder / f"{name}.json", {"version": "5.5.0", "flags": {}, "shapes": [shape], "imageData": None,
                                                  "imagePath": f"{name}.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1]})
        elif kind == "yolo":
            shares = " ".join(f"{side:.4f}" for side in (np.array(RING) / SIZE[::-1]).ravel())
            file = text(folder / f"{name}.txt", f"0 {shares}\n")
            text(folder / "classes.txt", "cell\n")
        elif kind == "via":
            region = {"shape_attributes": {"name": "polygon", "all_points_x": [x for x, _ in RING],
                                           "all_points_y": [y for _, y in RING]}, "region_attributes": {"class": "cell"}}
            file = text(folder / "via.json", {f"{n}.png1": {"filename": f"{n}.png", "size": 1, "regions": [region],
                                                            "file_attributes": {}} for n in ("a", "b")})
        elif kind == "qupath":
            shape = {"type": "Polygon", "coordinates": [[*RING, RING[0]]]}
            file = text(folder / f"{name}.geojson", {"type": "FeatureCollection", "features": [{
                "type": "Feature", "geometry": shape, "properties": {"classification": {"name": "cell"}}}]})
        elif kind == "imagej":
            roi = pytest.importorskip("roifile").ImagejRoi.frompoints(np.float32(RING))
            with zipfile.ZipFile(file := folder / f"{name}.zip", "w") as archive:
                archive.writestr("1.roi", roi.tobytes())
        elif kind == "voc":
            picture(folder / f"SegmentationObject/{name}.png", 1)
            picture(folder / f"SegmentationClass/{name}.png", 1)
        else:
            picture(folder / {"labels": f"masks/{name}.png", "masks": f"{name}/masks/1.png"}[kind], 1 + 254 * (kind == "masks"))
    return file


@pytest.mark.filterwarnings("ignore:in 3 pictures the network found as many")
@pytest.mark.parametrize("kind", ["labelme", "yolo", "imagej", "qupath", "labels", "tiff"])
def test_what_predict_has_found_is_told_unless_somebody_corrected_it(kind, tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    if kind == "imagej":
        pytest.importorskip("roifile")
    for k in range(3):
        picture(tmp_path / f"pictures/{k}.png", 90 + k)
    torch.manual_seed(0)
    network = maskrcnn(2, class_names=["background", "cell"], backbone="resnet18", levels=(3, 4), fpn_channels=16,
                       box_channels=32, mask_channels=16, min_size=64, max_size=64)
    predict_files(network, tmp_path / "pictures", found := tmp_path / "predictions", to=kind, score_threshold=0, max_detections=3,
                  overlays=False, progress=False)
    home = found / {"labels": "masks"}.get(kind, kind)
    options = {"labels": ["--from", "labels"], "tiff": ["--from", "labels"], "labelme": []}.get(kind, [])
    options += [] if kind == "labelme" else ["--images", tmp_path / "pictures"]
    code, said = here("convert", home, "data.json", *options)
    assert code == 0 and "3 of 3 files are as `predict` wrote them, not corrected, the first is " in said, said
    if kind == "labelme":
        file = home / "1.json"
        file.write_text(json.dumps(json.loads(file.read_text())))  # as LabelMe writes it
        assert "2 of 3 files are as `predict`" in here("convert", home, "data.json")[1]
        code, said = here("convert", tmp_path, "data.json")  # predictions.json lies there, too
        assert code == 0 and "2 of 3 files are as `predict`" in said and "passed over" not in said, said
        for file in home.glob("*.json"):
            file.write_text(json.dumps(json.loads(file.read_text())))
        code, said = here("convert", tmp_path, "data.json")
        assert "as `predict`" not in said and "passed over: what `predict` has found" in said, said


def commands(folder: Path, given: Path, labelled: bool) -> list[list]:
    """Each command that reads a COCO file, given something else; labelled: is that the folder itself?"""
    place = ["--images", folder, "--annotations", given]
    found = [["check", *place], ["evaluate", "nuclei", *place], ["split", given, "80/20"],
             ["train", "--train-images", folder, "--train-annotations", given],
             ["predict", "nuclei", folder, "--annotations", given]]
    return found + [["check", "--data-dir", folder], ["train", "--data-dir", folder], ["check", "--images", folder]] * labelled


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "coco"])
def test_each_command_says_what_it_was_given_and_the_command_that_converts_it(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = draw(kind, folder := tmp_path / "my pictures")
    for given in filter(None, (folder, file)):
        before = sorted(tmp_path.rglob("*"))
        for words in commands(folder, given, given == folder):
            code, said = here(*words)
            assert code == 1 and f"looks like {FORMATS[kind]}: convert it" in re.sub("its folder", "it", said), (words, said)
            assert sorted(tmp_path.rglob("*")) == before
        with pytest.raises((ValueError, FileNotFoundError), match=f"looks like {FORMATS[kind]}"):
            CocoDataset(folder, given)
        advised = re.search("simple-maskrcnn (convert .* data.json)", said)[1]
        code, said = here(*shlex.split(advised))
        assert code == 0 and "2 images, 2 objects" in said, said
        assert len(CocoDataset(folder, tmp_path / "data.json")) == 2
        (tmp_path / "data.json").unlink()


@pytest.mark.parametrize("kind, name, content", [
    ("label studio", "export.json", [{"data": {"image": "a.png"}, "annotations": []}]),
    ("results", "found.json", [{"image_id": 1, "category_id": 1, "score": 0.5}]),
    ("via3", "project.json", {"project": {}, "metadata": {}, "view": {}}),
    ("cvat", "annotations.xml", "<?xml version='1.0'?>\n<annotations></annotations>"),
    ("boxes", "a.xml", "<annotation><object></object></annotation>")])
def test_each_command_says_why_a_format_cannot_be_read(kind, name, content, tmp_path):
    picture(tmp_path / "a.png")
    file = text(tmp_path / name, content)
    for words in commands(tmp_path, file, True):
        code, said = here(*words)
        assert code == 1 and f"looks like {STRANGERS[kind]}" in said, (words, said)


def test_a_folder_of_coco_files_names_one(tmp_path):
    picture(tmp_path / "a.png")
    file = text(tmp_path / "annotations/mine.json", {"images": [], "annotations": [], "categories": []})
    for words in (["check", "--data-dir", tmp_path], ["split", tmp_path], ["evaluate", "nuclei", "--data-dir", tmp_path]):
        code, said = here(*words)
        assert code == 1 and f"holds COCO files, such as {file}: name one" in said, said
    text(tmp_path / "a.json", {"shapes": []})
    assert "1 of LabelMe JSON (labelme), 1 of COCO (coco)" in here("split", tmp_path)[1]


def test_the_five_commands_of_the_lesson_are_those_that_it_runs():
    cells = json.loads((ROOT / "nbs/training/06_labelme.ipynb").read_text(encoding="utf-8"))["cells"]
    (block, *_) = re.findall("```bash\n(.*?)```", "".join(cells[0]["source"]).replace(" \\\n   ", ""), re.S)
    ran = [line for cell in cells for output in cell.get("outputs", []) for line in "".join(output.get("text", "")).splitlines()
           if line.startswith("$ ")]
    assert [f"$ {line}" for line in block.splitlines()] == ran and len(ran) == 5


def test_labelme_reads_the_stored_outlines_and_what_predict_writes(tmp_path):
    labelme = pytest.importorskip("labelme._label_file", reason="labelme is not installed (pip install labelme)")
    stored = sorted((ROOT / "nbs/training/labelme").glob("*.json"))
    assert len(stored) == 18
    for file in stored:
        read = labelme.read_label_file(str(file))
        assert len(read.shapes) > 4 and {shape["label"] for shape in read.shapes} == {"nucleus"}
        assert read.image_data == (ROOT / f"nbs/training/mine/{file.stem}.png").read_bytes()  # found where it lies
    picture(tmp_path / "pictures/a.png")
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[4:20, 4:30], mask[8:12, 10:20], mask[30:36, 40:50] = 1, 0, 1  # a hole, and a part by itself
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(mask)
    thing = {"id": 7, "category_id": 3, "score": 0.9, "segmentation": {**rle, "counts": rle["counts"].decode()}}
    write_picture(tmp_path / "out", ["labelme"], {"height": SIZE[0], "width": SIZE[1], "output": "a.png"}, [thing], {3: "cell"},
                  tmp_path / "pictures/a.png")
    read = labelme.read_label_file(str(tmp_path / "out/labelme/a.json"))
    assert [(shape["label"], shape["group_id"], shape["shape_type"]) for shape in read.shapes] == [("cell", 7, "polygon")] * 2
    from labelme.utils import shape_to_mask

    theirs = np.logical_or.reduce([shape_to_mask(SIZE, shape["points"], "polygon") for shape in read.shapes])
    assert (theirs != mask.astype(bool)).sum() < 0.1 * mask.sum()  # LabelMe's masks count the line in
