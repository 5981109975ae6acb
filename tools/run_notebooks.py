"""Run notebooks from top to bottom and store their outputs, cleaned, as they are committed.

Cells flagged `#| gpu` run only where there is a CUDA device and `#| slow` only with --slow; a cell that does
not run keeps the outputs that it has. Each notebook is exported first, so that the next one finds its module.
Views of widgets are not stored: they show nothing to somebody who only reads.

Hidden cells and imports are folded.

usage: python tools/run_notebooks.py [--slow] [nbs/draw.ipynb ...]     (default: every notebook)
"""

import argparse
import os
import time
from pathlib import Path

import nbformat
import torch
from check_notebooks import lessons, should_fold
from nbclient import NotebookClient
from nbdev.clean import nbdev_clean
from nbdev.doclinks import nbdev_export

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
SKIP = "skip-execution"  # nbclient's own tag for a cell that it leaves alone


def directives(cell) -> set[str]:
    """The `#|` lines at the top of a code cell, without the marker."""
    lines = []
    for line in cell.source.splitlines():
        if not line.startswith("#"):
            break
        if line.startswith("#|"):
            lines.append(" ".join(line[2:].split()))
    return set(lines)


def run(path: Path, slow: bool) -> float:
    """Run one notebook, write its outputs into the file, and return the seconds it took."""
    notebook = nbformat.read(path, as_version=4)
    flags = {"eval: false"} | (set() if slow else {"slow"}) | (set() if torch.cuda.is_available() else {"gpu"})
    for cell in notebook.cells:
        if cell.cell_type == "code" and directives(cell) & flags:
            cell.metadata.setdefault("tags", []).append(SKIP)
    start = time.perf_counter()
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(path.parent)}}).execute()
    seconds = time.perf_counter() - start
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if should_fold(cell.source):
                cell.metadata["jupyter"] = {"source_hidden": True}
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
        tags = cell.metadata.get("tags", [])
        if SKIP in tags:
            tags.remove(SKIP)
            if not tags:
                del cell.metadata["tags"]
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)
    nbdev_clean(str(path))
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--slow", action="store_true", help="run the cells flagged `#| slow` too")
    args = parser.parse_args()
    paths = [p.resolve() for p in args.notebooks] or lessons(ROOT)
    os.chdir(ROOT)  # where nbdev finds its settings
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    for path in paths:
        nbdev_export(path=str(path))
        print(f"{path.relative_to(ROOT / 'nbs')}: {run(path, args.slow):.0f} s", flush=True)


if __name__ == "__main__":
    main()
