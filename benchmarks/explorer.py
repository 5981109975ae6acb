"""From a key on a slider to the new picture, in the browser: the explorer, and a lesson's slider with matplotlib.

    python benchmarks/explorer.py [--json benchmarks/results/explorer-cpu-2-cores.json]

Starts JupyterLab on a copy of the notebooks and headless Chromium, and needs both. Milliseconds of the browser's own clock.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parent.parent
EXPLORER = """from simple_maskrcnn import CocoDataset, explore, load_model
explorer = explore(load_model("nuclei", "cpu"), CocoDataset("../training/mine", "../training/mine/annotations.json"))
explorer.open(5)
explorer"""
SLIDER = """return [...document.querySelectorAll('.widget-slider')].filter(s => s.offsetWidth)
    .find(s => s.querySelector('.widget-label').innerText.startsWith(arguments[0]))?.querySelector('.noUi-handle')"""
PRESSED = """const [slider, where] = arguments, image = () => [...document.querySelectorAll(where)].filter(i => i.offsetWidth)[0];
const old = image()?.src; window.pressed = window.seen = null;
slider.addEventListener('keydown', () => { window.pressed = performance.now(); }, {capture: true, once: true});
const mine = window.turn = (window.turn || 0) + 1;
const look = () => { if (mine != window.turn) { return; } const now = image();
    if (window.pressed && now && now.src !== old && now.complete && now.naturalWidth) { window.seen = performance.now(); }
    else { requestAnimationFrame(look); } };
look(); slider.focus();"""


def wait(browser, script: str, *given, seconds: float = 300):
    return WebDriverWait(browser, seconds, 0.02).until(lambda b: b.execute_script(script, *given))


def measure(browser, slider: str, picture: str, times: int) -> dict:
    handle, took = wait(browser, SLIDER, slider, seconds=20), []
    for k in range(3 * times):
        browser.execute_script(PRESSED, handle, picture)
        handle.send_keys(Keys.PAGE_DOWN if k % 6 < 3 else Keys.PAGE_UP)
        for _ in range(200):
            if seen := browser.execute_script("return window.seen && window.seen - window.pressed"):
                took.append(seen)
                break
            time.sleep(0.02)  # nothing for four seconds: such a step changes nothing in the picture
        time.sleep(0.3)
        if len(took) == times + 2:  # the first two are for warming up
            break
    took = took[2:]
    return {"median_ms": round(statistics.median(took)), "worst_ms": round(max(took)), "keys": len(took)} if took else None


def run_all(browser) -> None:
    label = "return [...document.querySelectorAll('{}')].find(e => e.innerText.trim() == '{}')"
    wait(browser, "return document.querySelectorAll('.jp-Notebook .jp-Cell').length")
    time.sleep(4)
    wait(browser, label.format(".lm-MenuBar-itemLabel", "Run")).click()
    wait(browser, label.format(".lm-Menu-itemLabel", "Run All Cells")).click()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=20, help="keys for each figure")
    parser.add_argument("--only", default="", help="stages whose name contains it; a dash: none, the lesson alone")
    parser.add_argument("--json", type=Path, help="gets the figures")
    given = parser.parse_args()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    with tempfile.TemporaryDirectory() as folder:
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1300",
                     f"--user-data-dir={folder}/profile"):
            options.add_argument(flag)
        shutil.copytree(ROOT / "nbs", f"{folder}/nbs")
        path = Path(folder, "nbs/inference/07_explore.ipynb")
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"] = [{"cell_type": "code", "execution_count": None, "id": "explorer", "metadata": {}, "outputs": [],
                              "source": EXPLORER}]
        path.write_text(json.dumps(notebook), encoding="utf-8")
        private = {f"JUPYTER_{x}_DIR": f"{folder}/jupyter/{x}" for x in ("CONFIG", "DATA", "RUNTIME")}
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0", "nbs"]
        server = subprocess.Popen(command, cwd=folder, env=os.environ | private | {"PYTHONPATH": str(ROOT)},
                                  stderr=subprocess.DEVNULL)
        browser = None
        try:
            while not (found := list(Path(folder, "jupyter/RUNTIME").glob("jpserver-*.json"))):
                time.sleep(0.2)
            time.sleep(1)
            info, figures = json.loads(found[0].read_text()), {}
            service = webdriver.ChromeService(shutil.which("chromedriver"))
            browser = webdriver.Chrome(options=options, service=service)
            browser.get(f"{info['url']}lab/tree/inference/07_explore.ipynb?token={info['token']}&reset")
            run_all(browser)
            wait(browser, "return [...document.querySelectorAll('.widget-image')].some(i => i.naturalWidth)")
            for stage, slider in (("result", "score"), ("result", "mask"), ("NMS", "NMS of det"), ("masks", "score"),
                                  ("classes and boxes", "class score"), ("mistakes", "score"),
                                  ("feature maps", "channel"), ("objectness", "objectness"),
                                  ("proposals", "NMS of prop"), ("proposals", "proposals")):
                if given.only not in stage:
                    continue
                browser.execute_script("""const s = document.querySelector('.widget-select select');
                    s.value = [...s.options].find(o => o.innerText.replace(/\\s/g, ' ') == arguments[0]).value;
                    s.dispatchEvent(new Event('change', {bubbles: true}));""", stage)
                time.sleep(2)
                figures[f"{stage}: {slider}"] = measure(browser, slider, ".widget-image img, img.widget-image", given.times)
                print(f"explorer, {stage}: {slider}", figures[f"{stage}: {slider}"], flush=True)
            browser.get(f"{info['url']}lab/tree/network/01_boxes.ipynb?token={info['token']}&reset")
            run_all(browser)
            figures["network/01_boxes, matplotlib"] = measure(browser, "right", ".jupyter-widgets img", given.times)
            print("lesson network/01_boxes", figures["network/01_boxes, matplotlib"])
        finally:
            if browser:
                browser.quit()
            server.terminate()
            server.wait(30)
    if given.json:
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
        head = {"command": "python benchmarks/explorer.py", "cpu": cpu, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        given.json.write_text(json.dumps(head | {"figures": figures}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
