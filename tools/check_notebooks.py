"""The gate: are the notebooks as they should be committed, and do they run?

    python tools/check_notebooks.py                  clean, exported, short, folded, with outputs, listed in the index
    python tools/check_notebooks.py --table          words, cells in sight, lines and minutes of each, and of each path
    python tools/check_notebooks.py --run            run each one, with nbdev_test, and report its seconds
    python tools/check_notebooks.py --run --flags "gpu slow" [nbs/draw.ipynb ...]

Each problem is one line: the notebook, the cell, what is wrong, and the command that puts it right.
"""

import argparse
import ast
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
MAX_CELLS, MAX_WORDS = 60, 1800  # of a lesson: what stands before "For engineers", without folded cells
PATH, PATH_WORDS, PATH_HOURS = "the network, 01–13", 22_000, 5  # what a learner reads
MODULES = {"speed": "bench"}  # notebooks whose module has another name
EXPORT = "fix: make export"
STORE = "fix: python tools/run_notebooks.py {}"


class Notebook:
    """One notebook file: its text, its cells, and a way to name a cell in a message."""

    def __init__(self, path: Path):
        nbs = next(p for p in path.parents if p.name == "nbs")
        self.path, self.place = path, path.relative_to(nbs).with_suffix("").as_posix()  # network/03_anchors
        self.name = f"nbs/{self.place}.ipynb"
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

    def lesson(self) -> list[dict]:
        """The cells of the lesson: those before "For engineers"."""
        cells = []
        for cell in self.cells:
            before, *behind = re.split(r"^#+ For engineers", self.source(cell), maxsplit=1, flags=re.M)
            if cell["cell_type"] == "markdown" and behind:
                return cells + [{**cell, "source": [before]}] * bool(before.strip())
            cells.append(cell)
        return cells

    def length(self, lesson: bool = True) -> tuple[int, int, int, float]:
        """Cells in sight, words, lines of code, and the minutes for 180 words, 20 lines or 2 pictures a minute."""
        everything = self.lesson() if lesson else self.cells
        cells = [c for c in everything if not is_folded(c)]
        words = sum(len(self.source(c).split()) for c in cells if c["cell_type"] == "markdown")
        code = "\n".join(self.source(c) for c in cells if c["cell_type"] == "code")
        lines = sum(bool(line.strip()) and not line.startswith("#|") for line in code.splitlines())
        shown = (output.get("data", {}) for c in everything if c["cell_type"] == "code" for output in c["outputs"])
        pictures = sum(any(k.startswith("image/") or "<img" in "".join(data[k]) for k in data) for data in shown)
        return len(cells), words, lines, words / 180 + lines / 20 + pictures / 2


def is_folded(cell) -> bool:
    """Is only its output in sight?"""
    return cell["cell_type"] == "code" and cell["metadata"].get("jupyter", {}).get("source_hidden", False)


def should_fold(source: str) -> bool:
    """Hidden cells, the module's name, and imports stand in nobody's way."""
    if re.search(r"^#\|\s*(hide\b|default_exp\b)", source, re.M):
        return True
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    return bool(body) and isinstance(body[0], ast.Import | ast.ImportFrom) and all(
        isinstance(x, ast.Import | ast.ImportFrom) or "setup_notebook(" in ast.unparse(x) for x in body)


