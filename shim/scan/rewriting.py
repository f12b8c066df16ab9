"""The new call in place of the old, where that is simple: nothing else is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ast_grep_py import SgRoot

from shim.scan.finding import MODES, Edit
from shim.scan.judging import Judgement
from shim.scan.trees import Site

_REWRITTEN: Final = frozenset({"python", "javascript", "typescript", "tsx", "go"})
_QUERY: Final = re.compile(r"\?mode=(?P<mode>[A-Za-z]{4,6})(?=[\"'`])")
_END_OF_PATH: Final = re.compile(r"invocations/[^?#\"'`/\s]{0,200}(?P<end>[\"'`])")
_ADDED_ID: Final = re.compile(r"\s?\+\s?[\w.]{1,60}(?=\s?[,)])")
_PARAMETERS: Final = re.compile(r"(?i)param|query|search")
_METHOD: Final = re.compile(r"(?P<quote>[\"'`])DELETE(?P=quote)|\bhttp\.MethodDelete\b")
_SAID_202: Final = re.compile(r"(?<![\d.])202(?![\d.])|StatusAccepted|\bACCEPTED\b|\baccepted\b")
# Those whose second argument is the body where DELETE has its options.
_BODY_SECOND: Final = frozenset({"javascript", "typescript", "tsx"})


def call_edits(text: str, site: Site, judgement: Judgement, language: str) -> tuple[Edit, ...]:
    """Return the edits that make a call the new one, or none where it is not that simple.

    Simple is a call whose URL is written within it, with the mode as its whole query or without
    one.
    """
    if language not in _REWRITTEN or judgement.mode not in MODES or site.link is None:
        return ()
    code = text[site.start : site.end]
    if "#" in code or "//" in code.replace("://", ""):
        # A comment, or what looks like one.
        return ()
    path = _path_edit(code, judgement)
    method = _method_edit(code, site, language)
    if path is None or method is None:
        return ()
    return tuple(
        Edit(site.start + one.start, site.start + one.end, one.text) for one in (method, path)
    )


def waits_for_202(text: str, site: Site) -> bool:
    """Tell whether something around a call goes by the 202 that the old route answers."""
    return _SAID_202.search(text, max(0, site.start - 200), site.end + 600) is not None


def _path_edit(code: str, judgement: Judgement) -> Edit | None:
    queries = list(_QUERY.finditer(code))
    if len(queries) == 1 and code.count("?") == 1 and code.count("mode") == 1:
        found = queries[0]
        if found["mode"].lower() != judgement.mode:
            return None
        return Edit(found.start(), found.end(), f"/{judgement.mode}")
    if queries or "mode" in code or "?" in code or judgement.mode_given:
        return None
    ends = list(_END_OF_PATH.finditer(code))
    if len(ends) != 1 or _PARAMETERS.search(code):
        return None
    end = ends[0].start("end")
    if code[end - 1] == "/":
        # The id follows: "/invocations/" + id.
        return _behind_the_id(code, end + 1, judgement)
    return Edit(end, end, f"/{judgement.mode}")


def _behind_the_id(code: str, at: int, judgement: Judgement) -> Edit | None:
    found = _ADDED_ID.match(code, at)
    quote = code[at - 1]
    if found is None or quote == "`":
        return None
    return Edit(found.end(), found.end(), f" + {quote}/{judgement.mode}{quote}")


def _method_edit(code: str, site: Site, language: str) -> Edit | None:
    found = list(_METHOD.finditer(code))
    if len(found) == 1:
        quote = found[0]["quote"]
        new = f"{quote}PATCH{quote}" if quote else "http.MethodPatch"
        return Edit(found[0].start(), found[0].end(), new)
    link = site.link
    if (
        found
        or link is None
        or link.name not in ("delete", "Delete")
        or site.rule.method != "DELETE"
    ):
        return None
    if language in _BODY_SECOND and len(link.arguments) != 1:
        return None
    start = link.name_at - site.start
    if start < 0 or code[start : start + len(link.name)] != link.name:
        return None
    return Edit(start, start + len(link.name), "patch" if link.name == "delete" else "Patch")


def rewritten(text: str, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """Return ``text`` from ``start`` up to ``end`` with the edits made."""
    parts: list[str] = []
    at = start
    for edit in sorted(edits, key=lambda one: one.start):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at : len(text) if end is None else end]])


def still_parses(before: str, after: str, grammar: str) -> bool:
    """Tell whether a rewritten text has no more errors than the one before."""
    return _errors(after, grammar) <= _errors(before, grammar)


def _errors(text: str, grammar: str) -> int:
    root = SgRoot(text, grammar).root()
    return len(root.find_all(kind="ERROR")) + (root.kind() == "ERROR")
