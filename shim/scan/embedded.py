"""What files hold of other languages: Markdown, notebooks, components."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from shim.scan.languages import languages
from shim.scan.parts import Part

_FENCE: Final = re.compile(
    r"^\s{0,12}(?:>\s?)?(?P<mark>`{3,8}|~{3,8})\s{0,3}(?P<name>[\w+#.-]{0,20})"
)
_SCRIPT: Final = re.compile(r"<script[^<>]{0,200}>|^---$", re.MULTILINE)


class Inner(NamedTuple):
    """A piece of a text in another language."""

    language: str
    start: int
    end: int


class Cell(NamedTuple):
    """What a cell of a notebook holds in one language; ``lines`` of the file it stands on."""

    language: str
    text: str
    lines: list[int]


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
        blank.append("\n")
        number += 1
        while number < len(rows) and not rows[number].lstrip("> \t").startswith(fence["mark"]):
            at += len(rows[number])
            blank.append(" " * (len(rows[number]) - 1) + "\n")
            number += 1
        found.append(Inner(_fenced(fence["name"].lower()), start, at))
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


def cells(part: Part) -> list[Cell] | None:
    """Return what the cells of a notebook hold, or ``None`` where it is none."""
    try:
        book: Any = json.loads(part.text)
        cells = book["cells"]
        sources = [(cell.get("cell_type"), cell.get("source", "")) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    found: list[Cell] = []
    at = 0
    for kind, source in sources:
        pieces = source if isinstance(source, list) else str(source).splitlines(keepends=True)
        pieces = [str(piece) for piece in pieces]
        where = []
        for piece in pieces:
            index = _spelled_at(part.text, piece, at)
            at = index if index is not None else at
            where.append(part.text.count("\n", 0, at) + 1)
        code = "".join(pieces)
        if "invocation" not in code.lower() or not where:
            continue
        if kind == "code":
            shell = "".join(
                p.lstrip("!% ") if p.lstrip().startswith(("!", "%%")) else "\n" for p in pieces
            )
            python = "".join("\n" if p.lstrip().startswith(("!", "%")) else p for p in pieces)
            if pieces[0].startswith(("%%bash", "%%sh")):
                shell, python = "\n" + "".join(pieces[1:]), ""
            found += [Cell("shell", shell, where), Cell("python", python, where)]
        else:
            found.append(Cell("markdown", code, where))
    return found


def _spelled_at(text: str, piece: str, at: int) -> int | None:
    for ascii_only in (False, True):
        found = text.find(json.dumps(piece, ensure_ascii=ascii_only)[1:-1], at)
        if found >= 0:
            return found
    return None


def scripts(part: Part) -> list[Inner]:
    """Return the scripts of a component."""
    found: list[Inner] = []
    for begin in _SCRIPT.finditer(part.text):
        closing = "---" if begin[0] == "---" else "</script"
        end = part.text.find(closing, begin.end())
        if end > 0:
            found.append(Inner("typescript", begin.end(), end))
    return found
