"""The house: what may import what, names that come from the package itself, and how long functions and modules are."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, child_environment

LIB = ROOT / "simple_maskrcnn"
MODULES = sorted(p for p in LIB.rglob("*.py") if p.name not in ("__init__.py", "_modidx.py"))
ORDER = ["files", "film", "draw", "cards", "network", "data", "evaluation", "training", "inference", "bench", "manners",
         "cli_data", "cli_train", "cli_explore", "cli_export", "cli"]  # each from
ALLOWED = {"network": {*ORDER[:4]}, "inference": {*ORDER[:7]}}
NAMES = {"maskrcnn", "MaskRCNN", "load_model", "detect", "roi_align", "CocoDataset", "ShapesDataset", "write_shapes",
         "train_transforms", "eval_transforms", "convert", "fit", "evaluate", "predict_files", "explore"}
MAX_FUNCTION, MAX_MODULE = 60, 300  # lines; of a function without signature, docments and docstring


def room(module: str) -> str:
    """network.anchors → network"""
    return module.split(".")[0]


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports, at its top or inside a function: network.anchors, files …"""
    here, found = ["simple_maskrcnn", *path.relative_to(LIB).with_suffix("").parts], set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [".".join([*(here[:-node.level] if node.level else []), *filter(None, [node.module])])]
        found |= {name.removeprefix("simple_maskrcnn.") for name in names if name.startswith("simple_maskrcnn.")}
    return found


def wrong_imports(path: Path) -> list[str]:
    own = room(".".join(path.relative_to(LIB).with_suffix("").parts))
    allowed = ALLOWED.get(own, set(ORDER[:ORDER.index(own)])) | {own}
    return [module for module in imported(path) if room(module) not in allowed]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(LIB).as_posix())
def test_a_wing_imports_only_from_those_before_it(path):
    assert wrong_imports(path) == []


def test_an_import_upwards_would_be_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "LIB", tmp_path)
    (tmp_path / "network").mkdir()
    for line in ("from ..data.coco import CocoDataset", "from simple_maskrcnn.data.coco import x", "import simple_maskrcnn.cli"):
        (tmp_path / "network" / "anchors.py").write_text(f"def f():\n    {line}\n")
        assert len(wrong_imports(tmp_path / "network" / "anchors.py")) == 1, line


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after some code."""
    code += "\nimport sys; print('loaded', *sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    assert done.returncode == 0, done.stderr
    return set(re.search(r"loaded (.*)", done.stdout)[1].split())


def test_the_package_and_the_help_of_the_command_line_load_no_torch():
    heavy = {"torch", "torchvision", "numpy", "matplotlib", "PIL", "pycocotools", "accelerate"}
    assert not loaded("import simple_maskrcnn; dir(simple_maskrcnn)") & heavy
    assert not loaded("import sys; sys.argv[1:] = ['--help']\nfrom simple_maskrcnn.cli import main\n"
                      "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code") & heavy
    assert "torch" in loaded("from simple_maskrcnn import roi_align")  # what a name needs comes with it


def test_public_names_come_from_the_package():
    import simple_maskrcnn

    assert NAMES <= set(simple_maskrcnn.__all__) == set(dir(simple_maskrcnn))
    assert all(callable(getattr(simple_maskrcnn, name)) for name in simple_maskrcnn.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        simple_maskrcnn.no_such_name  # noqa: B018


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(LIB).as_posix())
def test_modules_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert sum(bool(line.strip()) for line in text.splitlines()) <= MAX_MODULE
    long = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and (length := node.end_lineno - body[0].lineno + 1) > MAX_FUNCTION:
                long[node.name] = length
    assert not long
