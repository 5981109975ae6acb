"""JupyterLab as `make lab` starts it: on the index; and saving cleans a notebook, so that a look at it changes nothing in git.

JupyterLab shows no SVG and moves no slider of a notebook that it does not trust, which is every notebook of a fresh clone.
Those below nbs/ are trusted here, as `jupyter trust` does: who starts Lab with this file has come to run them.
"""

from pathlib import Path

import nbformat
from nbdev.clean import clean_jupyter
from nbformat.sign import NotebookNotary

c = get_config()  # noqa: F821 (given by Jupyter)
c.LabApp.default_url = "/lab/tree/index.ipynb"
c.ContentsManager.pre_save_hook = clean_jupyter
notary = NotebookNotary()
for path in (Path(__file__).resolve().parent.parent / "nbs").rglob("*.ipynb"):
    notary.sign(nbformat.read(path, as_version=4))
