"""The gate: are the notebooks as they should be committed, and do they run?

    python tools/check_notebooks.py                  clean, exported, small, with outputs, listed in the index
    python tools/check_notebooks.py --run            run each one, with nbdev_test, and report its seconds
    python tools/check_notebooks.py --run --flags "gpu slow" [nbs/01_viz.ipynb ...]

Each problem is one line: the notebook, the cell, what is wrong, and the command that puts it right.
"""

import argparse
import copy
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_BYTES = 300 * 1024
SECONDS = 30  # what a notebook should take on two cores; four times that is an error
WIDGET = "application/vnd.jupyter.widget-view+json"
EXPORT = "fix: make export"
STORE = "fix: python tools/run_notebooks.py {}"


class Notebook:
    """One notebook file: its text, its cells, and a way to name a cell in a message."""

    def __init__(self, path: Path):
        self.path, self.name = path, f"nbs/{path.name}"
        self.text = path.read_text(encoding="utf-8")
        self.data = json.loads(self.text)
        self.cells = self.data["cells"]

    def source(self, cell) -> str:
        return "".join(cell["source"])

    def code(self):
        return [(i, c) for i, c in enumerate(self.cells) if c["cell_type"] == "code"]

    def at(self, i: int) -> str:
        """Where cell number `i` is, for a message: its position from 1 and its first line of code."""
        lines = [x for x in self.source(self.cells[i]).splitlines() if x and not x.startswith("#|")] or [""]
        return f"{self.name}, cell {i + 1} ({lines[0][:50]!r})"

    def exports(self) -> list[str]:
        """The modules named by `#| default_exp` in this notebook."""
        return re.findall(r"^#\s*\|\s*default_exp\s+(\S+)", "\n".join(self.source(c) for _, c in self.code()), re.M)


def read_settings(root: Path) -> dict:
    parser = ConfigParser(delimiters=["="])
    parser.read(root / "settings.ini", encoding="utf-8")
    return dict(parser["DEFAULT"])


