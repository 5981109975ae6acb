"""JupyterLab as `make lab` starts it, in headless Chromium: it opens on the index, and saving changes nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from conftest import ROOT, child_environment
from test_site import browser, needs_browser, until  # noqa: F401 (a fixture)

LESSON = "network/01_boxes.ipynb"


@pytest.fixture
def lab(tmp_path):
    """A copy of the notebooks, and the address at which JupyterLab shows them on this machine."""
    for name in ("nbs", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("settings.ini", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = re.search(r"^lab:.*\n\t\$\(PY\) (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1]
    command = command.replace("$(LAB_FLAGS)", "--allow-root").split()
    private = {f"JUPYTER_{x}_DIR": str(tmp_path / "jupyter" / x) for x in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen([sys.executable, *command, "--no-browser", "--ServerApp.port=0"], cwd=tmp_path,
                              env=child_environment() | private, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            found = list((tmp_path / "jupyter/RUNTIME").glob("jpserver-*.json"))
            pages = [p.read_text() for p in (tmp_path / "jupyter/RUNTIME").glob("jpserver-*-open.html")]
            opens = re.search(r'href="(http.*?)"', "".join(pages))
            if found and opens:
                break
            time.sleep(0.2)
        info = json.loads(found[0].read_text())
        yield tmp_path / "nbs", info["url"], info["token"], opens[1]
    finally:
        server.terminate()
        server.wait(30)


def run_all(browser, seconds: float = 120) -> None:  # noqa: F811
    """Run all cells of the notebook that is open, to the last; an error in one of them fails."""
    menu = "return [...document.querySelectorAll('.lm-MenuBar-itemLabel')].find(e => e.innerText == 'Run')"
    entry = "return [...document.querySelectorAll('.lm-Menu-itemLabel')].find(e => e.innerText.trim() == 'Run All Cells')"
    state = "return document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status == '{}'"
    until(browser, state.format("idle"), 60)
    until(browser, menu).click()
    until(browser, entry).click()
    until(browser, state.format("busy"))
    until(browser, state.format("idle"), seconds)
    failed = "return [...document.querySelectorAll('[data-mime-type=\"application/vnd.jupyter.error\"]')].map(e => e.innerText)"
    assert browser.execute_script(failed) == []


@needs_browser
def test_lab_opens_on_the_index_and_saving_a_notebook_changes_nothing(lab, browser):  # noqa: F811
    from selenium.webdriver import ActionChains, Keys

    nbs, url, token, opens = lab
    browser.get(opens.replace("&amp;", "&"))
    seen = until(browser, "return document.querySelector('.jp-Notebook .jp-RenderedMarkdown h1')?.innerText", 60)
    assert "simple_maskrcnn" in seen
    before = (nbs / LESSON).read_text(encoding="utf-8")
    browser.get(f"{url}lab/tree/{LESSON}?token={token}&reset")
    assert until(browser, "return document.querySelectorAll('.jp-Notebook .jp-Cell').length > 5", 60)
    browser.find_element("css selector", ".jp-Notebook .jp-Cell").click()
    stamp = os.stat(nbs / LESSON).st_mtime_ns
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()
    for _ in range(100):
        if os.stat(nbs / LESSON).st_mtime_ns != stamp:
            break
        time.sleep(0.2)
    assert os.stat(nbs / LESSON).st_mtime_ns != stamp, "it was not saved"
    time.sleep(1)
    assert (nbs / LESSON).read_text(encoding="utf-8") == before
