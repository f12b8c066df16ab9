"""Literals of the route in a language without rules, where DELETE is near them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from shim.scan.judging import Call, judge, mode_stated_in
from shim.scan.parts import Part
from shim.scan.requests import Request

_SAYS_DELETE: Final = re.compile(r"(?i)(?<![a-z])delete(?![a-z]*d\b)")
_TEXT_COMMENT: Final = re.compile(r"^\s{0,200}(?:#|//|--|\*|/\*|;;|%|\"\"\")")
_LITERAL: Final = re.compile(
    r"[\"'`](?P<value>[^\"'`\s]{0,400}invocations/[^\"'`\s]{0,400})[\"'`]?"
)
_PUT_TOGETHER: Final = re.compile(
    r"[\"'`]\s{0,3}(?:\.\.|\+{1,2}|<>|&|\.|~)\s{0,3}[\w.:()\[\]]{1,60}"
    r"(?:\s{0,3}(?:\.\.|\+{1,2}|<>|&|\.|~)\s{0,3}[\"'`])?"
)
# Lisp's way: (str base "/invocations/" id "?mode=kill")
_STR: Final = re.compile(
    r"(?<=invocations/)\"\s{1,3}(?:[\w.*+!?-]{1,60}|\([^()\"]{1,60}\))(?:\s{1,3}\"|(?=\)))"
)
_FILLED: Final = re.compile(r"#\{[^{}]{0,80}\}|\\\([^()]{0,80}\)")
_NAME: Final = "invocations/"
_LONGEST_ROW: Final = 2_000
_NEAR: Final = 300


def literals(part: Part) -> Iterator[Request]:
    """Return literals of the route in a language without rules, where DELETE is near them."""
    rows = part.text.split("\n")
    at = 0
    for number, row in enumerate(rows):
        if _NAME in row and not _TEXT_COMMENT.match(row):
            yield from _of_row(part, rows, number, at)
        at += len(row) + 1


def _of_row(part: Part, rows: list[str], number: int, at: int) -> Iterator[Request]:
    row = rows[number]
    start = at + len(row) - len(row.lstrip())
    places = [found.start() for found in re.finditer(_NAME, row)]
    around = " ".join(one[:_LONGEST_ROW] for one in rows[max(0, number - 2) : number + 4])
    count = 0
    glue = _STR if "(str " in row else _PUT_TOGETHER
    for found in _LITERAL.finditer(glue.sub("{}", row)):
        place = places[min(count, len(places) - 1)]
        count += found["value"].count(_NAME)
        near, code = around, row.strip()
        if len(row) > _LONGEST_ROW:
            near = code = row[max(0, place - _NEAR) : place + _NEAR]
        method = "DELETE" if _SAYS_DELETE.search(near) else None
        url = _FILLED.sub("{}", found["value"])
        judgement = judge(Call(method, url, words=code[:400]), restate=part.restate)
        if judgement and (method or judgement.mode_given):
            if not judgement.mode_given:
                judgement = replace(judgement, mode=mode_stated_in(near))
            yield Request(start, at + len(row), code, judgement)
            # The next one of the line stands where it does.
            start = at + places[min(count, len(places) - 1)]
