"""The website from the notebooks: `_site/index.html`, which also opens from a folder.

    python tools/build_site.py [--out _site]

Text goes through nbconvert's Markdown, formulas become MathML, code is coloured by Pygments, and each exported
function and class is followed by its reference (reference.py), made from the comments beside its arguments.
"""

import argparse
import base64
import html
import importlib
import inspect
import io
import json
import re
import shutil
import sys
from configparser import ConfigParser
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import nbformat
from bs4 import BeautifulSoup
from check_notebooks import lessons, should_fold
from jinja2 import Environment, FileSystemLoader
from latex2mathml.converter import convert
from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image
from reference import public, python, reference

ROOT = Path(__file__).resolve().parent.parent
IMAGES = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/svg+xml": "svg"}


WINGS = {"": "Begin here", "network": "The network", "data": "Data", "evaluation": "Evaluation", "training": "Training",
         "inference": "Inference", "beside": "Beside the wings", "reference": "Reference"}
FIRST = ("index", "tour", "one_page", "background")  # without a wing, and read first


@dataclass
class Page:
    place: str  # network/03_anchors
    title: str = ""
    lead: str = ""  # the quoted sentence below the title
    module: str = ""  # the module that it exports: network.anchors
    minutes: str = ""
    body: str = ""
    contents: list[dict] = field(default_factory=list)  # headings: level, id, html
    sections: list[list[str]] = field(default_factory=list)  # for the search: page, heading, address, text
    before: "Page | None" = None
    next: "Page | None" = None

    @property
    def url(self) -> str:
        return f"{self.place}.html"

    @property
    def file(self) -> str:
        return "" if self.wing == "reference" else f"{self.place}.ipynb"

    @property
    def up(self) -> str:
        """What leads from the page's folder to the site's."""
        return "../" * self.place.count("/")

    @property
    def wing(self) -> str:
        folder = self.place.rpartition("/")[0]
        return folder if folder or self.place in FIRST else "beside"

    @property
    def number(self) -> str:
        return (re.match(r"(\d+)_", self.place.rpartition("/")[2]) or ["", ""])[1]

    @property
    def short(self) -> str:
        return "Overview" if self.place == "index" else self.title.split(":")[0]


class Renderer(IPythonRenderer):
    """nbconvert's Markdown, with formulas as MathML, links between pages, and names that lead to the reference."""

    def __init__(self, page: Page, site: dict):
        super().__init__(escape=False)
        self.page, self.site, self.ids = page, site, {}

    def math(self, body: str, display: str) -> str:
        try:
            return convert(body.strip(), display=display)
        except Exception as error:
            raise ValueError(f"{self.page.file}: the formula {body!r} cannot be converted: {error!r}") from error

    def inline_math(self, body):
        return self.math(body, "inline")

    def block_math(self, body):
        return f'<div class="formula">{self.math(body, "block")}</div>'

    def latex_environment(self, name, body):
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def heading(self, text, level, **attrs):
        plain = BeautifulSoup(text, "html.parser").get_text()
        key = re.sub(r"\s+", "-", plain.strip())  # as Jupyter makes them
        self.ids[key] = n = self.ids.get(key, 0) + 1
        key = key if n == 1 else f"{key}-{n}"
        if level in (2, 3):
            self.page.contents.append({"level": level, "id": key, "html": re.sub(r"</?a\b[^>]*>", "", text)})
        self.page.sections.append([self.page.short, plain if level > 1 else "", f"{self.page.url}#{quote(key)}", ""])
        key, link = html.escape(key), quote(key)
        return f'<h{level} id="{key}">{text}<a class="anchor" href="#{link}" aria-label="Link">#</a></h{level}>\n'

    def link(self, text, url, title=None):
        if not re.match(r"[a-z]+:|#", url):
            url, hash, anchor = url.partition("#")
            parts = []  # of the path from nbs/
            for part in PurePosixPath(self.page.place).parent.joinpath(url).parts:
                parts = parts[:-1] if part == ".." and parts and parts[-1] != ".." else [*parts, part]
            place = "/".join(parts)
            if place.removesuffix(".ipynb") in self.site["notebooks"]:
                url = f"{self.page.up}{place.removesuffix('.ipynb')}.html{hash}{anchor}"
            elif place.endswith(".ipynb"):  # one that is still to come
                return text
            elif not place.startswith("images/"):  # a file of the repository
                place = place.removeprefix("../") if place.startswith("../") else f"nbs/{place}"
                url = f"{self.site['git']}/blob/{self.site['branch']}/{place}{hash}{anchor}"
        return super().link(text, url, title)

    def codespan(self, text):
        code = super().codespan(text)
        url = self.site["names"].get(text.removesuffix("()").split(".")[-1])
        return f'<a href="{self.page.up}{url}">{code}</a>' if url else code

    def block_code(self, code, info=None):
        return super().block_code(code, info).replace('class="highlight"', 'class="hl"')

    def block_html(self, source):
        return re.sub(r'href="([\w/.]+)\.ipynb', r'href="\1.html', super().block_html(source))


