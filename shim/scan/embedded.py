"""What files hold of other languages: Markdown, notebooks, components."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from shim.scan.excerpts import Excerpt, joined
from shim.scan.json_tree import read_json
from shim.scan.languages import languages
from shim.scan.parts import Part

_FENCE: Final = re.compile(
    r"^\s{0,12}(?:>\s?)?(?P<mark>`{3,8}|~{3,8})\s{0,3}(?P<name>[\w+#.-]{0,20})"
)
_SCRIPT: Final = re.compile(r"<script[^<>]{0,200}>|^---$", re.MULTILINE)


class Inner(NamedTuple):
    """A piece of a text in another language."""

    language: str
    excerpt: Excerpt


def fences(part: Part) -> tuple[list[Inner], str]:
    """Return the fenced blocks of Markdown, and the text without them."""
    found: list[Inner] = []
    rows = part.text.splitlines(keepends=True)
    blank: list[str] = []
    at = number = 0
    while number < len(rows):
        fence = _FENCE.match(rows[number])
        if fence is None:
            blank.append(rows[number])
            at += len(rows[number])
            number += 1
            continue
        at += len(rows[number])
        start = at
        blank.append(" " * (len(rows[number]) - 1) + "\n")
        number += 1
        while number < len(rows) and not rows[number].lstrip("> \t").startswith(fence["mark"]):
            at += len(rows[number])
            blank.append(" " * (len(rows[number]) - 1) + "\n")
            number += 1
        excerpt = Excerpt(part.text[start:at], ((0, start),))
        found.append(Inner(_fenced(fence["name"].lower()), excerpt))
    return found, "".join(blank)


def _fenced(name: str) -> str:
    for language in languages().values():
        if name == language.name or name in language.aliases:
            return language.name
    if name in ("http", "rest"):
        return "http"
    if name in ("yaml", "yml", "json", "dockerfile", "makefile", "powershell"):
        return "yaml" if name == "yml" else name
    return "shell"


def cells(part: Part) -> list[Inner] | None:
    """Return what the cells of a notebook hold, or ``None`` where it is none."""
    nodes = read_json(part.text)
    book = nodes[0].get("cells") if nodes else None
    if book is None or book.kind != "array":
        return None
    found: list[Inner] = []
    for cell in book.items:
        kind, source = cell.get("cell_type"), cell.get("source")
        if kind is None or source is None:
            continue
        code = joined(one.text for one in (source.items if source.kind == "array" else [source]))
        if "invocation" not in code.text.lower():
            continue
        if kind.text.text == "code":
            found += _of_code(code)
        else:
            found.append(Inner("markdown", code))
    return found


def _of_code(code: Excerpt) -> Iterator[Inner]:
    """Return what a cell of code holds of the shell, and of Python."""
    rows = list(_rows(code))
    if code.text.startswith(("%%bash", "%%sh")):
        yield Inner("shell", joined(rows[1:]))
        return
    shell: list[Excerpt] = []
    python: list[Excerpt] = []
    for row in rows:
        blank = row.within(len(row.text.rstrip("\r\n")), len(row.text))
        if row.text.lstrip().startswith(("!", "%")):
            shell.append(row.within(len(row.text) - len(row.text.lstrip("!% ")), len(row.text)))
            python.append(blank)
        else:
            shell.append(blank)
            python.append(row)
    yield Inner("shell", joined(shell))
    yield Inner("python", joined(python))


def _rows(code: Excerpt) -> Iterator[Excerpt]:
    at = 0
    for row in code.text.splitlines(keepends=True):
        yield code.within(at, at + len(row))
        at += len(row)


def scripts(part: Part) -> list[Inner]:
    """Return the scripts of a component."""
    found: list[Inner] = []
    at = 0
    while begin := _SCRIPT.search(part.text, at):
        end = part.text.find("---" if begin[0] == "---" else "</script", begin.end())
        if end < 0:
            break
        excerpt = Excerpt(part.text[begin.end() : end], ((0, begin.end()),))
        found.append(Inner("typescript", excerpt))
        at = end
    return found
