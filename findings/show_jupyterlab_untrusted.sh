#!/usr/bin/env bash
# A notebook that somebody else ran and stored, opened in JupyterLab: a figure as SVG, the same as PNG, and HTML with something hidden.
#
# One would guess: stored figures are shown, and what is hidden stays hidden.
# What happens: a notebook of a fresh clone is not trusted, and then the SVG is not shown: its text stands in its place, <Figure ...>.
#   The PNG is shown. Of HTML, `hidden` is taken away where it is written without a value, so that the hidden shows; hidden="hidden" stays.
# What users meet: diagrams that are there on the author's machine are gone in a clone, until the notebook is run or trusted.
# Chromium and its driver must be installed: chromium, chromedriver.
set -euo pipefail
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; cd "$T"
python3 -m venv venv && venv/bin/python -m pip install -q jupyterlab==4.6.6 selenium==4.51.0
for kind in CONFIG DATA RUNTIME; do export "JUPYTER_${kind}_DIR=$T/jupyter/$kind"; done
mkdir nbs && venv/bin/python - <<'P'
import json
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'><rect width='40' height='40' fill='green'/></svg>"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HTML = '<p class="one" hidden>one</p><p class="two" hidden="hidden">two</p>'


def cell(key, **data):
    output = {"output_type": "display_data", "metadata": {}, "data": {**data, "text/plain": "<Figure as text>"}}
    return {"id": key, "cell_type": "code", "source": key, "metadata": {}, "execution_count": None, "outputs": [output]}


for name in ("fresh", "trusted"):
    cells = [cell(name, **{"image/svg+xml": SVG}), cell("png", **{"image/png": PNG}), cell("html", **{"text/html": HTML})]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    Path("nbs", f"{name}.ipynb").write_text(json.dumps(notebook))
subprocess.run([sys.executable, "-m", "jupyter", "trust", "nbs/trusted.ipynb"], check=True, capture_output=True)
server = subprocess.Popen([sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ServerApp.port=0",
                           "--ServerApp.root_dir=nbs"], stderr=subprocess.DEVNULL)
options = webdriver.ChromeOptions()
options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir=profile"):
    options.add_argument(flag)
browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
try:
    while not (found := [*Path("jupyter/RUNTIME").glob("jpserver-*-open.html")]):
        time.sleep(0.2)
    time.sleep(1)
    info = json.loads(next(Path("jupyter/RUNTIME").glob("jpserver-*.json")).read_text())
    seen = {}
    for name in ("fresh", "trusted"):
        browser.get(f"{info['url']}lab/tree/{name}.ipynb?token={info['token']}&reset")
        WebDriverWait(browser, 60).until(lambda b: b.execute_script("return document.querySelectorAll('.jp-RenderedHTML .two').length"))
        seen[name] = browser.execute_script("""
            return {shown: [...document.querySelectorAll('.jp-OutputArea-output')].map(x => x.dataset.mimeType),
                    visible: ['.one', '.two'].map(x => document.querySelector('.jp-RenderedHTML ' + x).checkVisibility())}""")
        print(f"{name:8}", seen[name])
    print("jupyterlab", version("jupyterlab"), browser.capabilities["browserName"], browser.capabilities["browserVersion"])
    assert seen["fresh"] == {"shown": ["text/plain", "image/png", "text/html"], "visible": [True, False]}
    assert seen["trusted"] == {"shown": ["image/svg+xml", "image/png", "text/html"], "visible": [False, False]}
finally:
    browser.quit()
    server.terminate()
    server.wait(30)
P
