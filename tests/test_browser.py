"""The notebooks in headless Chromium, in JupyterLab and as the site from a folder: they open without an error, and sliders move."""

import pytest
from test_lab import lab  # noqa: F401 (a fixture)
from test_site import browser, needs_browser, site, until  # noqa: F401 (fixtures)

LESSON = "network/01_boxes"
PICTURE = """
const film = document.querySelector('.film'), sheet = film.querySelector('[onload]'), pane = sheet.parentNode;
return [getComputedStyle(pane).overflowX, Math.round(10 * sheet.offsetLeft / pane.clientWidth) / -10, film.querySelector('output').value];
"""


def errors(browser) -> list[str]:  # noqa: F811
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def move(browser, arrow: str) -> tuple:  # noqa: F811
    """Press a key on the first slider; the place of its picture, and its value, before and after."""
    from selenium.webdriver import Keys

    until(browser, "return document.querySelector('.film input')?.checkVisibility()")
    before = browser.execute_script(PICTURE)
    browser.find_element("css selector", ".film input").send_keys(getattr(Keys, arrow))
    return before, browser.execute_script(PICTURE)


def check_slider(browser):  # noqa: F811
    browser.execute_script("document.querySelector('.film').scrollIntoView({block: 'center'})")
    (hidden, at, value), after = move(browser, "ARROW_RIGHT")
    assert hidden == "hidden" and at == 0 and after[1] == 1 and after[2] != value
    assert move(browser, "ARROW_DOWN")[1] == ["hidden", 0, value]  # and not to the next cell
    assert move(browser, "END")[1][1] == int(browser.find_element("css selector", ".film input").get_attribute("max"))
    assert browser.execute_script("return document.activeElement === document.querySelector('.film input')")


@needs_browser
def test_lab_shows_diagrams_and_moves_sliders(lab, browser):  # noqa: F811
    _, url, token, _ = lab
    for place in ("index", "tour", LESSON):
        browser.get(f"{url}lab/tree/{place}.ipynb?token={token}&reset")
        until(browser, "return document.querySelectorAll('.jp-Notebook .jp-Cell').length > 5", 60)
        assert until(browser, "return document.querySelector('.jp-RenderedSVG img')") or place == "index", "is not trusted"
        assert errors(browser) == [], place
    until(browser, "return document.querySelector('.film')")
    check_slider(browser)
    assert errors(browser) == []


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1300])
def test_sliders_move_on_the_site(site, browser, theme, width):  # noqa: F811
    browser.set_window_size(width, 900)
    browser.get((site / f"{LESSON}.html").as_uri())
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    check_slider(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.execute_script("return [...document.querySelectorAll('.film')].every(f => f.offsetWidth <= f.parentNode.clientWidth)")
    assert errors(browser) == []


@needs_browser
def test_sliders_move_under_a_finger(site, browser):  # noqa: F811
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    browser.get((site / f"{LESSON}.html").as_uri())
    check_slider(browser)
    x, y, width = browser.execute_script("const r = document.querySelector('.film input').getBoundingClientRect(); "
                                         "return [r.x, r.y + r.height / 2, r.width]")
    for kind, place in (("touchStart", x + width - 5), ("touchMove", x + width / 2), ("touchMove", x + 2), ("touchEnd", None)):
        points = [] if place is None else [{"x": place, "y": y}]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert browser.execute_script(PICTURE)[1] == 0


@needs_browser
def test_without_scripts_the_first_picture_shows_and_the_others_unfold(site, browser):  # noqa: F811
    page = (site / f"{LESSON}.html").read_text(encoding="utf-8")
    import re

    bare = site / "bare.html"
    bare.write_text(re.sub(r' on\w+="[^"]*"|<script.*?</script>', "", page, flags=re.S), encoding="utf-8")
    try:
        browser.get(bare.as_uri())
        shown = "return [...document.querySelectorAll('.film > img, .film input')].map(x => x.checkVisibility())"
        assert set(browser.execute_script(f"return [...document.querySelectorAll('.film > img')].map(x => x.naturalWidth > 99)")) == {True}
        assert browser.execute_script(shown)[0] and not browser.execute_script(shown)[1]
    finally:
        bare.unlink()
