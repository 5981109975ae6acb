"""README.md from nbs/index.ipynb.

    python tools/make_readme.py            write it
    python tools/make_readme.py --check    fail, with the difference, where it is not what the index says
"""

import argparse
import difflib
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<!-- Made from nbs/index.ipynb: edit that, then `make readme`. -->\n\n"


def readme(index: Path) -> str:
    """The index as Markdown: cells with `#| hide` left out, directives taken away, links seen from the root."""
    notebook = nbformat.read(index, as_version=4)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            flags = {line[2:].strip() for line in cell.source.splitlines() if line.startswith("#|")}
            if "hide" in flags:
                continue
            cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M).strip()
            if any(k.startswith("image/") for output in cell.outputs for k in output.get("data", {})):
                raise ValueError(f"{index.name}: the cell {cell.source[:40]!r} shows a picture, which a README cannot "
                                 "hold; save it under nbs/images/ and show it from a text cell")
        cells.append(cell)
    notebook.cells, notebook.metadata["language_info"] = cells, {"name": "python"}
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    text = re.sub(r'(\]\(|(?:src|srcset|href)=")(images/|[\w/]+\.ipynb)', r"\1nbs/\2", text)
    text = re.sub(r"(\]\()\.\./", r"\1", text)  # ../CONTRIBUTING.md, as seen from nbs/
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return NOTE + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    args = parser.parse_args()
    path, new = args.root / "README.md", readme(args.root / "nbs" / "index.ipynb")
    if not args.check:
        path.write_text(new, encoding="utf-8")
        return 0
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if old != new:
        print(*difflib.unified_diff(old.splitlines(), new.splitlines(), "README.md", "nbs/index.ipynb", n=0, lineterm=""),
              "README.md is not what nbs/index.ipynb says; fix: make readme", sep="\n", file=sys.stderr)
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
