"""The command line as it is used: real processes, exit codes, one line for what is wrong."""

import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import wraps
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from conftest import ROOT, child_environment
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import CliRunner

import simple_maskrcnn
from simple_maskrcnn import bench, cli, cli_data
from simple_maskrcnn.data import augment, coco, shapes
from simple_maskrcnn.evaluation import ap, evaluate
from simple_maskrcnn.inference import predict
from simple_maskrcnn.network import model
from simple_maskrcnn.training import train as training

NETWORK = ("--backbone resnet18 --levels 3,4 --anchor-sizes 16,32,64 --fpn-channels 16 --box-channels 16 --mask-channels 8 "
           "--min-size 64 --max-size 64 --set rpn_post_nms_top_n_train=50 --set rpn_post_nms_top_n_test=50").split()


def command(*words, cwd: Path, code: int = 0) -> str:
    """Run a command line in a process of its own; return what it wrote to stdout and stderr."""
    env = child_environment(OMP_NUM_THREADS="1", PYTHONUTF8="1")
    done = subprocess.run([sys.executable, "-m", "simple_maskrcnn.cli", *map(str, words)], cwd=cwd, env=env,
                          capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def here(*words) -> tuple[int, str]:
    """The same in this process, which has the libraries already: exit code and output."""
    result = CliRunner().invoke(cli.app, list(map(str, words)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("SIMPLE_MASKRCNN_DEVICE", "cpu")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder in which `shapes` and `train` have run."""
    folder = tmp_path_factory.mktemp("work")
    command("shapes", "world", "--train", 8, "--val", 3, "--size", 64, cwd=folder)
    said = command("train", "--data-dir", "world", *NETWORK, "--epochs", 1, "--batch-size", 4, "--jitter", "0.5,2,64",
                   "--output-dir", "run", cwd=folder)
    assert "2 steps" in said and "the network is in run" in said
    return folder


def test_train_writes_a_run(work):
    files = {p.relative_to(work / "run").as_posix() for p in (work / "run").rglob("*") if p.is_file()}
    assert {"metrics.jsonl", "losses.png", "checkpoint.pt", "last/model.safetensors", "last/config.json"} <= files
    config = json.loads((work / "run/last/config.json").read_text())
    assert config["class_names"] == shapes.CLASS_NAMES and config["anchor_sizes"] == [[16], [32], [64]]
    assert config["levels"] == [3, 4] and config["rpn_post_nms_top_n_test"] == 50
    assert config["train_resize"] is False  # the jitter has set the size


def test_the_same_command_goes_on(work, tmp_path):
    shutil.copytree(work / "run", tmp_path / "run")
    words = ["train", "--data-dir", work / "world", *NETWORK, "--epochs", 1, "--batch-size", 4, "--jitter", "0.5,2,64"]
    code, said = here(*words, "--output-dir", tmp_path / "run")
    assert code == 0 and "all 1 epochs are done after step 2" in said
    code, said = here(*words, "--fpn-channels", 24, "--output-dir", tmp_path / "run")
    assert code == 1 and "fpn_channels: 16 in the checkpoint, 24 now" in said


def test_evaluate_prints_and_writes_the_figures_of_the_library(work):
    place = ("--images", work / "world/val", "--annotations", work / "world/annotations/instances_val.json")
    expected = evaluate.evaluate(predict.load_model(work / "run", "cpu"), coco.CocoDataset(place[1], place[3]), progress=False)
    for where in (("--data-dir", work / "world"), place):
        code, said = here("evaluate", work / "run", *where, "--output-dir", work / "figures")
        assert code == 0 and ap.format_results(expected) in said
    assert json.loads((work / "figures/metrics.json").read_text())["segm"] == expected["segm"]
    model = predict.load_model(work / "run", "cpu", box_detections_per_img=150, min_size=48)
    expected = evaluate.evaluate(model, coco.CocoDataset(place[1], place[3]), progress=False)
    code, said = here("evaluate", work / "run", *place, "--set", "box_detections_per_img=150", "--set", "min_size=48")
    assert code == 0 and ap.format_results(expected) in said and "AR150" in said


def test_predict_writes_what_the_library_finds(work, tmp_path):
    (tmp_path / "pictures/deeper").mkdir(parents=True)
    for i, name in enumerate(("a.png", "deeper/a.png")):
        shutil.copy(work / f"world/val/00000{i}.png", tmp_path / "pictures" / name)
    shutil.copytree(work / "run/last", tmp_path / "network")  # the folder is all that is needed
    said = command("predict", "network", "pictures", "--score-threshold", 0.05, "--masks", "--output-dir", "found", cwd=tmp_path)
    assert "2 images" in said
    network = predict.load_model(tmp_path / "network", "cpu")
    again = predict.predict_files(network, tmp_path / "pictures", tmp_path / "again", score_threshold=0.05, masks=True,
                                  progress=False)
    assert (tmp_path / "found/predictions.json").read_bytes() == again["file"].read_bytes()
    coco = COCO(tmp_path / "found/predictions.json")
    assert len(coco.anns) == again["objects"] > 0
    for kind in ("overlays", "masks"):
        names = {p.relative_to(tmp_path / "found" / kind).as_posix() for p in (tmp_path / "found" / kind).rglob("*.png")}
        assert names == {"a.png", "deeper/a.png"}


def test_a_bad_file_is_skipped_and_the_exit_code_says_so(work, tmp_path):
    shutil.copy(work / "world/val/000000.png", tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:300])
    said = command("predict", work / "run", ".", "nowhere.png", "--no-overlays", cwd=tmp_path, code=1)
    assert "1 images" in said and "2 could not be read" in said and "warning: skipped: " in said
    content = json.loads((tmp_path / "predictions/predictions.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["good.png"]


def test_check_finds_faults(work, tmp_path):
    assert here("check", "--data-dir", work / "world")[0] == 0
    shutil.copytree(work / "world", tmp_path / "world")
    file = tmp_path / "world/annotations/instances_val.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["category_id"] = 77
    file.write_text(json.dumps(content))
    code, said = here("check", "--data-dir", tmp_path / "world")
    assert code == 1 and "unknown category" in said and "77" in said and "instances_train.json" in said
    code, said = here("train", "--data-dir", tmp_path / "world", *NETWORK, "--output-dir", tmp_path / "run")
    assert code == 1 and "unknown category" in said and not (tmp_path / "run").exists()


def test_pictures_outside_of_the_folder_have_an_option_and_it_is_advised(work, tmp_path):
    (tmp_path / "empty").mkdir()
    content = json.loads((work / "world/annotations/instances_val.json").read_text())
    for image in content["images"]:
        image["file_name"] = str(work / "world/val" / image["file_name"])
    (tmp_path / "a.json").write_text(json.dumps(content))
    place = "--images", tmp_path / "empty", "--annotations", tmp_path / "a.json"
    for words in (["check"], ["evaluate", work / "run"]):
        code, said = here(*words, *place)
        assert code == 1 and "(--outside allows it)" in said, said
        assert here(*words, *place, "--outside")[0] == 0


def test_bad_records_and_empty_images_are_left_out_when_asked(monkeypatch, work, tmp_path):
    seen = []
    monkeypatch.setattr(simple_maskrcnn, "fit", wraps(training.fit)(lambda network, learn, *_, **__: seen.append(len(learn))))
    shutil.copytree(work / "world", tmp_path / "world")
    file = tmp_path / "world/annotations/instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 2]
    content["annotations"][0]["bbox"][2] = 0
    file.write_text(json.dumps(content))
    empty = 8 - len({a["image_id"] for a in content["annotations"][1:]})
    words = ["train", "--data-dir", tmp_path / "world", *NETWORK]
    code, said = here(*words)
    assert code == 1 and "box without area" in said and not seen
    code, said = here(*words, "--skip-bad")
    assert code == 0 and "warning: left out 1 bad records" in said and seen == [8]
    assert here(*words, "--skip-bad", "--drop-empty")[0] == 0 and seen == [8, 8 - empty]


def test_pascal_voc(tmp_path):
    voc = tmp_path / "VOC2012"
    for name in ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / name).mkdir(parents=True)
    for split, name in (("train", "a"), ("val", "b")):
        (voc / f"ImageSets/Segmentation/{split}.txt").write_text(f"{name}\n")
        Image.new("RGB", (60, 40), "white").save(voc / f"JPEGImages/{name}.jpg")
        for kind, values in (("SegmentationObject", (1, 2)), ("SegmentationClass", (3, 15))):  # a bird and a person
            mask = np.zeros((40, 60), np.uint8)
            mask[5:15, 5:15], mask[20:35, 30:50] = values
            picture = Image.fromarray(mask)
            picture.putpalette(list(range(256)) * 3)
            picture.save(voc / kind / f"{name}.png")
    code, said = here("check", "--dataset", "voc", "--data-dir", voc)
    assert code == 0 and said.count("1 images, 2 objects") == 2 and "bird 1" in said and "person 1" in said


@pytest.fixture(scope="module")
def places(work, tmp_path_factory):
    """Names that the faulty command lines below use, as in `{world}`."""
    folder = tmp_path_factory.mktemp("faults")
    empty = coco.write_shapes(folder / "empty", 0, 0, 64)
    others = coco.write_shapes(folder / "others", 1, 1, 64)
    for split in ("train", "val"):
        file = others / f"annotations/instances_{split}.json"
        content = json.loads(file.read_text())
        seen = content["annotations"][0]["category_id"]
        next(record for record in content["categories"] if record["id"] == seen)["name"] = "zebra"
        file.write_text(json.dumps(content))
    shutil.copytree(work / "run/last", folder / "damaged")
    weights = folder / "damaged/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    hollow, foreign = folder / "hollow", folder / "foreign"
    hollow.mkdir()
    (foreign / "masks").mkdir(parents=True)
    (foreign / "metrics.json").write_text("[]")
    return {"world": work / "world", "run": work / "run", "out": folder / "out", "gone": folder / "gone", "empty": empty,
            "others": others, "damaged": folder / "damaged", "hollow": hollow, "foreign": foreign}


@pytest.mark.parametrize("line, part", [
    ("check --data-dir {gone}", "instances_train2017.json"),
    ("check", "no images to work on"),
    ("check --data-dir {empty}", "has no images"),
    ("check --images {gone} --annotations {world}/annotations/instances_val.json", "no image folder"),
    ("check --images {world}/val", "belong together"),
    ("check --data-dir {world} --images {world}/val --annotations {world}/annotations/instances_val.json", "--data-dir"),
    ("evaluate {run} --data-dir {world} --images {world}/val --annotations {gone}", "has no effect where images"),
    ("evaluate {run} --split train --images {world}/val --annotations {gone}", "--split train has no effect"),
    ("train --output-dir {out} --data-dir {world} --train-images {gone} --train-annotations {gone} --valid-images {gone} "
     "--valid-annotations {gone}", "--data-dir"),
    ("check --dataset voc --data-dir {world}", "JPEGImages"),
    ("train --output-dir {out}", "no images to work on"),
    ("train --output-dir {out} --data-dir {empty}", "has no images"),
    ("train --output-dir {out} --train-images {world}/val --train-annotations {gone}", "no annotation file"),
    ("train --output-dir {out} --data-dir {world} --valid-images {world}/val", "belong together"),
    ("train --output-dir {out} --data-dir {world} --backbone resnet19", "resnet19"),
    ("train --output-dir {out} --data-dir {world} --min-size 64 --set min_size=32", "--min-size is given twice"),
    ("train --output-dir {out} --data-dir {world} --grey", "no effect without"),
    ("train --output-dir {out} --data-dir {world} --milestones 8,11", "no effect with --schedule cosine"),
    ("train --output-dir {out} --data-dir {world} --weights {gone}", "no weights at"),
    ("train --output-dir {out} --data-dir {world} --levels 7", "levels"),
    ("train --output-dir {out} --data-dir {world} --levels 3;4", "'3;4' is not a list of numbers"),
    ("train --output-dir {out} --data-dir {world} --set box_colour=1", "box_colour"),
    ("train --output-dir {out} --data-dir {world} --set red", "name=value"),
    ("train --output-dir {out} --data-dir {world} --scales 64 --jitter 0.1,2,64", "give one of them"),
    ("evaluate {gone} --data-dir {world}", "no network in"),
    ("evaluate {damaged} --data-dir {world}", "cannot read weights"),
    ("evaluate {run} --data-dir {gone}", "instances_val2017.json"),
    ("evaluate {run} --data-dir {world} --split test", "instances_test.json"),
    ("evaluate {run} --data-dir {empty}", "has no images"),
    ("evaluate {run} --data-dir {others}", "zebra"),
    ("predict {gone} {world}/val --output-dir {out}", "no network in"),
    ("predict {damaged} {world}/val --output-dir {out}", "cannot read weights"),
    ("train --output-dir {out} --data-dir {world} --optimizer adam", "adam"),
    ("train --output-dir {out} --data-dir {world} --schedule linear", "linear"),
    ("train --output-dir {out} --data-dir {world} --precision fp8x", "fp8x"),
    ("train --output-dir {out} --data-dir {world} --backend coco", "--backend coco"),
    ("train --output-dir {out} --data-dir {gone} --lr 0", "--lr 0.0: give a number above 0"),
    ("train --output-dir {out} --data-dir {gone} --ema 2", "--ema 2.0: give a number between 0 and 1"),
    ("evaluate {run} --data-dir {world} --backend coco", "--backend coco"),
    ("predict {run} {hollow} --output-dir {out}", "no image in the folder"),
    ("predict {run} {world}/val --output-dir {world}/val/000000.png", "000000.png"),
    ("predict {run} {world}/val --tiles 7 --output-dir {out}", "--tiles 7: give a side in pixels, from 32 to 65535"),
    ("predict {run} {world}/val --masks --output-dir {foreign}", "masks is there already"),
    ("evaluate {run} --data-dir {world} --output-dir {foreign}", "metrics.json is there already"),
    ("train --output-dir {out} --data-dir {world} --jitter 2,0.1,64", "--jitter 2,0.1,64: give the least"),
    ("train --output-dir {out} --data-dir {world} --scales -5", "--scales -5: sides"),
    ("train --output-dir {out} --data-dir {world} --levels nan", "'nan' is not a list of numbers"),
])
def test_bad_input_is_one_message_and_exit_code_1(line, part, places):
    words = line.format(**places).split()
    code, said = here(*words, *(NETWORK if words[0] == "train" and not {"--backbone", "--levels"} & set(words) else []))
    assert code == 1
    (message,) = [text for text in said.split("\n") if text.startswith("error: ")]
    assert part in message, message


@pytest.mark.parametrize("line", ["shapes x --size 3", "train --flip 2", "train --epochs 0", "train --lr nan",
                                  "predict x y --score-threshold nan", "predict x y --max-detections 0",
                                  "", "train --epoch 3", "train --epochs three", "predict", "predict run", "evaluate", "shapes",
                                  "fly", "check --dataset kitti", "train --output-dir=", "check --images="])
def test_a_wrong_command_line_is_exit_code_2(line):
    code, said = here(*line.split())
    assert code == 2 and "Usage" in said


@pytest.mark.parametrize("name", ["", "shapes", "check", "convert", "split", "train", "evaluate", "predict", "bench"])
def test_help(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, said = here(*name.split(), "--help")
    assert code == 0 and "Usage" in said
    function = getattr(cli, name, getattr(cli_data, name, None))
    for parameter in inspect.signature(function).parameters.values() if function else ():
        (hint,) = parameter.annotation.__metadata__
        assert hint.help.split()[0] in said, parameter


def commands_of_the_readme() -> list[list[str]]:
    """The words of every command for `simple-maskrcnn` in the blocks of README and results, without the program itself."""
    results = json.loads((ROOT / "nbs" / "results.ipynb").read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8") + "\n".join("".join(c["source"]) for c in results["cells"])
    blocks = re.findall(r"```bash\n(.*?)```", text, re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(found[1], comments=True) for line in lines
            if (found := re.match(r"[^#]*simple(?:-maskrcnn|_maskrcnn\.cli) (.*)", line))]


def test_the_commands_of_the_readme_are_understood():
    group = typer.main.get_command(cli.app)
    found = commands_of_the_readme()
    assert {"check", "train", "predict"} <= {name for name, *_ in found} and len(found) >= 6
    for name, *words in found:
        group.commands[name].make_context(name, words)  # an option that does not exist is an error


def test_help_does_not_load_the_libraries():
    code = ("import sys\nsys.argv[1:] = ['train', '--help']\nfrom simple_maskrcnn.cli import main\n"
            "try:\n    main()\nexcept SystemExit:\n    print([m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8",
                          env=os.environ | {"PYTHONUTF8": "1"})
    assert done.stdout.endswith("[]\n"), done.stdout[-300:] + done.stderr


def defaults(*functions) -> dict:
    return {name: p.default for f in functions for name, p in inspect.signature(f).parameters.items()}


def shows(function, option: str) -> bool | str:
    """The default that the help shows, if it is not that of the function."""
    return inspect.signature(function).parameters[option].annotation.__metadata__[0].show_default


def test_defaults_are_those_of_the_library():
    library = {"train": defaults(model.maskrcnn, model.MaskRCNN, augment.train_transforms, training.fit),
               "evaluate": defaults(evaluate.evaluate), "predict": defaults(predict.predict_files),
               "bench": defaults(bench.benchmark),
               "shapes": {"train": 1000, "val": 100, "size": 128, "seed": 0}}
    wrong = []
    for name, there in library.items():
        for option, default in defaults(getattr(cli, name)).items():
            expected = there.get(option, default)
            if default is None and isinstance(shown := shows(getattr(cli, name), option), str):  # handed on only if it is given
                default = tuple(cli.numbers(shown)) if option == "levels" else type(expected)(shown)
            if default is None and option in defaults(model.maskrcnn):  # that of the weights
                continue
            if default != expected and inspect.Parameter.empty not in (default, expected) and (default, expected) != (None, ()):
                wrong.append((name, option, default, expected))
    assert not wrong


def test_no_argument_of_training_is_forgotten():
    options = set(defaults(cli.train)) | {"train_resize", "num_classes", "classes", "class_names"}
    wanted = set(defaults(augment.train_transforms, training.fit, model.maskrcnn))
    assert wanted - options == {"model", "train", "valid", "accelerator", "extra", "min_area", "options"}


def test_what_is_given_arrives(monkeypatch, work):
    seen = {}

    def record(function):  # in place of a function, with its signature
        return wraps(function)(lambda *given, **options: seen.update({function.__name__: (given, options)}))

    for name in ("fit", "train_transforms"):
        monkeypatch.setattr(simple_maskrcnn, name, record(getattr(simple_maskrcnn, name)))
    code, said = here("train", "--data-dir", work / "world", *NETWORK, "--schedule", "multistep", "--milestones", "1,2.5",
                      "--scales", "64,80", "--color", 0.3, "--tracker", "tensorboard", "--tracker", "all", "--workers", 3,
                      "--no-resume", "--ema", 0.9, "--no-recipe")
    assert code == 0, said
    assert seen["train_transforms"][1] == {"flip": 0.5, "vertical_flip": 0.0, "rotate90": False, "scales": [64, 80],
                                           "max_size": 64, "color": 0.3, "grey": False}
    (network, learn, valid), options = seen["fit"]
    assert (len(learn), len(valid), network.transform.train_resize, network.exact_masks) == (8, 3, False, True)
    expected = {"milestones": [1, 2.5], "trackers": ["tensorboard", "all"], "num_workers": 3, "resume": False, "ema": 0.9,
                "epochs": 12, "seed": 0, "clip_norm": 5.0}
    assert {name: options[name] for name in expected} == expected
    torch.manual_seed(0)
    again = model.maskrcnn(**network._hub_mixin_config)  # the first weights follow from the seed
    assert all(value.equal(network.state_dict()[name]) for name, value in again.state_dict().items())


def test_a_preview_is_written_and_nothing_trained(work, tmp_path):
    words = ["train", "--data-dir", work / "world", *NETWORK, "--crop", 48, "--copy-paste", 0.5, "--repeat-threshold", 0.9,
             "--output-dir", tmp_path / "run"]
    code, said = here(*words, "--preview", tmp_path / "sheet.png")
    assert code == 0 and "without --preview the same command trains" in said
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 1400 and len(sheet.getcolors(2**21)) > 1000  # pictures are on it
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    (tmp_path / "sheet.png").write_bytes(b"mine")
    code, said = here(*words, "--preview", tmp_path / "sheet.png")
    assert code == 1 and "something else wrote it" in said and (tmp_path / "sheet.png").read_bytes() == b"mine"


def test_what_the_recipe_says_is_what_it_does(monkeypatch, work, tmp_path):
    """Its lines, given as options, make the same network and the same call of `fit`; what is given stays."""
    calls = []
    monkeypatch.setattr(simple_maskrcnn, "fit", wraps(training.fit)(lambda *given, **options: calls.append((given[0], options))))
    for given in (["--output-dir", tmp_path], ["--min-size", 96, "--epochs", 7, "--output-dir", tmp_path]):
        code, said = here("train", "--data-dir", work / "world", *given)
        lines = [line for line in said.splitlines() if line.startswith("  --")]
        words = shlex.split(" ".join(line.rsplit(": ", 1)[0] for line in lines))
        assert code == 0 and len(lines) == 4 and not set(given[:-2]) & set(words), said
        code, said = here("train", "--data-dir", work / "world", *words, *given, "--no-recipe")
        assert code == 0 and "chosen for" not in said, said
        (first, options), (again, same) = calls[-2:]
        assert options == same and first.settings() == again.settings()
        assert all(value.equal(again.state_dict()[name]) for name, value in first.state_dict().items())
    assert calls[0][0].settings()["min_size"] == 128 and calls[-1][0].settings()["min_size"] == 96 and calls[-1][1]["epochs"] == 7


def test_of_a_run_only_what_is_given_is_changed(monkeypatch, work):
    """What `maskrcnn` is called with: the run's own settings are its defaults."""
    seen = []
    monkeypatch.setattr(simple_maskrcnn, "maskrcnn", wraps(model.maskrcnn)(lambda **options: seen.append(options) or 1 / 0))
    for words in (["--weights", work / "run"], [], ["--weights", work / "run/last/model.safetensors"]):
        code, said = here("train", "--data-dir", work / "world", *words, "--min-size", 96, "--no-recipe")
        assert code == 1 and "division by zero" in said
    classes = {"num_classes": 5, "class_names": shapes.CLASS_NAMES, "train_resize": True, "min_size": 96}
    assert seen[0] == classes | {"weights": str(work / "run")}
    assert seen[1] == classes | {"exact_masks": True} and seen[2].keys() == seen[0].keys() | {"exact_masks"}


def test_the_figures_are_printed_before_they_are_written(monkeypatch, work, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluate, "write_results", full)
    code, said = here("evaluate", work / "run", "--data-dir", work / "world", "--mistakes", "--output-dir", tmp_path / "figures")
    assert code == 1 and "mask AP50" in said and "most mistakes: " in said
    assert said.endswith("error: [Errno 28] No space left on device\n")


def test_check_only_reads(monkeypatch, tmp_path):
    """PASCAL VOC's folder is as it was; an annotation file of the user's stays."""
    test_pascal_voc(tmp_path)
    voc = tmp_path / "VOC2012"
    assert {p.name for p in voc.iterdir()} == {"JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets"}


def hear() -> None:
    """What a shell's background jobs and nohup inherit as ignored is heard again."""
    for name in {"SIGINT", "SIGHUP", "SIGTERM"} & {*dir(signal)}:
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def start(*words, cwd: Path, **env: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "simple_maskrcnn.cli", *map(str, words)], cwd=cwd, text=True,
                            env=child_environment(OMP_NUM_THREADS="1", **env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            preexec_fn=hear if os.name == "posix" else None)


def test_a_terminal_with_nothing_but_ascii(work, tmp_path):
    name = "é×中.png"
    shutil.copy(work / "world/val/000000.png", tmp_path / name)
    for words in (["predict", work / "run", name, "gone\x1b[31m.png"], ["--help"]):
        process = start(*words, cwd=tmp_path, PYTHONIOENCODING="ascii")
        said, _ = process.communicate(timeout=120)
        assert "Traceback" not in said and "\x1b" not in said and process.returncode == (words[0] == "predict"), said
    assert json.loads((tmp_path / "predictions/predictions.json").read_text())["images"][0]["file_name"] == name


@pytest.mark.skipif(os.name != "posix", reason="streams as POSIX closes them")
def test_closed_streams_stop_nobody(work, tmp_path):
    words = [sys.executable, "-m", "simple_maskrcnn.cli", "predict", str(work / "run"), str(work / "world/val")]
    command = ["sh", "-c", '"$@" >&- 2>&-', "sh", *words]
    assert subprocess.run(command, cwd=tmp_path, env=child_environment()).returncode == 0
    assert json.loads((tmp_path / "predictions/predictions.json").read_text())["images"]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number, code", [(15, 143), (2, 130), (1, 129)])  # SIGTERM, SIGINT, SIGHUP
def test_a_stopped_prediction_keeps_what_it_found_and_goes_on(number, code, work, tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(400):
        shutil.copy(work / "world/val/000000.png", tmp_path / f"pictures/{i:03}.png")
    process = start("predict", work / "run", "pictures", cwd=tmp_path)
    overlays = tmp_path / "predictions/overlays"
    while process.poll() is None and not (overlays.is_dir() and len(list(overlays.iterdir())) > 3):
        time.sleep(0.05)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in said, said
    found = len(json.loads((tmp_path / "predictions/predictions.json").read_text())["images"])
    assert 3 <= found < 400
    for image in (tmp_path / "pictures").glob("[1-3]*.png"):
        image.unlink()
    kept = min(found, 100)
    code, said = here("predict", work / "run", tmp_path / "pictures", "--output-dir", tmp_path / "predictions")
    assert code == 0 and f"({kept} images done earlier)" in said and "100 images" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is such a device")
def test_a_device_that_is_not_there_is_one_line(monkeypatch, work, tmp_path):
    monkeypatch.setenv("SIMPLE_MASKRCNN_DEVICE", "cuda")
    code, said = here("predict", work / "run", work / "world/val", "--output-dir", tmp_path / "found")
    assert code == 1 and said.startswith("error: ") and said.count("\n") == 1 and "SIMPLE_MASKRCNN_DEVICE" in said, said
    assert not (tmp_path / "found").exists()