def markdown(text: str, page: Page, site: dict, inline: bool = False) -> str:
    renderer = page.__dict__.setdefault("renderer", Renderer(page, site))
    result = MarkdownWithMath(renderer=renderer).render(text)
    result = result.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    return re.sub(r"^<p>(.*)</p>\s*$", r"\1", result, flags=re.S) if inline else result


# The pages


def figure(data: str, kind: str, alt: str, name: str, out: Path, up: str) -> str:
    content = data.encode() if kind.endswith("xml") else base64.b64decode(data)
    size = ""
    if not kind.endswith("xml"):
        width, height = Image.open(io.BytesIO(content)).size
        size = f' width="{width}" height="{height}"'
    (out / "figures").mkdir(exist_ok=True)
    (out / "figures" / f"{name}.{IMAGES[kind]}").write_bytes(content)
    return f'<figure><img src="{up}figures/{name}.{IMAGES[kind]}"{size} alt="{html.escape(alt)}" loading="lazy"></figure>'


def outputs(cell, alt: str, name: str, out: Path, page: Page, site: dict) -> str:
    parts = []
    for k, output in enumerate(cell.outputs):
        data = output.get("data", {})
        kind = next((k for k in IMAGES if k in data), None)
        if output.output_type == "stream":
            parts.append(f'<pre class="{output.name}">{ansi2html(output.text)}</pre>')
        elif kind:
            parts.append(figure(data[kind], kind, alt, f"{name}-{k}", out, page.up))
        elif "text/html" in data:
            label = f'class="film" role="group" aria-label="{html.escape(alt)}"'
            parts.append(data["text/html"].replace('class="film"', label, 1))
        elif "text/markdown" in data:
            parts.append(markdown(data["text/markdown"], page, site))
        elif "text/plain" in data:
            parts.append(f"<pre>{ansi2html(data['text/plain'])}</pre>")
    return f'<div class="out">{"".join(parts)}</div>' if parts else ""


def code_cell(cell, alt: str, name: str, out: Path, page: Page, site: dict) -> str:
    flags = re.findall(r"^#\|\s*(.*?)\s*$", cell.source, flags=re.M)
    source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M).strip()
    alt = next((f.split(":", 1)[1].strip() for f in flags if f.startswith("fig-alt:")), alt)
    shown = outputs(cell, alt, name, out, page, site)
    if "hide" in flags or not (source or shown):
        return ""
    write = partial(markdown, page=page, site=site)
    exported = any(re.match(r"exports?\b", f) for f in flags) and page.module
    tag = f'<span class="to">{page.module.replace(".", "/")}.py</span>' if exported else ""
    code = f'<div class="cell{" exported" if exported else ""}">{tag}{python(source)}</div>' if source else ""
    if "echo: false" in flags:
        code = ""
    if exported:
        defined = set(re.findall(r"^(?:def|class)\s+(\w+)", source, flags=re.M))
        for thing in public(importlib.import_module(f"{site['lib']}.{page.module}")):
            if thing.__name__ in defined:
                code += (f'<details class="api"><summary>Reference: <code>{thing.__name__}</code></summary>'
                         f"{reference(thing, write)}</details>")
    if should_fold(source):
        code = f"<details><summary>Imports</summary>{code}</details>"
    if "interact(" in source and not shown:
        shown = '<p class="note">A widget. It moves when the notebook runs: open it in Colab or in JupyterLab.</p>'
    page.sections[-1][3] += f" {source}"
    if cell.metadata.get("jupyter", {}).get("source_hidden"):
        last = page.sections[-1][1].lower()
        if "exercise" in last:
            return f"<details><summary>Solution</summary>{code}{shown}</details>"
        code = code if code.startswith("<details>") or not code else f"<details><summary>Code</summary>{code}</details>"
    return code + shown


def build_page(page: Page, notebook, out: Path, site: dict):
    body, alt = [], page.title
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            body.append(markdown(cell.source, page, site))
            text = BeautifulSoup(body[-1], "html.parser").get_text(" ", strip=True)
            page.sections[-1][3] += f" {text}"
            last = [p.get_text(" ", strip=True) for p in BeautifulSoup(body[-1], "html.parser").find_all("p")]
            alt = f"{page.sections[-1][1] or page.title}. {last[-1] if last else ''}"[:200]
        elif cell.cell_type == "code":
            body.append(code_cell(cell, alt, f"{page.place.replace('/', '-')}-{i}", out, page, site))
    page.body = "\n".join(body)


def things_of(module: str, site: dict) -> list:
    return public(importlib.import_module(f"{site['lib']}.{module}"))


