"""The wheel and the sdist: what is in them, what they say of themselves, and that the wheel needs no dev package."""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
MODELS = sorted(p.relative_to(ROOT / "simple_maskrcnn").as_posix() for p in (ROOT / "simple_maskrcnn/models").rglob("*.*"))
MODULES = sorted(p.relative_to(ROOT / "simple_maskrcnn").as_posix() for p in (ROOT / "simple_maskrcnn").rglob("*.py"))
CONFIG = ConfigParser(delimiters=["="])
CONFIG.read(ROOT / "settings.ini", encoding="utf-8")
CFG = CONFIG["DEFAULT"]


def copy_of_the_source(to: Path) -> Path:
    """The repository without what git ignores, so that nothing built before can slip into the package."""
    built = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "_*site", "_docs", "*.egg-info", "__pycache__", ".*_cache",
                                   ".ipynb_checkpoints")

    def ignored(folder, names):
        return built(folder, names) | ({"data", "runs"} if Path(folder) == ROOT else set())  # at the top only: data is a wing

    shutil.copytree(ROOT, to, ignore=ignored)
    return to


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel built from that sdist, without the network."""
    source = copy_of_the_source(tmp_path_factory.mktemp("package") / "source")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(source / "dist"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = (source / "dist").glob("*.tar.gz"), (source / "dist").glob("*.whl")
    return sdist, wheel


def names(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


def metadata(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(archive.read(name))


def test_wheel_holds_every_module_the_networks_and_nothing_else(built):
    inside = [n for n in names(built[1]) if ".dist-info/" not in n]
    assert sorted(inside) == sorted(f"simple_maskrcnn/{m}" for m in MODULES + MODELS)
    assert sum(info.file_size for info in zipfile.ZipFile(built[1]).infolist()) < 12e6
    assert any(n.endswith("licenses/LICENSE") for n in names(built[1]))


def test_wheel_is_pure_python(built):
    assert built[1].name == f"simple_maskrcnn-{CFG['version']}-py3-none-any.whl"


def test_sdist_holds_the_notebooks_and_the_tests(built):
    top = f"simple_maskrcnn-{CFG['version']}"
    inside = {n.removeprefix(f"{top}/") for n in tarfile.open(built[0]).getnames()}
    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "settings.ini", "Makefile", "nbs/index.ipynb", "tests/test_package.py",
              "tools/check_notebooks.py", *(f"simple_maskrcnn/{m}" for m in MODULES)}
    assert wanted <= inside, wanted - inside


def test_metadata_is_that_of_settings(built):
    meta = metadata(built[1])
    assert (meta["Name"], meta["Version"]) == ("simple_maskrcnn", CFG["version"])
    assert meta["Requires-Python"] == f">={CFG['min_python']}"
    assert meta["License-Expression"] == "MIT"
    assert meta["Description-Content-Type"] == "text/markdown"
    needed = {re.match(r"[\w-]+", r)[0] for r in meta.get_all("Requires-Dist") if "extra ==" not in r}
    assert needed == {re.match(r"[\w-]+", r)[0] for r in CFG["requirements"].split()}
    extra = {re.match(r"[\w-]+", r)[0] for r in meta.get_all("Requires-Dist") if "extra ==" in r}
    assert extra - needed == {re.match(r"[\w-]+", r)[0] for r in CFG["dev_requirements"].split()}  # an extra may need newer ones


def test_description_has_no_relative_link(built):
    text = metadata(built[1]).get_payload()
    links = re.findall(r'(?:\]\(|src="|href=")([^)"]+)', text)
    assert links and [x for x in links if not re.match(r"https?://|#", x)] == []


IMPORT_ALL = """
import importlib, sys
from importlib.metadata import version

class Refuse:  # as in an environment where only the runtime requirements are installed
    names = set({blocked!r})
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}} (a dev package)", name=name)

sys.meta_path.insert(0, Refuse())
for name in {modules!r}:
    module = importlib.import_module(name)
    assert {folder!r} in module.__file__, module.__file__
import simple_maskrcnn
print(simple_maskrcnn.__version__)
"""
DEV_ONLY = ["nbdev", "fastcore", "execnb", "ghapi", "IPython", "ipykernel", "ipywidgets", "jupyterlab", "jupyter_client",
            "matplotlib_inline", "nbconvert", "nbclient", "nbformat", "pytest", "selenium", "latex2mathml", "ruff",
            "build", "setuptools", "traitlets", "pygments", "tornado", "pkg_resources"]


def import_from(folder: Path, modules: list[str]):
    code = IMPORT_ALL.format(blocked=DEV_ONLY, modules=modules, folder=str(folder))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder,
                          env=os.environ | {"PYTHONPATH": str(folder)})


@pytest.fixture
def unpacked(built, tmp_path):
    zipfile.ZipFile(built[1]).extractall(tmp_path)
    return tmp_path.resolve()


def test_every_module_imports_from_the_wheel_without_dev_packages(unpacked):
    done = import_from(unpacked, ["simple_maskrcnn." + m[:-3].replace("/", ".") for m in MODULES if "__init__" not in m])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == CFG["version"]


def test_the_network_that_comes_along_finds_nuclei(unpacked):
    command = [sys.executable, "-m", "simple_maskrcnn.cli", "predict", "nuclei", "simple_maskrcnn/models/nuclei/pictures"]
    done = subprocess.run([*command, "--output-dir", "out"], capture_output=True, text=True, cwd=unpacked,
                          env=os.environ | {"PYTHONPATH": str(unpacked)})
    assert done.returncode == 0, done.stderr
    found = json.loads((unpacked / "out/predictions.json").read_text())
    true = json.loads((unpacked / "simple_maskrcnn/models/nuclei/pictures.json").read_text())
    assert [c["name"] for c in found["categories"]] == ["nucleus"]
    numbers = []
    for content in (true, found):
        names = {image["id"]: image["file_name"] for image in content["images"]}
        numbers.append(Counter(names[record["image_id"]] for record in content["annotations"]))
    assert all(0.8 < numbers[1][name] / count < 1.2 for name, count in numbers[0].items()), numbers  # as many, to a fifth


def test_a_module_that_needs_a_dev_package_is_caught(unpacked):
    (unpacked / "simple_maskrcnn" / "lazy.py").write_text("from fastcore.basics import patch\n")
    done = import_from(unpacked, ["simple_maskrcnn.lazy"])
    assert done.returncode != 0 and "dev package" in done.stderr


def test_citation_and_version_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert str(citation["version"]) == CFG["version"]
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yaml")), ids=lambda p: p.name)
def test_workflows_parse_and_use_only_official_actions(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert steps and all("uses" in s or "run" in s for s in steps)
    assert all(s["uses"].startswith("actions/") for s in steps if "uses" in s)


def test_workflow_covers_the_oldest_that_settings_allow():
    matrix = yaml.safe_load((ROOT / ".github/workflows/test.yaml").read_text(encoding="utf-8"))
    rows = matrix["jobs"]["test"]["strategy"]["matrix"]["include"]
    oldest = dict(re.match(r"(\w+)>=([\d.]+)", r).groups() for r in CFG["requirements"].split() if ">=" in r)
    assert any(row["python"] == CFG["min_python"] and row.get("torch", "").startswith(oldest["torch"])
               and row.get("torchvision", "").startswith(oldest["torchvision"]) for row in rows)
    assert {row["os"].split("-")[0] for row in rows} == {"ubuntu", "macos", "windows"}
