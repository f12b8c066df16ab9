"""Literals of the route in a language without rules, where DELETE is near them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from shim.scan.judging import Call, judge, mode_in
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
_FILLED: Final = re.compile(r"#\{[^{}]{0,80}\}|\\\([^()]{0,80}\)")
_LONGEST_LINE: Final = 8_000


def literals(part: Part) -> Iterator[Request]:
    """Return literals of the route in a language without rules, where DELETE is near them."""
    rows = part.text.split("\n")
    at = 0
    for number, row in enumerate(rows):
        if "invocations/" in row and len(row) < _LONGEST_LINE and not _TEXT_COMMENT.match(row):
            for found in _LITERAL.finditer(_PUT_TOGETHER.sub("{}", row)):
                near = " ".join(rows[max(0, number - 2) : number + 4])
                method = "DELETE" if _SAYS_DELETE.search(near) else None
                url = _FILLED.sub("{}", found["value"])
                judgement = judge(Call(method, url, words=row[:400]), restate=part.restate)
                if judgement and (method or judgement.mode_given):
                    if not judgement.mode_given:
                        judgement = replace(judgement, mode=mode_in(near) or "cancel")
                    yield Request(at + len(row) - len(row.lstrip()), row.strip(), judgement)
        at += len(row) + 1
