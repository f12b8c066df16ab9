r"""Where a URL of the route stands in a piece of code, and the edit that makes it the new one.

Placeholders are passed over as a whole, whatever is in their brackets: ``$(cat id)``,
``{{ item }}``, ``${1:?need an id}``, ``{ids["a"]}``, ``\(id)``, ``#{id}``, ``<id>``.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from shim.scan.finding import Edit

COLLECTION: Final = "invocations/"
_LONGEST: Final = 300
_ENDS: Final = frozenset(" \t\n\r\f\v\"'`?#,;|&<>\\")
_BEGINS_BEHIND: Final = frozenset(" \t\n\r\f\v\"'`,;|&<>=")
_OPENING: Final = "([{"
_CLOSING: Final = ")]}"
# What looks like an end and is none: a placeholder begins with it.
_PLACEHOLDER: Final = re.compile(r"\\(?=\()|#(?=\{)|<[\w .-]{1,40}>")
# Two of them next to each other: the last one may be a query.
_TWO: Final = re.compile(r"(?:\$\w{1,60}|[})])(?:\$|[#%]?\{|\\\()|%[sdv]%[sdv]")
_QUERY: Final = re.compile(r"\?mode=")
_FILLED: Final = re.compile(r"[${%<\\#(]")
_QUOTES: Final = frozenset("\"'`")
_ADDED: Final = re.compile(
    r"(?P<plus>\s?(?:\+|(?<=['\"])\s\.)\s?)"
    r"\$?[\w.]{1,60}(?:\[[\w\"']{1,40}\]|\([\w., ]{0,60}\))?(?=\s{0,40}(?:[,);\]}]|$))"
)
_GOES_ON: Final = re.compile(
    r"[\"'`]{1,3}(?:[\w${(\\]|\s{0,40}(?:\+|\.\.|<>|~|\.\s?(?!format\b)[\w$'\"(]|[fFrRbBuU]{0,2}[\"'`]))"
)


def url_in(code: str) -> str | None:
    """Return the URL of a piece of code up to its id, or ``None`` where it cannot be told."""
    at = code.find(COLLECTION)
    if at < 0:
        return None
    start, end = _start_of(code, at), end_of(code, at + len(COLLECTION))
    if start is None or end is None or end == at + len(COLLECTION):
        return None
    if _TWO.search(code, at, end):
        return None
    return code[start:end]


def end_of(code: str, at: int) -> int | None:
    """Return where what goes on at ``at`` ends, or ``None`` where a bracket is not closed."""
    depth = 0
    stop = min(len(code), at + _LONGEST)
    while at < stop:
        character = code[at]
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            if not depth:
                return at
            depth -= 1
        elif character == "\n" and depth:
            return None
        elif not depth and character in _ENDS:
            placeholder = _PLACEHOLDER.match(code, at)
            if placeholder is None:
                return at
            at = placeholder.end() - 1
        at += 1
    return at if not depth and at == len(code) else None


def _start_of(code: str, at: int) -> int | None:
    depth = 0
    stop = max(0, at - _LONGEST)
    while at > stop:
        character = code[at - 1]
        if character in _CLOSING:
            depth += 1
        elif character in _OPENING:
            if not depth:
                return at
            depth -= 1
        elif character == "\n" and depth:
            return None
        elif not depth and character in _BEGINS_BEHIND:
            return at
        at -= 1
    return at if not depth and not at else None


def path_edit(code: str, mode: str | None, *, given: bool) -> Edit | None:
    """Return the edit that puts the mode into the path of the one URL in a piece of code.

    ``given`` says that the call has a mode: where the URL has none, it stands elsewhere.
    """
    if code.count(COLLECTION) != 1:
        return None
    queries = [found.start() for found in _QUERY.finditer(code)]
    if len(queries) == 1:
        return _query_edit(code, queries[0], mode)
    return None if queries or given else mode_added(code, mode)


def _query_edit(code: str, at: int, mode: str | None) -> Edit | None:
    path = code.find(COLLECTION) + len(COLLECTION)
    behind = at + len("?mode=")
    end = end_of(code, behind)
    is_apart = at > 0 and code[at - 1] in _QUOTES
    if at < path or end is None or not (is_apart or end_of(code, path) == at):
        return None
    if end < len(code) and (
        code[end] in "?#" or (code[end] == "&" and code[end + 1 : end + 2] > " ")
    ):
        # There is more of a query.
        return None
    value = unquote(code[behind:end])
    if not value:
        # "?mode=" + mode
        return Edit(at, behind, "/") if code[end : end + 1] in _QUOTES else None
    if _FILLED.search(value):
        return Edit(at, behind, "/")
    if mode is not None and value.lower() != mode:
        return None
    return Edit(at, end, f"/{mode or 'MODE'}")


def mode_added(code: str, mode: str | None) -> Edit | None:
    """Return the edit that adds the mode behind the path of a URL that has no query."""
    at = code.find(COLLECTION) + len(COLLECTION)
    end = end_of(code, at)
    if end is None or code[end : end + 1] in ("?", "#"):
        return None
    if end < len(code) and code[end] in _QUOTES and (found := _ADDED.match(code, end + 1)):
        # The id follows: "/invocations/" + id.
        quote = code[end]
        return Edit(found.end(), found.end(), f"{found['plus']}{quote}/{mode or 'MODE'}{quote}")
    if end == at or _TWO.search(code, at, end) or _GOES_ON.match(code, end):
        return None
    return Edit(end, end, f"/{mode or 'MODE'}")
