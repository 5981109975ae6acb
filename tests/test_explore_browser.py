"""The explorer in headless Chromium: in JupyterLab, and as an app that only this machine reaches."""

import http.client
import json
import re
import socket
import subprocess
import sys
import time

import pytest
from conftest import ROOT, child_environment
from test_lab import lab, run_all  # noqa: F401 (a fixture)
from test_site import browser, needs_browser, until  # noqa: F401 (a fixture)

MINE = ROOT / "nbs" / "training" / "mine"
PICTURE = "return [...document.querySelectorAll('.widget-image')].filter(i => i.naturalWidth > 0 && i.offsetWidth)[{}]"
SLIDER = """return [...document.querySelectorAll('.widget-slider')].find(
    s => s.querySelector('.widget-label').innerText.startsWith(name)).querySelector('.noUi-handle')"""
OWN = re.compile(r"cdn\.jsdelivr|shared (singleton )?module|favicon|api/shutdown")  # voila's own: font, versions, closing


def largest(name: str) -> tuple[float, float]:
    """Where the largest nucleus of a picture is, in parts of its width and height."""
    content = json.loads((MINE / "annotations.json").read_text())
    image = next(i for i in content["images"] if i["file_name"] == name)
    x, y, w, h = max((a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]), key=lambda b: b[2] * b[3])
    return (x + w / 2) / image["width"], (y + h / 2) / image["height"]


def errors(browser) -> list[str]:  # noqa: F811
    """What the console calls severe."""
    return [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE" and not OWN.search(e["message"])]


def press(browser, slider: str, key: str) -> float:  # noqa: F811
    """Press a key on a slider: milliseconds until another picture is there, in the browser's own time."""
    browser.execute_script("""
        window.before = null; window.after = null;
        const image = (() => {PICTURE})();
        const handle = (name => {SLIDER})(arguments[0]);
        handle.focus();
        handle.addEventListener('keydown', () => { window.before ??= performance.now(); }, {capture: true, once: true});
        image.addEventListener('load', () => { window.after ??= performance.now(); }, {once: true});
        window.handle = handle;""".replace("PICTURE", PICTURE.format(0)).replace("SLIDER", SLIDER), slider)
    browser.execute_script("return window.handle").send_keys(key)
    return until(browser, "return window.after && window.after - window.before", 30)


def look_around(browser, name: str = "c1.png") -> None:  # noqa: F811
    """A key on a slider gives another picture; a click on a nucleus, its way back; and so does the list, by keyboard."""
    from selenium.webdriver import ActionChains, Keys

    image = until(browser, PICTURE.format(0), 300)
    first = image.get_attribute("src")
    assert press(browser, "mask", Keys.ARROW_RIGHT) > 0  # which changes every mask
    assert image.get_attribute("src") != first
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
    assert not browser.execute_script(PICTURE.format(1)), "nothing is chosen"
    x, y = largest(name)
    ActionChains(browser).move_to_element_with_offset(image, *(int(image.size[side] * (place - 0.5)) for side, place in (
        ("width", x), ("height", y)))).click().perform()
    assert until(browser, PICTURE.format(1), 60).size["width"] > 500
    assert "detected" in until(browser, "return [...document.querySelectorAll('td')].map(t => t.innerText).join(' ')")
    chosen = "return [...document.querySelectorAll('td')].map(t => t.innerText).join(' ')"
    before = browser.execute_script(chosen)
    listed = browser.execute_script("return [...document.querySelectorAll('.widget-select select')].at(-1)")
    listed.send_keys(Keys.HOME)
    listed.send_keys(Keys.ARROW_DOWN)
    assert until(browser, f"const now = (() => {{{chosen}}})(); return now != {json.dumps(before)} && now", 30)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app, on one picture: its address with the token."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "c1.png").write_bytes((MINE / "c1.png").read_bytes())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    with log.open("w") as out:
        server = subprocess.Popen([sys.executable, "-m", "simple_maskrcnn.cli", "explore", "nuclei", str(folder), "--no-browser",
                                   "--port", str(port)], env=child_environment(), stdout=out, stderr=out)
    try:
        for _ in range(600):
            if (found := re.search(r"http://127\.0\.0\.1:\d+/\?token=\w+", log.read_text())) or server.poll() is not None:
                break
            time.sleep(0.2)
        assert found, log.read_text()
        yield found[0]
    finally:
        server.terminate()
        server.wait(30)


@needs_browser
def test_the_app_shows_a_picture_and_what_was_clicked(app, browser):  # noqa: F811
    browser.get(app)
    look_around(browser)
    assert errors(browser) == []


@needs_browser
def test_the_app_takes_a_picture_and_says_what_is_none(app, browser, tmp_path):  # noqa: F811
    browser.get(app)
    until(browser, PICTURE.format(0), 300)
    # the widget's field for files is in no page until it is asked for; a dialogue cannot be answered here
    browser.execute_script("HTMLInputElement.prototype.click = function () { document.body.append(this); }")

    def give(path):
        browser.execute_script("document.querySelector('.jupyter-button.widget-upload, button.widget-upload').click()")
        until(browser, "return document.querySelector('input[type=file]')").send_keys(str(path))

    (tmp_path / "<b>no.png").write_text("this is no picture")
    give(tmp_path / "<b>no.png")
    said = until(browser, "return [...document.querySelectorAll('.widget-html-content')].map(e => e.innerText)"
                          ".find(t => t.includes('no picture'))", 60)
    assert said.startswith("error:") and "no.png is no picture that can be read" in said, said
    before = browser.execute_script(PICTURE.format(0)).get_attribute("src")
    give(MINE / "b1.png")
    names = "return [...document.querySelectorAll('.widget-dropdown option')].some(o => o.innerText.startsWith('b1.png'))"
    until(browser, names, 120)
    until(browser, f"return (() => {{{PICTURE.format(0)}}})().src != {json.dumps(before)}", 120)
    assert errors(browser) == []


def test_nothing_else_reaches_the_app(app):
    port = int(re.search(r":(\d+)/", app)[1])
    for path in ("/", "/api/kernels", "/voila/render/explore.ipynb", "/voila/files/explore.ipynb"):  # without the token
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status in (302, 403, 404) and b"widget" not in answer.read().lower(), (path, answer.status)
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others or {"127.0.0.2"}:  # this machine's other addresses
        with socket.socket() as probe:
            probe.settimeout(3)
            assert probe.connect_ex((address, port)) != 0, address


@needs_browser
def test_the_whole_lesson_runs_in_jupyterlab_and_its_explorer_explains_what_is_clicked(lab, browser):  # noqa: F811
    _, url, token, _ = lab
    browser.get(f"{url}lab/tree/inference/07_explore.ipynb?token={token}&reset")
    until(browser, "return document.querySelector('.jp-Notebook .jp-RenderedMarkdown h1')", 120)
    browser.get_log("browser")
    run_all(browser)
    look_around(browser, "a4.png")  # the explorer stands in the last cell
    assert errors(browser) == []
