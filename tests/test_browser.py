"""Notebooks in headless Chromium, in JupyterLab and as the site from a folder: they open without an error, and sliders move."""

import re
import shutil

import pytest
from conftest import ROOT
from test_lab import lab, run_all  # noqa: F401 (a fixture)
from test_site import browser, needs_browser, until  # noqa: F401 (a fixture)

LESSON = "network/01_boxes"
WIDE = "network/09_roi_align"  # with a slider of three panels
PLACES = ("index", "tour", LESSON)
PICTURE = """
const film = document.querySelector('.film'), sheet = film.querySelector('[onload]'), pane = sheet.parentNode;
const place = Math.round(10 * sheet.offsetLeft / pane.clientWidth) / -10;
return [getComputedStyle(pane).overflowX, place, film.querySelector('output').value];
"""
SHOWN = "return [...document.querySelector('.film').querySelectorAll('img, input')].map(x => x.checkVisibility())"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of these notebooks alone, which is built in seconds."""
    root = tmp_path_factory.mktemp("a few")
    shutil.copy(ROOT / "settings.ini", root)
    shutil.copytree(ROOT / "nbs" / "images", root / "nbs" / "images")
    for place in (*PLACES, WIDE):
        (root / "nbs" / place).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "nbs" / f"{place}.ipynb", root / "nbs" / f"{place}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        import build_site

        build_site.build(root, root / "_site")
    return root / "_site"


def errors(browser) -> list[str]:  # noqa: F811
    """What the console says, but that a page was left (Lab wants to ask, and a driver makes no gesture)."""
    said = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in said if "beforeunload" not in message]


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
def test_lab_shows_diagrams_moves_sliders_of_notebooks_that_it_trusts_and_runs_them(lab, browser):  # noqa: F811
    nbs, url, token, _ = lab
    for place in PLACES:
        browser.get(f"{url}lab/tree/{place}.ipynb?token={token}&reset")
        until(browser, "return document.querySelector('.jp-Notebook .jp-RenderedMarkdown h1')", 60)
        if place != "index":  # which has no map
            until(browser, "return document.querySelector('.jp-RenderedSVG :is(img, svg)')")  # only if it is trusted
        assert errors(browser) == [], place
        if place == LESSON:
            until(browser, "return document.querySelector('.film')")
            check_slider(browser)
        if place != "index":  # which has no code
            run_all(browser)
            assert errors(browser) == [], place
    check_slider(browser)  # as it is made anew
    strange = (nbs / f"{LESSON}.ipynb").read_text(encoding="utf-8").replace("# Boxes", "# Strange boxes")
    (nbs / "strange.ipynb").write_text(strange, encoding="utf-8")  # which is not trusted
    browser.get(f"{url}lab/tree/strange.ipynb?token={token}&reset")
    until(browser, "return document.querySelector('.film img')?.naturalWidth", 60)
    assert browser.execute_script(SHOWN) == [True, False, False, False]
    assert errors(browser) == []
    browser.get("about:blank")
    errors(browser)  # Lab asks on while the page is left; forget it


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1300])
def test_each_page_opens_and_sliders_move_on_the_site(site, browser, theme, width):  # noqa: F811
    browser.set_window_size(width, 900)
    for place in PLACES[:2]:
        browser.get((site / f"{place}.html").as_uri())
        assert errors(browser) == [], place
    browser.get((site / f"{LESSON}.html").as_uri())
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    check_slider(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    fits = "return [...document.querySelectorAll('.film')].every(f => f.offsetWidth <= f.parentNode.clientWidth)"
    assert browser.execute_script(fits)
    assert errors(browser) == []


@needs_browser
def test_a_wide_picture_scrolls_where_it_would_be_too_small(site, browser):  # noqa: F811
    for width, scrolls in ((500, True), (1300, False)):  # a window is at least 500 wide
        browser.set_window_size(width, 900)
        browser.get((site / f"{WIDE}.html").as_uri())
        until(browser, "return document.querySelector('.film input')?.checkVisibility()")
        view, film, shape, page = browser.execute_script("""
            const view = document.querySelector('.film').children[0], pane = view.firstChild;
            return [view.scrollWidth > view.clientWidth, pane.offsetWidth, pane.offsetHeight / pane.offsetWidth,
                    document.documentElement.scrollWidth <= innerWidth];""")
        assert view is scrolls and film >= 480 and 0.3 < shape < 0.4 and page


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
    bare = site / "bare.html"
    bare.write_text(re.sub(r' on\w+="[^"]*"|<script.*?</script>', "", page, flags=re.S), encoding="utf-8")
    try:
        browser.get(bare.as_uri())
        assert browser.execute_script(SHOWN) == [True, False, False, False]  # the first picture, all, two sliders
        assert browser.execute_script("return document.querySelector('.film img').naturalWidth") > 99
        browser.find_element("css selector", ".film summary").click()
        assert browser.execute_script(SHOWN) == [True, True, False, False]
    finally:
        bare.unlink()
