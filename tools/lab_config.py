"""JupyterLab as `make lab` starts it: on the index; and saving cleans a notebook, so that a look at it changes nothing in git."""

from nbdev.clean import clean_jupyter

c = get_config()  # noqa: F821 (given by Jupyter)
c.LabApp.default_url = "/lab/tree/index.ipynb"
c.ContentsManager.pre_save_hook = clean_jupyter
