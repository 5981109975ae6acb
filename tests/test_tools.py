"""The gate must be able to fail: for each of its rules, a project that breaks it."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COLAB = "https://colab.research.google.com/github/simple-maskrcnn/simple_maskrcnn/blob/main/nbs"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gate, make_readme = load("check_notebooks"), load("make_readme")


def text(source: str) -> dict:
    return {"cell_type": "markdown", "source": source}


def code(source: str, *outputs) -> dict:
    return {"cell_type": "code", "source": source, "execution_count": None, "outputs": list(outputs)}


def shows(**data) -> dict:
    data = {k.replace("_", "/", 1): v for k, v in data.items()}
    return {"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": data}


def write(path: Path, cells: list[dict], **metadata):
    folded = {"jupyter": {"source_hidden": True}}
    cells = [{"id": f"c{i}", "metadata": folded if "default_exp" in c["source"] else {}, **c,
              "source": c["source"].splitlines(True)} for i, c in enumerate(cells)]
    metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}} | metadata
    data = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def edit(path: Path, change):
    """Load a notebook, let `change` work on its data, and store it in the layout of nbdev_clean."""
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def lesson(name: str, number: int, *more) -> list[dict]:
    return [text(f"# Lesson {number}\n\n> What it is about\n\n**It takes** about 2 minutes; [open it in Colab]("
                 f"{COLAB}/{number:02}_{name}.ipynb)."), code(f"#| default_exp {name}"),
            code(f"#| export\ndef {name}() -> int:\n    \"The number of this lesson.\"\n    return {number}"),
            code(f"{name}()", shows(text_plain=[str(number)])), *more]


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A small project in which everything is as it should be."""
    root = tmp_path_factory.mktemp("good") / "project"
    (root / "nbs").mkdir(parents=True)
    for name in ("settings.ini", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    write(root / "nbs" / "01_one.ipynb", lesson("one", 1))
    write(root / "nbs" / "02_two.ipynb", lesson("two", 2))
    rows = "\n".join(f"| [{n}]({n}.ipynb) |" for n in ("01_one", "02_two"))
    use = code("#| echo: true\n1 + 1", shows(text_plain=["2"]))
    write(root / "nbs" / "index.ipynb", [text("# Index\n\n> The way in"), text(f"| notebook | |\n|---|---|\n{rows}"), use])
    env = {k: v for k, v in os.environ.items() if k != "IN_TEST"}
    subprocess.run([sys.executable, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"], cwd=root, env=env,
                   check=True)
    return root


@pytest.fixture
def project(good, tmp_path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "project"))


def test_the_good_project_passes(good):
    assert gate.problems(good) == []


def one(root: Path) -> Path:
    return root / "nbs" / "01_one.ipynb"


def in_output(**changes):
    return lambda root: edit(one(root), lambda d: d["cells"][3]["outputs"][0].update(changes))


def prints(words: str):
    return in_output(data={"text/plain": [words]})


def stored_error(d):
    d["cells"][3]["outputs"] = [{"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}]


def too_large(d):
    d["cells"][3]["outputs"] = [shows(image_png="A" * 310_000)]


def no_quote(d):
    d["cells"][0]["source"] = ["# Lesson 1\n", "\n", "What it is about"]


def second_module(d):
    d["cells"][1]["source"] = ["#| default_exp two"]


def two_modules(d):
    d["cells"][2]["source"].insert(0, "#| default_exp other\n")


def no_outputs(d):
    d["cells"][3]["outputs"] = []


def not_in_the_index(d):
    d["cells"][1]["source"] = [x for x in d["cells"][1]["source"] if "01_one" not in x]


def in_head(old, new):
    return lambda d: d["cells"][0].update(source=[x.replace(old, new) for x in d["cells"][0]["source"]])


def long(words=0, cells=0):
    new = [text("word " * words)] + [code("1")] * cells
    return lambda d: d["cells"].extend({"id": f"n{i}", "metadata": {}, **c, "source": [c["source"]]} for i, c in enumerate(new))


def for_engineers(d):
    long(words=2000)(d)
    d["cells"].insert(4, {"id": "e", "metadata": {}, **text("## For engineers"), "source": ["## For engineers"]})


def links_a_ghost(d):
    d["cells"][1]["source"] += ["\n| [03_ghost](03_ghost.ipynb) |"]


def in_one(change):
    return lambda root: edit(one(root), change)


def in_index(change):
    return lambda root: edit(root / "nbs" / "index.ipynb", change)


BROKEN = {
    "larger than 300 KB": (in_one(too_large), "01_one.ipynb: 3.. KB"),
    "no quoted sentence": (in_one(no_quote), "01_one.ipynb, cell 1: must be a title"),
    "both sides of a merge": (in_one(lambda d: d["cells"][1]["source"].append("\n<<<<<<< ours\n")),
                              "cell 2 .*holds both sides of a merge"),
    "no outputs": (in_one(no_outputs), "01_one.ipynb: no outputs are stored"),
    "execution count of a cell": (in_one(lambda d: d["cells"][2].update(execution_count=3)),
                                  r"cell 3 \('def one\(\).*has an execution count"),
    "execution count of an output": (in_output(execution_count=3), r"cell 4 \('one\(\)'\): has an execution count"),
    "stored error": (in_one(stored_error), r"cell 4 .*: its output is an error, ValueError: no"),
    "view of a widget": (in_output(data={gate.WIDGET: {"model_id": "1"}}), "cell 4 .* view of a widget"),
    "state of widgets": (in_one(lambda d: d["metadata"].update(widgets={})), "01_one.ipynb: stores the state of widgets"),
    "path on Linux": (prints("saved /home/ann/x.png"), "cell 4 .*path of one machine, '/home/ann'"),
    "path on a Mac": (prints("saved /Users/ann/x.png"), "cell 4 .*path of one machine, '/Users/ann'"),
    "path on Windows": (prints("saved C:\\work\\x.png"), "cell 4 .*path of one machine"),
    "path in a stream": (in_one(lambda d: d["cells"][3]["outputs"].append(
        {"output_type": "stream", "name": "stdout", "text": ["/home/ann\n"]})), "cell 4 .*path of one machine"),
    "metadata of an editor": (in_one(lambda d: d["cells"][2]["metadata"].update(scrolled=True)),
                              "cell 3 .*is not as nbdev_clean leaves it"),
    "metadata of the notebook": (in_one(lambda d: d["metadata"].update(language_info={})),
                                 "01_one.ipynb: is not as nbdev_clean leaves it"),
    "a module without a notebook": (lambda root: (root / "simple_maskrcnn" / "old.py").write_text("x = 1\n"),
                                    "simple_maskrcnn/old.py: no notebook exports it"),
    "a renamed notebook": (lambda root: one(root).unlink(), "simple_maskrcnn/one.py: no notebook exports it"),
    "two notebooks, one module": (in_one(second_module), "02_two.ipynb: exports 'two', and so does nbs/01_one.ipynb"),
    "one notebook, two modules": (in_one(two_modules), r"01_one.ipynb: exports 2 modules \(one, other\)"),
    "not in the index": (in_index(not_in_the_index), "01_one.ipynb: nbs/index.ipynb has no link to it"),
    "no link to Colab": (in_one(in_head(COLAB, "elsewhere")), "01_one.ipynb, cell 1: has no link to Colab"),
    "no minutes": (in_one(in_head("**It takes**", "It takes")), "01_one.ipynb, cell 1: does not say"),
    "other minutes than it takes": (in_one(in_head("about 2", "about 20")), "cell 1: says 20 minutes, and .* take 0"),
    "too many words": (in_one(long(words=1801)), "01_one.ipynb: the lesson has 4 cells in sight and 1,8.. words"),
    "too many cells": (in_one(long(cells=61)), "01_one.ipynb: the lesson has 65 cells in sight"),
    "a number that nothing prints": (in_one(in_head("What", "Half of it, 0.52, is")), "cell 1 .*: says 0.52, and no cell"),
    "a share that nothing prints": (in_one(in_head("What", "Some 40 % of what")), "cell 1 .*: says 40 %, and no cell"),
    "imports in sight": (in_one(lambda d: d["cells"][1].update(metadata={})), "cell 2 .*is not folded"),
    "a dead link": (in_one(in_head("What", "[What](../nowhere.md)")), "cell 1 .*links ../nowhere.md, which does not exist"),
    "a module in another place": (in_one(lambda d: d["cells"][1].update(source=["#| default_exp three"])),
                                  "01_one.ipynb: exports 'three'; a module stands where its notebook stands"),
    "a link to nothing": (in_index(links_a_ghost), "index.ipynb: links 03_ghost.ipynb, which does not exist"),
    "no index": (lambda root: (root / "nbs" / "index.ipynb").unlink(), "nbs/index.ipynb: is missing"),
    "a module edited by hand": (lambda root: (root / "simple_maskrcnn" / "one.py").open("a").write("\nx = 1\n"),
                                "simple_maskrcnn/one.py: is not what the notebooks export"),
    "a notebook edited, not exported": (in_one(lambda d: d["cells"][2]["source"].append(" + 0")),
                                        "simple_maskrcnn/one.py: is not what the notebooks export"),
    "a module that is missing": (lambda root: (root / "simple_maskrcnn" / "two.py").unlink(),
                                 "simple_maskrcnn/two.py: is not exported"),
    "an old list of symbols": (lambda root: (root / "simple_maskrcnn" / "_modidx.py").write_text("d = {}\n"),
                               "_modidx.py: is not what the notebooks export"),
    "an old version": (lambda root: (root / "simple_maskrcnn" / "__init__.py").write_text('__version__ = "0.0.1"\n'),
                       "__init__.py: is not what the notebooks export"),
    "not JSON": (lambda root: one(root).write_text("{"), "01_one.ipynb: is not a notebook"),
}


def test_matter_for_engineers_is_not_counted(project):
    edit(one(project), for_engineers)
    assert not any("the lesson has" in line for line in gate.problems(project))
    assert gate.Notebook(one(project)).length(lesson=False)[1] > 2000


def test_a_number_that_a_cell_prints_may_stand_in_a_sentence(project):
    edit(one(project), in_head("What", "A third, 0.33 or 33 %, of 12,345 boxes is what"))
    prints("IoU 0.3333, 12,345 boxes")(project)
    assert not any("no cell prints" in line for line in gate.problems(project))


def test_the_table_counts_words_lines_and_minutes(good):
    row = next(line for line in gate.table(good).splitlines() if line.startswith("01_one")).split()
    assert row[1:5] == ["3", "17", "4", "0"]


@pytest.mark.parametrize("name", BROKEN)
def test_the_gate_catches(project, name):
    change, expected = BROKEN[name]
    change(project)
    found = gate.problems(project)
    assert any(re.search(expected, line) for line in found), (expected, found)
    assert all("\n" not in line for line in found)


def test_the_command_fails_and_prints_each_problem(project):
    BROKEN["no outputs"][0](project)
    done = subprocess.run([sys.executable, str(ROOT / "tools/check_notebooks.py"), "--root", str(project)],
                          capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "no outputs" in done.stderr


def test_the_runner_reports_a_failing_cell_and_runs_the_others(project, capfd):
    edit(one(project), lambda d: d["cells"][3].update(source=["assert one() == 2, 'a wrong number'"]))
    found = gate.run_all(sorted((project / "nbs").glob("*.ipynb")), project, "", 2)
    out, err = capfd.readouterr()
    assert [line.split(":")[0] for line in found] == ["nbs/01_one.ipynb"]
    assert "a wrong number" in err and out.count(" s  ") == 3


def test_the_runner_skips_flagged_cells_until_they_are_asked_for(project):
    edit(one(project), lambda d: d["cells"].append(
        {"id": "slow", "metadata": {}, **code("x"), "source": ["#| slow\n", "assert False"]}))
    assert gate.run_all([one(project)], project, "", 1) == []
    assert len(gate.run_all([one(project)], project, "slow", 1)) == 1


def test_only_a_gross_overrun_fails(project, monkeypatch):
    def problems_after(clock, processor):
        monkeypatch.setattr(gate, "run_one", lambda path, root, flags, threads: (path, clock, processor, ""))
        return gate.run_all([one(project)], project, "", 1)

    assert problems_after(60, 60) == []
    assert problems_after(150, 20) == []  # the machine was busy with other things
    assert "took 150 s" in problems_after(150, 280)[0]


def test_readme_keeps_text_and_drops_hidden_cells(tmp_path):
    write(tmp_path / "index.ipynb", [
        text("# Title\n\n> Sentence\n\n![map](images/map.png) [one](01_one.ipynb) [how](../CONTRIBUTING.md)"),
        code("#| hide\nsecret = 1"), code("#| eval: false\nprint('seen')", shows(text_plain=["seen"]))])
    result = make_readme.readme(tmp_path / "index.ipynb")
    assert "secret" not in result and "#|" not in result and "print('seen')" in result
    assert "](nbs/images/map.png)" in result and "](nbs/01_one.ipynb)" in result and "](CONTRIBUTING.md)" in result


def test_readme_refuses_a_picture_it_cannot_hold(tmp_path):
    write(tmp_path / "index.ipynb", [text("# Title"), code("draw()", shows(image_png="AAAA"))])
    with pytest.raises(ValueError, match="picture"):
        make_readme.readme(tmp_path / "index.ipynb")


def test_readme_check_fails_on_a_difference(project, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_readme.py", "--root", str(project), *arguments])
        return make_readme.main()

    assert run("--check") == 1  # there is none yet
    assert run() == 0 and run("--check") == 0
    (project / "README.md").open("a").write("by hand\n")
    capsys.readouterr()
    assert run("--check") == 1
    error = capsys.readouterr().err
    assert "-by hand" in error and "make readme" in error


def test_readme_links_lead_somewhere():
    links = re.findall(r'(?:\]\(|src="|href=")(?![a-z]+:|#)([^)"#]+)', (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links and [x for x in links if not (ROOT / x).exists()] == []