def texts(output) -> str:
    """All that a reader sees as text in one output."""
    shown = [output.get("text", "")] + [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return "\n".join("".join(x) for x in shown)


def personal_paths(root: Path) -> re.Pattern:
    """A pattern for absolute paths that exist on one machine only, this one's own folder among them."""
    here = [rf"(?<![\w.]){re.escape(str(p))}\b" for p in (root, Path.home()) if len(p.parts) > 1]
    return re.compile("|".join([r"/home/\w+", r"/Users/\w+", r"\b[A-Z]:\\+\w+", *here]))


# Rules for one notebook: each yields its problems.


def check_size(nb: Notebook, root: Path):
    size = nb.path.stat().st_size
    if size > MAX_BYTES:
        yield (f"{nb.name}: {size / 1024:.0f} KB, and {MAX_BYTES // 1024} KB is the most; "
               f"fix: fewer or smaller figures, then python tools/run_notebooks.py {nb.name}")


def check_head(nb: Notebook, root: Path):
    first = nb.cells[0] if nb.cells else {"cell_type": "none", "source": ""}
    if first["cell_type"] != "markdown" or not re.match(r"# \S.*\n\s*\n> \S", nb.source(first)):
        yield f"{nb.name}, cell 1: must be a title, '# ...', an empty line, and a quoted sentence, '> ...'; fix: edit it"


def check_outputs(nb: Notebook, root: Path):
    store = STORE.format(nb.name)
    if nb.code() and not any(c["outputs"] for _, c in nb.code()):
        yield f"{nb.name}: no outputs are stored; {store}"
    for i, cell in nb.code():
        if cell["execution_count"] is not None or any(o.get("execution_count") is not None for o in cell["outputs"]):
            yield f"{nb.at(i)}: has an execution count; {EXPORT}"
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                yield f"{nb.at(i)}: its output is an error, {output['ename']}: {output['evalue'][:60]}; {store}"
            if WIDGET in output.get("data", {}):
                yield f"{nb.at(i)}: stores the view of a widget, which shows nothing when it is read; {store}"
            if found := personal_paths(root).search(texts(output)):
                yield f"{nb.at(i)}: prints a path of one machine, {found[0]!r}; fix: print a relative one, then {store[5:]}"
    if "widgets" in nb.data["metadata"]:
        yield f"{nb.name}: stores the state of widgets in its metadata; {store}"


def check_clean(nb: Notebook, root: Path):
    from execnb.nbio import nb2str
    from nbdev.clean import clean_nb

    cfg, cleaned = read_settings(root), copy.deepcopy(nb.data)
    clean_nb(cleaned, False, cfg["allowed_metadata_keys"].split(), cfg["allowed_cell_metadata_keys"].split(),
             cfg["clean_ids"] == "True")
    if nb2str(cleaned) != nb.text:
        changed = [i for i, (a, b) in enumerate(zip(nb.cells, cleaned["cells"], strict=True)) if a != b]
        yield f"{nb.at(changed[0]) if changed else nb.name}: is not as nbdev_clean leaves it; {EXPORT}"


# Rules for the notebooks together.


def check_modules(notebooks: list[Notebook], root: Path):
    owner = {}
    for nb in notebooks:
        names = nb.exports()
        if len(names) > 1:
            yield f"{nb.name}: exports {len(names)} modules ({', '.join(names)}); fix: one `#| default_exp` a notebook"
        for name in names:
            if name in owner:
                yield f"{nb.name}: exports {name!r}, and so does {owner[name]}; fix: rename one of them"
            owner[name] = nb.name
    lib = root / read_settings(root)["lib_path"]
    for path in sorted(lib.rglob("*.py")):
        name, file = path.relative_to(lib).with_suffix("").as_posix(), path.relative_to(root).as_posix()
        if path.name not in ("__init__.py", "_modidx.py") and name not in owner:
            yield f"{file}: no notebook exports it; fix: rm {file}, then make export"


def check_index(notebooks: list[Notebook], root: Path):
    index = [nb for nb in notebooks if nb.path.name == "index.ipynb"]
    if not index:
        yield "nbs/index.ipynb: is missing"
        return
    text, cfg = "\n".join(map(index[0].source, index[0].cells)), read_settings(root)
    linked = set(re.findall(r"\]\((\w+\.ipynb)\)", text))
    on_colab = set(re.findall(rf"/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/nbs/(\w+\.ipynb)\)", text))
    existing = {nb.path.name for nb in notebooks} - {"index.ipynb"}
    for name in sorted((existing - linked) | (existing - on_colab)):
        what = "link" if name not in linked else "Colab link"
        yield f"nbs/{name}: nbs/index.ipynb has no {what} to it; fix: add its row to the table there, then make readme"
    for name in sorted((linked | on_colab) - existing - {"index.ipynb"}):
        yield f"nbs/index.ipynb: links {name}, which does not exist; fix: remove the row, then make readme"


def check_exported(notebooks: list[Notebook], root: Path):
    """The library must be what a fresh export makes of the notebooks, `_modidx.py` and the version included."""
    lib = read_settings(root)["lib_path"]
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder).resolve()
        for name in ("settings.ini", "pyproject.toml", f"{lib}/__init__.py", *(nb.name for nb in notebooks)):
            (fresh / name).parent.mkdir(exist_ok=True)
            if (root / name).exists():
                shutil.copy(root / name, fresh / name)
        env = {k: v for k, v in os.environ.items() if k != "IN_TEST"}  # with it, nbdev_export does nothing
        run = subprocess.run([sys.executable, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"],
                             cwd=fresh, env=env, capture_output=True, text=True)
        if run.returncode:
            yield f"nbs/: nbdev_export fails: {(run.stderr.strip().splitlines() or ['no message'])[-1]}"
            return
        for path in sorted({p.relative_to(base) for base in (fresh, root) for p in (base / lib).rglob("*.py")}):
            old, new = root / path, fresh / path
            if not old.exists():
                yield f"{path.as_posix()}: is not exported; {EXPORT}"
            elif new.exists() and old.read_text(encoding="utf-8") != new.read_text(encoding="utf-8"):
                yield f"{path.as_posix()}: is not what the notebooks export; {EXPORT} (edit notebooks, never modules)"


def problems(root: Path) -> list[str]:
    """Everything that is wrong in the repository at `root`, one line each."""
    notebooks, found = [], []
    for path in sorted((root / "nbs").glob("*.ipynb")):
        try:
            notebooks.append(Notebook(path))
        except (ValueError, KeyError, TypeError) as error:
            found.append(f"nbs/{path.name}: is not a notebook ({type(error).__name__}: {error})")
    for rule in (check_size, check_head, check_outputs, check_clean):
        for nb in notebooks:
            found += rule(nb, root)
    for rule in (check_modules, check_index, check_exported):
        found += rule(notebooks, root)
    return found


def cores() -> int:
    """How many cores this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Run in a process of its own: the notebook, with nbdev_test, and then the processor time that it took.
RUN = """
import multiprocessing, os, sys

multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)  # the notebook's processes: as usual
sys.stdout = sys.stderr = open(log, "w", encoding="utf-8", errors="replace")
os.dup2(sys.stdout.fileno(), 1)
os.dup2(sys.stdout.fileno(), 2)
os.chdir(root)
sys.path.insert(0, root)

