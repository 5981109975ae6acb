# `make demo` and `make test` do everything on a machine that has Python 3.10 or newer and make.
# On Windows, use the plain commands in CONTRIBUTING.md.

PYTHON ?= python3
PY := .venv/bin/python
DEVICE_FLAGS ?= gpu slow
EXPLORE ?= nuclei nbs/training/mine --annotations nbs/training/mine/annotations.json
LAB_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help demo test test-browser test-gpu lab explore export notebooks readme site bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: .venv/installed ## install, train on shapes, evaluate, predict: runs/demo/
	$(PY) tools/demo.py

test: .venv/installed-dev ## check and run every notebook, then run tests/
	$(PY) tools/check_notebooks.py
	$(PY) tools/make_readme.py --check
	$(PY) -m ruff check .
	$(PY) tools/check_notebooks.py --run
	$(PY) -m pytest tests -n 2 --dist loadfile --durations=10

test-browser: .venv/installed-dev ## open JupyterLab and the site in headless Chromium, where it is installed
	$(PY) -m pytest tests/test_browser.py -rs

test-gpu: .venv/installed-dev ## run every notebook with its `gpu` and `slow` cells too
	$(PY) tools/check_notebooks.py --run --flags "$(DEVICE_FLAGS)"

lab: .venv/installed-dev ## open the index in JupyterLab
	$(PY) -m jupyterlab --config=tools/lab_config.py $(LAB_FLAGS) nbs

explore: .venv/installed-dev ## look into a network in the browser: EXPLORE="MODEL PICTURES"
	$(PY) -m simple_maskrcnn.cli explore $(EXPLORE)

export: .venv/installed-dev ## clean the notebooks and export them to simple_maskrcnn/
	.venv/bin/nbdev_clean
	.venv/bin/nbdev_export

notebooks: .venv/installed-dev ## run every notebook and store its outputs
	$(PY) tools/run_notebooks.py

readme: .venv/installed-dev ## write README.md from nbs/index.ipynb
	$(PY) tools/make_readme.py

site: .venv/installed-dev ## build the website: _site/index.html
	$(PY) tools/build_site.py

bench: .venv/installed-dev ## race against torchvision: the network, then reading and masks
	$(PY) -m simple_maskrcnn.cli bench
	@for script in benchmarks/data.py benchmarks/evaluate.py; do echo "$$script"; $(PY) "$$script" || exit 1; done

clean: ## remove what was built; .venv stays
	rm -rf _site build dist runs .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The stamps say what is installed, for which settings. To start over: rm -rf .venv
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; '$(PYTHON)' is not that. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "No .venv could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/installed: settings.ini setup.py pyproject.toml | .venv/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --no-input -e .
	@touch $@

.venv/installed-dev: settings.ini setup.py pyproject.toml | .venv/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --no-input -e ".[dev]"
	@touch .venv/installed $@