def lessons(root: Path) -> list[Path]:
    """Every notebook, in the order in which they are read: the index, then the wings, then what stands beside them."""
    wings = ["", "network", "data", "evaluation", "training", "inference"]
    first = ["index", "tour", "one_page", "background"]
    last = ["speed", "results", "cli", "cli_data", "cli_train", "cli_explore", "cli_export", "manners", "draw", "cards", "film",
            "files"]
    def key(path):
        wing, stem = path.parent.relative_to(root / "nbs").as_posix().replace(".", ""), path.stem
        after = 1 if wing else 0 if stem in first else 2
        place = first.index(stem) if stem in first and not wing else last.index(stem) if stem in last and not wing else 99
        return after, wings.index(wing) if wing in wings else 99, wing, place, path.name
    return sorted((p for p in (root / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts), key=key)


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


def check_merged(nb: Notebook, root: Path):
    for i, cell in enumerate(nb.cells):
        if re.search(r"^(<{7}|>{7}) ", nb.source(cell), re.M):
            yield f"{nb.at(i)}: holds both sides of a merge; fix: edit it"


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


def check_folded(nb: Notebook, root: Path):
    for i, cell in nb.code():
        if should_fold(nb.source(cell)) and not is_folded(cell):
            yield f"{nb.at(i)}: is not folded; {STORE.format(nb.name)}"


def check_length(nb: Notebook, root: Path):
    cells, words, _, minutes = nb.length()
    if nb.place == "index":
        return
    if cells > MAX_CELLS or words > MAX_WORDS:
        yield (f"{nb.name}: the lesson has {cells} cells in sight and {words:,} words, and {MAX_CELLS} and {MAX_WORDS:,} are "
               "the most; fix: shorten it, or move what only engineers need behind, under '## For engineers'")
    said = re.search(r"\*\*It takes\*\* about (\d+) minutes", nb.source(nb.cells[0])) if nb.cells else None
    if not said:
        yield f"{nb.name}, cell 1: does not say '**It takes** about N minutes'; fix: write {minutes:.0f}"
    elif abs(int(said[1]) - minutes) > max(3, 0.2 * minutes):
        yield (f"{nb.name}, cell 1: says {said[1]} minutes, and its words, lines and pictures take {minutes:.0f} (180 "
               f"words, 20 lines or 2 pictures a minute); fix: write {minutes:.0f}")


def check_colab(nb: Notebook, root: Path):
    cfg = read_settings(root)
    link = f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/{nb.name}"
    if nb.cells and nb.place != "index" and f"]({link})" not in nb.source(nb.cells[0]):
        yield f"{nb.name}, cell 1: has no link to Colab; fix: add [open it in Colab]({link})"


NUMBER = re.compile(r"(?<![\w.,^_/-])(\d[\d,]*(?:\.\d+)?)(\s?%)?(?![\w^/]|\.\d|,\d)")


def numbers(text: str) -> list[tuple[float, int, bool]]:
    """The numbers in a text: value, decimals, and whether a percent sign follows."""
    return [(float(n.replace(",", "")), len(n.partition(".")[2]), bool(percent)) for n, percent in NUMBER.findall(text)]


def check_numbers(nb: Notebook, root: Path):
    """A result in a sentence (a decimal or a percentage) is printed, asserted or set by some cell of its notebook."""
    code = "\n".join(nb.source(c) + "\n" + "\n".join(map(texts, c["outputs"])) for _, c in nb.code())
    code = re.sub(r"<path.*?/>|<(use|g|rect)\b.*?>|;base64,[\w+/=]+", "", code, flags=re.S)  # of pictures only the words count
    shown = [float(x.replace(",", "")) for x in re.findall(r"(?<![\d.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", code) if x.strip(",")]
    shown += [a / b for a, b in ((float(a), float(b)) for a, b in re.findall(r"(\d+) ?/ ?(\d+)", code)) if b]
    for i, cell in enumerate(nb.cells):
        if cell["cell_type"] != "markdown":
            continue
        prose = re.sub(r"(?s)```.*?```|<details>.*?</details>|\$\$.*?\$\$", "", nb.source(cell))
        prose = re.sub(r"(?m)`[^`]*`|\$[^$]*\$|\]\([^)]*\)|^#.*$|^\|.*$|https?:\S+|\b(Python|torch\w*) [\d.]+", "", prose)
        for value, decimals, percent in numbers(prose):
            near = 0.5 * 10 ** -decimals + 1e-9
            found = (abs(x - value) <= near or percent and abs(100 * x - value) <= near for x in shown)
            if (decimals or percent) and not any(found):
                yield (f"{nb.at(i)}: says {value:g}{' %' * percent}, and no cell prints or asserts it; fix: let the cell beside "
                       "it print it, put it into a table with its conditions, or take it out")


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
            folder, stem = os.path.split(nb.place)
            own = "/".join(filter(None, [folder, re.sub(r"^\d+_", "", stem)])).replace("/", ".")
            if name != MODULES.get(own, own):
                yield f"{nb.name}: exports {name!r}; a module stands where its notebook stands; fix: '#| default_exp {own}'"
    lib = root / read_settings(root)["lib_path"]
    for path in sorted(lib.rglob("*.py")):
        name, file = ".".join(path.relative_to(lib).with_suffix("").parts), path.relative_to(root).as_posix()
        if path.name not in ("__init__.py", "_modidx.py") and name not in owner:
            yield f"{file}: no notebook exports it; fix: rm {file}, then make export"


def check_index(notebooks: list[Notebook], root: Path):
    index = [nb for nb in notebooks if nb.place == "index"]
    if not index:
        yield "nbs/index.ipynb: is missing"
        return
    text = "\n".join(map(index[0].source, index[0].cells))
    linked = set(re.findall(r"\]\(([\w/]+)\.ipynb\)", text))
    existing = {nb.place for nb in notebooks} - {"index"}
    for place in sorted(existing - linked):
        yield f"nbs/{place}.ipynb: nbs/index.ipynb has no link to it; fix: add it to its wing there, then make readme"
    for place in sorted(linked - existing - {"index"}):
        yield f"nbs/index.ipynb: links {place}.ipynb, which does not exist; fix: remove the link, then make readme"


def check_links(notebooks: list[Notebook], root: Path):
    for nb in notebooks:
        for i, cell in enumerate(nb.cells):
            for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", nb.source(cell)) if cell["cell_type"] == "markdown" else ():
                if not (nb.path.parent / link).exists():
                    yield f"{nb.at(i)}: links {link}, which does not exist; fix: correct the link"


def check_path(notebooks: list[Notebook], root: Path):
    words, minutes = (sum(nb.length()[k] for nb in notebooks if on_path(nb)) for k in (1, 3))
    if words > PATH_WORDS or minutes > 60 * PATH_HOURS:
        yield (f"nbs/network: {PATH} has {words:,} words and takes {minutes / 60:.1f} hours, and {PATH_WORDS:,} and "
               f"{PATH_HOURS} are the most; fix: shorten its lessons")


def on_path(nb: Notebook) -> bool:
    return bool(re.match(r"network/(0\d|1[0-3])_", nb.place))


def check_exported(notebooks: list[Notebook], root: Path):
    """The library must be what a fresh export makes of the notebooks, `_modidx.py` and the version included."""
    lib = read_settings(root)["lib_path"]
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder).resolve()
        for name in ("settings.ini", "pyproject.toml", f"{lib}/__init__.py", *(nb.name for nb in notebooks)):
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
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
    for path in lessons(root):
        try:
            notebooks.append(Notebook(path))
        except (ValueError, KeyError, TypeError) as error:
            found.append(f"{path.relative_to(root).as_posix()}: is not a notebook ({type(error).__name__}: {error})")
    for rule in (check_size, check_head, check_merged, check_outputs, check_clean, check_folded, check_length, check_colab,
                 check_numbers):
        for nb in notebooks:
            found += rule(nb, root)
    for rule in (check_modules, check_index, check_links, check_path, check_exported):
        found += rule(notebooks, root)
    return found