import torch
from nbdev.test import nbdev_test

if "OMP_NUM_THREADS" not in os.environ:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
nbdev_test(path=path, flags=flags)
print("processor seconds:", sum(os.times()[:4]), flush=True)
"""
# These processes are forked from one that has imported what takes long, where the system can do that.
PROCESSES = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
PROCESSES.set_forkserver_preload(["torch", "torchvision", "matplotlib.pyplot", "nbdev.test"])


def run_one(path: Path, root: Path, flags: str, threads: int) -> tuple[Path, float, float, str]:
    """Run one notebook; return its seconds by the clock and by the processor and, if it fails, what it says."""
    with tempfile.TemporaryDirectory() as folder:
        log, start = Path(folder, "log"), time.perf_counter()
        names = {"path": str(path), "root": str(root), "flags": flags, "threads": threads, "log": str(log)}
        process = PROCESSES.Process(target=exec, args=(RUN, names))
        process.start()
        process.join()
        seconds, said = time.perf_counter() - start, log.read_text(encoding="utf-8") if log.exists() else ""
    used = re.search(r"processor seconds: ([\d.]+)", said)
    ok = process.exitcode == 0 and "Success." in said and used
    return path, seconds, float(used[1]) if used else seconds, "" if ok else said or f"exit code {process.exitcode}"


def run_all(paths: list[Path], root: Path, flags: str, workers: int) -> list[str]:
    """Run the notebooks, `workers` at a time, print the seconds of each, and return the problems."""
    threads, found = max(1, cores() // workers), []
    with ThreadPoolExecutor(workers) as pool:
        for path, clock, processor, error in pool.map(lambda p: run_one(p, root, flags, threads), paths):
            seconds = min(clock, processor)  # on a busy machine the clock says little
            note = "FAILED" if error else "slow" if seconds > SECONDS else ""
            print(f"{clock:6.1f} s  ({processor:5.1f} s of processor)  {path.name}  {note}".rstrip(), flush=True)
            if error:
                print(error, file=sys.stderr, flush=True)
                found.append(f"nbs/{path.name}: fails; to see it: nbdev_test --path nbs/{path.name}")
            elif seconds > 4 * SECONDS and not flags:
                found.append(f"nbs/{path.name}: took {seconds:.0f} s; {SECONDS} s is the aim; fix: smaller examples")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="for --run; all of them where none is named")
    parser.add_argument("--run", action="store_true", help="run the notebooks")
    parser.add_argument("--flags", default="", help="with --run: run the cells with these flags too, e.g. 'gpu slow'")
    parser.add_argument("--workers", type=int, help="with --run: notebooks at a time; one where there are flags")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    args = parser.parse_args()
    root = args.root.resolve()
    start = time.perf_counter()
    paths = [p.resolve() for p in args.notebooks] or sorted((root / "nbs").glob("*.ipynb"))
    if args.run:
        workers = args.workers or (1 if args.flags else min(4, cores()))
        found = run_all(paths, root, args.flags, workers)
    else:
        found = problems(root)
    for line in found:
        print(line, file=sys.stderr)
    what = "run" if args.run else "as they should be committed"
    print(f"{len(paths)} notebooks, {len(found)} problems ({what}; {time.perf_counter() - start:.0f} s)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