def reference_page(wing: str, pages: list[Page], site: dict) -> Page:
    """All that the modules of one wing export."""
    page = Page(f"reference/{wing}", WINGS[wing], f"Every public function and class: {WINGS[wing].lower()}")
    write = partial(markdown, page=page, site=site)
    body = [markdown(f"# Reference: {WINGS[wing].lower()}\n\n> {page.lead}", page, site)]
    for source in pages:
        body.append(markdown(f"## {site['lib']}.{source.module}\n\n[{source.title}](../{source.file})", page, site))
        for thing in things_of(source.module, site):
            key = site["keys"][source.module, thing.__name__]
            page.contents.append({"level": 3, "id": key, "html": f"<code>{thing.__name__}</code>"})
            page.sections.append([page.title, thing.__name__, f"{page.url}#{key}", inspect.getdoc(thing) or ""])
            body.append(f'<section class="api module"><h3 id="{key}"><code>{thing.__name__}</code></h3>'
                        f"{reference(thing, write)}</section>")
    page.body = "\n".join(body)
    return page


def trail(pages: list[Page]) -> list[tuple[str, list[Page]]]:
    """The wings that there are, with their pages."""
    return [(name, [p for p in pages if p.wing == wing]) for wing, name in WINGS.items() if any(p.wing == wing for p in pages)]


def build(root: Path, out: Path) -> list[Page]:
    parser = ConfigParser(delimiters=["="])
    parser.read(root / "settings.ini", encoding="utf-8")
    cfg = parser["DEFAULT"]
    sys.path.insert(0, str(root))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    paths = lessons(root)
    notebooks, pages = [nbformat.read(p, as_version=4) for p in paths], []
    for path, notebook in zip(paths, notebooks, strict=True):
        text = "\n".join(c.source for c in notebook.cells)
        title, lead, module, minutes = (re.search(x, text, flags=re.M) for x in (
            r"^# (.*)", r"^> (.*)", r"default_exp ([\w.]+)", r"\*\*It takes\*\* about (\d+) minutes"))
        place = path.relative_to(root / "nbs").with_suffix("").as_posix()
        pages.append(Page(place, title[1] if title else path.stem, lead[1] if lead else "", module[1] if module else "",
                          minutes[1] if minutes else ""))
    site = {"title": cfg["title"], "git": cfg["git_url"], "branch": cfg["branch"], "lib": cfg["lib_path"],
            "colab": f"https://colab.research.google.com/github/{cfg['user']}/{cfg['repo']}/blob/{cfg['branch']}/nbs",
            "names": {}, "keys": {}, "notebooks": {p.place for p in pages}}
    modules = [p for p in pages if p.module]
    for page in modules:
        for thing in things_of(page.module, site):
            name = thing.__name__
            taken = {k for (m, _), k in site["keys"].items() if m.split(".")[0] == page.module.split(".")[0]}
            site["keys"][page.module, name] = key = f"{page.module}.{name}" if name in taken else name
            if name not in {m.module.split(".")[-1] for m in modules} | {"shapes", "check", "split", "train", "predict", "bench"}:
                site["names"][name] = f"reference/{page.wing}.html#{key}"  # a command or a module of that name comes first
    for page, notebook in zip(pages, notebooks, strict=True):
        build_page(page, notebook, out, site)
    pages += [reference_page(wing, own, site) for wing in WINGS if (own := [p for p in modules if p.wing == wing])]
    for a, b in zip(pages, pages[1:]):
        a.next, b.before = b, a
    site["pages"] = pages
    template = Environment(loader=FileSystemLoader(ROOT / "tools" / "site"), trim_blocks=True).get_template("page.html")
    for page in pages:
        (out / page.url).parent.mkdir(exist_ok=True)
        (out / page.url).write_text(template.render(page=page, site=site, wings=trail(pages)), encoding="utf-8")
    sections = [[a, b, c, re.sub(r"\s+", " ", d).strip()] for p in pages for a, b, c, d in p.sections]
    index = json.dumps(sections, ensure_ascii=False).replace("</", "<\\/")
    (out / "search-index.js").write_text(f"window.SEARCH = {index};\n", encoding="utf-8")
    for name in ("style.css", "site.js"):
        shutil.copy(ROOT / "tools" / "site" / name, out)
    if (root / "nbs" / "images").exists():
        shutil.copytree(root / "nbs" / "images", out / "images")
    (out / ".nojekyll").touch()  # GitHub Pages: serve the files as they are
    return pages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder to write; what it holds is deleted (default: _site)")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    args = parser.parse_args()
    out = args.out or args.root / "_site"
    pages = build(args.root.resolve(), out)
    print(f"{len(pages)} pages: open {out / 'index.html'}")


if __name__ == "__main__":
    main()
