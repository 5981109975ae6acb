"""The reference of a function or class, as HTML: signature, docstring and a table of its arguments (docments)."""

import html
import inspect
import re
import sys

from fastcore.docments import docments
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

EMPTY = inspect.Parameter.empty


def python(code: str) -> str:
    """Code, coloured."""
    return highlight(code, PythonLexer(), HtmlFormatter(cssclass="hl"))


def type_name(annotation) -> str:
    if annotation in (EMPTY, type(None)):
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text)  # torch.nn.modules.module.Module → Module


def signature(thing, name: str) -> str:
    def text(parameter):
        default = "" if parameter.default is EMPTY else f"={short(parameter.default)}"
        star = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        return star + parameter.name + default

    found = inspect.signature(thing)
    result = type_name(found.return_annotation)
    return f"{name}({', '.join(map(text, found.parameters.values()))})" + (f" -> {result}" if result else "")


def short(value) -> str:
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def table(thing, markdown) -> str:
    """Name, type, default and description of each argument, and what comes back."""
    rows = []
    for name, d in docments(thing, full=True, args_kwargs=True).items():
        if name == "self" or (name == "return" and not (d.docment or type_name(d.anno))):
            continue
        cells = ["<i>returns</i>" if name == "return" else f"<code>{name}</code>",
                 f"<code>{html.escape(kind)}</code>" if (kind := type_name(d.anno)) else "",
                 "" if d.default is EMPTY else f"<code>{html.escape(short(d.default))}</code>",
                 markdown(d.docment or "", inline=True)]
        rows.append("<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")
    head = "<tr><th>Argument</th><th>Type</th><th>Default</th><th></th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>' if rows else ""


def reference(thing, markdown) -> str:
    """The signature, the docstring and the table of a function, or of a class and its public methods.

    `markdown` turns the comments into HTML.
    """
    parts = [(thing, thing.__name__)]
    if inspect.isclass(thing):
        parts += [(f, f"{thing.__name__}.{n}") for n, f in vars(thing).items()
                  if inspect.isfunction(f) and not n.startswith("_") and f.__doc__]
    out = []
    for part, name in parts:
        try:
            doc = markdown(inspect.cleandoc(part.__doc__ or ""))
            out.append(f'<div class="signature">{python(signature(part, name))}</div>{doc}{table(part, markdown)}')
        except (ValueError, TypeError) as error:  # a class without a signature
            print(f"no reference for {name}: {error}", file=sys.stderr)
    return "\n".join(out)


def public(module) -> list:
    """The functions and classes that a module exports, in the order of its notebook."""
    things = [getattr(module, name) for name in getattr(module, "__all__", [])]
    things = [inspect.unwrap(t) if callable(t) else t for t in things]  # what is kept by a cache, too
    return [t for t in things if (inspect.isfunction(t) or inspect.isclass(t)) and t.__module__ == module.__name__]
