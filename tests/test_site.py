"""The website, built and opened from a folder in headless Chromium."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="Chromium or chromedriver is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site of this repository, in a folder with a space in its name."""
    out = tmp_path_factory.mktemp("the site") / "_site"
    command = [sys.executable, str(ROOT / "tools" / "build_site.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def place(page: Path, site: Path) -> str:
    """network/03_anchors"""
    return page.relative_to(site).with_suffix("").as_posix()


def test_each_notebook_has_its_page(site):
    found = {place(p, site) for p in pages(site)}
    notebooks = {place(p, ROOT / "nbs") for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts}
    assert {p for p in found if not p.startswith("reference/")} == notebooks
    assert {p for p in found if p.startswith("reference/")} >= {"reference/network", "reference/data", "reference/beside"}


def test_links_and_pictures_lead_somewhere(site):
    soups = {p: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in pages(site)}
    ids = {page: {unquote(x["id"]) for x in soup.find_all(id=True)} for page, soup in soups.items()}
    for page, soup in soups.items():
        for tag, key in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")):
            for x in soup.find_all(tag, **{key: True}):
                file, _, anchor = x[key].partition("#")
                if re.match(r"https?:|data:", file):
                    assert tag == "a" or file.startswith("data:"), f"{page.name} loads {file} from elsewhere"
                    continue
                target = (page.parent / unquote(file)).resolve() if file else page
                assert target.exists(), f"{page.name}: {x[key]}"
                if anchor:
                    assert unquote(anchor) in ids[target], f"{page.name}: {x[key]}"


def test_each_lesson_leads_on_and_says_where_it_is_and_how_long_it_takes(site):
    for page in (p for p in pages(site) if re.match(r"network/\d", place(p, site))):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        assert soup.select_one("footer .before") and soup.select_one("footer .next"), page.name
        assert [a.text for a in soup.select("nav.map [aria-current]")] == ["The network"]
        assert soup.select_one("nav.pages [aria-current] small").text.endswith(" min")
        assert re.match(r"\d+ minutes", soup.select_one(".links span").text)


def test_every_picture_has_a_text_and_every_id_is_its_own(site):
    for page in pages(site):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        assert all(len(img.get("alt", "")) > 5 for img in soup.find_all("img")), page.name
        ids = [x["id"] for x in soup.find_all(id=True)]
        assert len(ids) == len(set(ids)), page.name


def test_reference_has_each_exported_name_with_its_arguments(site):
    from simple_maskrcnn import draw

    soup = BeautifulSoup((site / "reference/beside.html").read_text(encoding="utf-8"), "html.parser")
    section = soup.find(id="show_boxes").parent
    rows = [[c.get_text() for c in row.find_all("td")] for row in section.find_all("tr")]
    assert ["width", "float", "2.0", "of the line, in points"] in rows
    assert all(soup.find(id=n) for n in draw.__all__ if callable(getattr(draw, n)))


# What the builder makes of each kind of cell, in a project of three cells


def notebook(path: Path, *cells):
    cells = [{"id": f"c{i}", "metadata": {}, **c} for i, c in enumerate(cells)]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")


def text(source: str):
    return {"cell_type": "markdown", "source": source}


def code(source: str, *outputs, **metadata):
    return {"cell_type": "code", "source": source, "execution_count": None, "outputs": list(outputs), "metadata": metadata}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A function that builds a site with one notebook of the given cells, and returns its page."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    import build_site

    (tmp_path / "nbs" / "network").mkdir(parents=True)
    (tmp_path / "settings.ini").write_text((ROOT / "settings.ini").read_text(encoding="utf-8"), encoding="utf-8")

    def page(*cells):
        notebook(tmp_path / "nbs" / "index.ipynb", text("# Index\n\n> The way in"))
        notebook(tmp_path / "nbs" / "network" / "01_one.ipynb", text("# One\n\n> The first"), *cells)
        build_site.build(tmp_path, tmp_path / "out")
        return BeautifulSoup((tmp_path / "out" / "network" / "01_one.html").read_text(encoding="utf-8"), "html.parser").main

    return page


def test_hidden_cells_and_directives_do_not_show(small):
    main = small(code("#| hide\nsecret = 1"), code("#| slow\nshown = 2"), code("#| eval: false"),
                 code("#| echo: false\ndraw()"))
    assert "secret" not in main.text and "#|" not in main.text and "draw" not in main.text
    assert len(main.select(".cell")) == 1 and "shown = 2" in main.text


def test_a_folded_cell_is_folded(small):
    main = small(text("## Exercises"), code("answer = 42", jupyter={"source_hidden": True}))
    assert main.details.summary.text == "Solution" and "answer = 42" in main.details.text


def test_a_folded_cell_outside_of_the_exercises_shows_its_picture(small):
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": "<svg/>"}}
    main = small(text("## One"), code("#| fig-alt: a curve that falls\nplot()", picture, jupyter={"source_hidden": True}))
    assert main.details.summary.text == "Code" and not main.details.find("img")
    assert main.find("img")["src"].startswith("../figures/") and main.find("img")["alt"] == "a curve that falls"


def test_formulas_are_mathml_and_dollars_in_code_stay(small):
    main = small(text("Half: $\\frac{1}{2}$\n\n$$x_1 = e^{-t}$$\n\nand `$HOME`"))
    assert [m["display"] for m in main.find_all("math")] == ["inline", "block"]
    assert main.math.mfrac and "$HOME" in main.text and "\\frac" not in main.text


def test_a_formula_that_cannot_be_read_names_its_notebook(small):
    with pytest.raises(ValueError, match="01_one.ipynb: the formula"):
        small(text("$\\left( x$"))


def test_links_between_notebooks_become_links_between_pages(small):
    main = small(text("## Part two\n\n[there](../index.ipynb) [here](01_one.ipynb#Part-two) [how](../../CONTRIBUTING.md) "
                      "[to come](02_two.ipynb)"))
    links = [a["href"] for a in main.select("p > a") if a.parent.get("class") != ["links"]]
    assert links[:2] == ["../index.html", "../network/01_one.html#Part-two"] and links[2].endswith("/blob/main/CONTRIBUTING.md")
    assert len(links) == 3 and "to come" in main.text


def test_text_of_outputs_is_not_taken_for_html(small):
    stream = {"output_type": "stream", "name": "stdout", "text": "<b>not bold</b> \x1b[31mred\x1b[0m"}
    assert "<b>not bold</b>" in small(code("print()", stream)).select_one(".out").text


# In the browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
                 "--disable-component-update", "--no-first-run", "--window-size=1400,1000",
                 f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def until(browser, script: str, seconds: float = 20):
    """Wait for a script to give something, and return it."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds).until(lambda b: b.execute_script(script))


LOADED = """
const images = [...document.images];
images.forEach(i => { i.loading = "eager"; });
return images.every(i => i.complete) && [images.filter(i => !i.naturalWidth).map(i => i.src)];
"""


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_opens_without_an_error_or_a_broken_picture(site, browser, theme):
    for page in pages(site):
        browser.get(page.as_uri())
        browser.execute_script(f"localStorage.setItem('theme', '{theme}'); document.documentElement.dataset.theme = '{theme}'")
        assert until(browser, LOADED) == [[]], page.name
        assert browser.get_log("browser") == [], page.name
        for width in (400, 1300):
            browser.set_window_size(width, 900)
            wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{page.name} is {wide} pixels wider than a window of {width}"
    browser.execute_script("localStorage.removeItem('theme')")


@needs_browser
def test_a_broken_picture_would_be_seen(site, browser):
    page = site / "broken.html"
    page.write_text('<img src="missing.png" alt="not there">', encoding="utf-8")
    try:
        browser.get(page.as_uri())
        assert until(browser, LOADED) != [[]]
        assert any("missing.png" in entry["message"] for entry in browser.get_log("browser"))
    finally:
        page.unlink()


@needs_browser
def test_formulas_have_a_size(site, browser):
    page = next(p for p in pages(site) if "<math" in p.read_text(encoding="utf-8"))
    browser.get(page.as_uri())
    script = "return [...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)"
    assert min(browser.execute_script(script)) > 5


@needs_browser
def test_search_finds_a_word_and_leads_to_its_page(site, browser):
    browser.get((site / "index.html").as_uri())
    browser.find_element("id", "ui-search").send_keys("show_boxes")
    first = until(browser, "return document.querySelector('#ui-results a')?.href")
    assert "show_boxes" in browser.execute_script("return document.querySelector('#ui-results').innerText")
    browser.find_element("id", "ui-search").send_keys("\n")
    assert until(browser, f"return location.href === {json.dumps(first)}")
    browser.find_element("id", "ui-search").send_keys("xyzzy")
    assert "Nothing holds" in until(browser, "return document.querySelector('#ui-results .none')?.innerText")


@needs_browser
def test_the_button_turns_light_into_dark_and_back_and_the_choice_stays(site, browser):
    browser.get((site / "index.html").as_uri())
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = browser.execute_script(colour)
    browser.find_element("id", "ui-theme").click()
    after = browser.execute_script(colour)
    assert before != after
    browser.get((site / "network" / "01_boxes.html").as_uri())
    assert browser.execute_script(colour) == after
    browser.find_element("id", "ui-theme").click()
    assert browser.execute_script(colour) == before