def table(root: Path) -> str:
    """How long each notebook is for a learner, and with all that is for engineers; then each path and the library."""
    head = f"{'':28}{'cells':>6}{'words':>8}{'lines':>7}{'minutes':>9}   with engineers' matter: cells, words, lines, minutes"
    lines, paths = [head], {}
    for nb in map(Notebook, lessons(root)):
        lesson, whole = nb.length(), nb.length(lesson=False)
        lines.append(f"{nb.place:28}{lesson[0]:6}{lesson[1]:8,}{lesson[2]:7,}{lesson[3]:9.0f}"
                     f"{whole[0]:16}{whole[1]:8,}{whole[2]:7,}{whole[3]:9.0f}")
        for name in (PATH if on_path(nb) else nb.place.split("/")[0] + "/" if "/" in nb.place else "beside", "all"):
            paths.setdefault(name, []).append(lesson + whole)
    for name, lengths in paths.items():
        cells, words, code, minutes, *_, all_words, all_code, all_minutes = map(sum, zip(*lengths))
        lines.append(f"{name}: {len(lengths)} notebooks, {cells:,} cells in sight, {words:,} words, {code:,} lines: "
                     f"{minutes / 60:.1f} hours; with engineers' matter {all_words:,} words, {all_code:,} lines, "
                     f"{all_minutes / 60:.1f} hours")
    lib = root / read_settings(root)["lib_path"]
    sizes = {p.relative_to(lib).as_posix(): sum(map(bool, map(str.strip, p.read_text(encoding="utf-8").splitlines())))
             for p in lib.rglob("*.py") if p.name != "_modidx.py"}
    largest = max(sizes, key=sizes.get)
    return "\n".join([*lines, f"library: {sum(sizes.values()):,} lines in {len(sizes)} modules; {largest} {sizes[largest]}"])


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
            name = path.relative_to(root).as_posix()
            print(f"{clock:6.1f} s  ({processor:5.1f} s of processor)  {name}  {note}".rstrip(), flush=True)
            if error:
                print(error, file=sys.stderr, flush=True)
                found.append(f"{name}: fails; to see it: nbdev_test --path {name}")
            elif seconds > (6 if path.stem == "one_page" else 4) * SECONDS and not flags:
                found.append(f"{name}: took {seconds:.0f} s; {SECONDS} s is the aim; fix: smaller examples")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="for --run; all of them where none is named")
    parser.add_argument("--run", action="store_true", help="run the notebooks")
    parser.add_argument("--table", action="store_true", help="print how long they are")
    parser.add_argument("--flags", default="", help="with --run: run the cells with these flags too, e.g. 'gpu slow'")
    parser.add_argument("--workers", type=int, help="with --run: notebooks at a time; one where there are flags")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    args = parser.parse_args()
    root = args.root.resolve()
    start = time.perf_counter()
    paths = [p.resolve() for p in args.notebooks] or lessons(root)
    if args.table:
        print(table(root))
        return 0
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
