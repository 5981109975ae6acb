"""Every option of every command with bad values; odd pictures and names through predict; threads.

Whatever is given: exit code 0, or 1, 2 or 3 with a sentence, no traceback, no control character, and where a command
refuses, every file is as it was."""

import inspect
import json
import os
import shutil
import sys
import typing
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as pytest does for files that stand there

import simple_maskrcnn
from simple_maskrcnn import cli, cli_data, cli_export
from simple_maskrcnn.data.shapes import scene
from simple_maskrcnn.inference.predict import detect

NUMBERS = ("0", "-1", "nan", "inf", "-inf", "", "1e400", "9" * 400, str(2**63), "1.5", "x", "\x1b[31mred", "2,3", "None")
TEXTS = ("", "0", "-1", "nan", "[", "[" * 2000, "[[[]]]", "2;3", "1e999", "NaN", '"a"', "null", "{}", "x" * 5000,
         "\x1b[2J\nno problems", "../..", "é\udcff", "=",
         "a=b=c", "box_score_thresh=NaN", "min_size=-5", "anchor_sizes=[[0]]", "levels=[9]",
         "class_names=abc")
PATHS = ("", "gone", "\x1b[31mred", "a\nno problems", "x" * 300, "train/000000.png", "/dev/null/x", "pipe", "loop", "empty")
COMMANDS = {
    "shapes": "new --train 1 --val 1 --size 32",
    "check": "--data-dir .",
    "convert": ". made.json",
    "split": "annotations/instances_train.json 50/50 --images train",
    "train": "--data-dir . --output-dir run --epochs 1 --backbone resnet18 --levels 3,4 --anchor-sizes 8,16,32 --fpn-channels 8 "
             "--box-channels 8 --mask-channels 8 --min-size 32 --max-size 32 --set rpn_post_nms_top_n_train=9",
    "evaluate": "network --data-dir .",
    "predict": "network val --output-dir found",
    "export": "network out.onnx",
    "bench": "--rounds 1 --only none",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    simple_maskrcnn.write_shapes(folder, 4, 1, 64)
    torch.manual_seed(0)
    simple_maskrcnn.maskrcnn(classes=["circle", "square", "triangle", "star"], backbone="resnet18", levels=[3, 4], fpn_channels=8,
                             box_channels=8, mask_channels=8, min_size=32, max_size=32).save_pretrained(folder / "network")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    return folder


def tree(folder: Path) -> dict:
    """Every file with its content; the hidden cache of `check` may come and go."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")
            if not p.name.startswith(".")}


def invoke(words: list[str]) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, words)
    unforeseen = result.exception is not None and not isinstance(result.exception, SystemExit)
    assert not unforeseen, (words, result.exception)
    return result.exit_code, result.output


def values(parameter: inspect.Parameter) -> tuple:
    kinds = str(typing.get_args(parameter.annotation)[0])
    return NUMBERS if "int" in kinds or "float" in kinds else PATHS if "Path" in kinds else () if "bool" in kinds else TEXTS


def attempts():
    for name, usual in COMMANDS.items():
        command = next(getattr(module, name) for module in (cli, cli_data, cli_export) if hasattr(module, name))
        for parameter in inspect.signature(command).parameters.values():
            hint = parameter.annotation.__metadata__[0]
            bare = hint.default if isinstance(hint.default, str) else f"--{parameter.name.replace('_', '-')}"
            for value in values(parameter):
                words = usual.split()
                if parameter.default is parameter.empty:  # an argument, which stands first
                    words[0] = value
                elif bare in words:
                    words[words.index(bare) + 1] = value
                else:
                    words += [bare, value]
                yield name, words


@pytest.mark.skipif(os.name != "posix", reason="pipes and links as POSIX has them")
def test_every_option_with_bad_values(world, tmp_path, monkeypatch):
    """The training, the race and the export themselves are left out: what is refused is refused before them."""
    monkeypatch.setenv("SIMPLE_MASKRCNN_DEVICE", "cpu")
    monkeypatch.setattr("simple_maskrcnn.training.train.take_steps", lambda *_, **__: sys.exit(77))
    monkeypatch.setattr("simple_maskrcnn.bench.benchmark", lambda **_: {"rows": []})
    monkeypatch.setattr("simple_maskrcnn.inference.export.to_onnx", lambda *_, **__: sys.exit(77))
    codes, bad = Counter(), []
    monkeypatch.chdir(tmp_path)
    for name, words in attempts():
        shutil.rmtree(tmp_path / "w", ignore_errors=True)
        shutil.copytree(world, tmp_path / "w", symlinks=True, copy_function=os.link, ignore=shutil.ignore_patterns("pipe"))
        os.mkfifo(tmp_path / "w/pipe")
        os.chdir(tmp_path / "w")
        before = tree(tmp_path / "w")
        try:
            code, said = invoke([name, *words])
        except AssertionError as error:
            bad.append(str(error)[:300])
            continue
        finally:
            os.chdir(tmp_path)
        codes[name, code] += 1
        lines = [line for line in said.splitlines() if line.startswith("error: ")]
        fine = (code in (0, 77) or code == 2 and "Usage" in said or code in (1, 3) and len(lines) == 1 or
                name == "check" and code == 1 and "problems" in said or name == "predict" and "could not be read" in said)
        if not fine or "Traceback" in said or "\x1b" in said and code != 2:  # 2: typer's own sentence shows what was typed
            bad.append(f"{code} {name} {words}: {said[-300:]}")
        if code not in (0, 77) and tree(tmp_path / "w") != before:
            bad.append(f"changed by {name} {words}: {said[-300:]}")
    print(sum(codes.values()), "command lines:", dict(codes))
    assert not bad, "\n".join(bad)
    assert sum(codes.values()) > 900 and codes["train", 1] + codes["train", 2] > 400


def test_odd_pictures_and_names_do_not_stop_the_others(world, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMPLE_MASKRCNN_DEVICE", "cpu")
    photos = tmp_path / "photos"
    shutil.copytree(world / "val", photos)
    whole = next(photos.glob("*.png")).read_bytes()
    names = ["é中.png", "line\nbreak.png", "\x1b[31mred.png", "-rf.png", "a b.png", "$x$.png", "x" * 250 + ".png", "a.png.png",
             "a.jpg", "A.JPG", "%s{0}.png", "'\".png", "con.png", "deep/" * 20 + "b.png", "a.png.d/c.png", "\u202egnp.png"]
    for name in names:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(whole)
    bad = {f"bad{k}.png": data for k, data in enumerate((
        b"", b"x", whole[:20], whole[:200], whole[:-1], whole.replace(b"IDAT", b"IDAX"), b"GIF89a", b"II*\0",
        b"\xff\xd8\xff\xe0" + bytes(99), b"RIFF\0\0\0\0WEBP", bytes(9999)))}
    for name, data in bad.items():
        (photos / name).write_bytes(data)
    Image.new("RGB", (1, 1)).save(photos / "pixel.png")
    before = tree(photos)
    code, said = invoke(["predict", str(world / "network"), str(photos), "--masks", "--output-dir", str(tmp_path / "found")])
    failed = int(next(line for line in said.splitlines() if "could not be read" in line).split()[0])
    content = json.loads((tmp_path / "found/predictions.json").read_text())
    assert code == 1 and "\x1b" not in said and "\u202e" not in said and "Traceback" not in said
    assert len(content["images"]) + failed == len(names) + len(bad) + 2 and len(bad) - 1 <= failed <= len(bad)
    assert {n for n in names} <= {image["file_name"] for image in content["images"]} and tree(photos) == before
    outputs = [image["output"].lower() for image in content["images"]]
    assert len(set(outputs)) == len(outputs)
    assert all((tmp_path / "found/masks" / image["output"]).is_file() for image in content["images"])


@pytest.mark.parametrize("training", [False, True])
def test_threads_find_what_one_finds(world, training):
    network, (picture, _) = simple_maskrcnn.load_model(world / "network", "cpu"), scene()
    network.roi_heads.detection = {"score_thresh": 0.0}
    expected = detect(network, picture, 0.0)
    network.train(training)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: detect(network, picture, 0.0), range(64)):
            assert all(found[key].equal(expected[key]) for key in ("boxes", "labels", "scores"))
            assert found["masks"] == expected["masks"]
    assert all(module.training is training for module in network.modules())
