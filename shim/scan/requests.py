"""Requests that are data: a URL and a method beside each other, or a request as it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from shim.scan.judging import Call, Judgement, judge, route
from shim.scan.parts import Part

_HTTP_VERB: Final = re.compile(r"^\s{0,20}DELETE\s{1,9}\S{0,300}invocations/")
_URL_KEY: Final = re.compile(
    r"(?i)^(?P<indent>\s{0,80}(?:-\s{1,4})?)[\"']?[\w-]{0,20}(?:url|uri|path|endpoint|href|target|route|raw)[\"']?\s{0,4}[:=]\s{0,4}(?P<value>\S.{0,1000})$"
)
_METHOD_KEY: Final = re.compile(
    r"(?i)^\s{0,80}(?:-\s{1,4})?[\"']?[\w-]{0,20}(?:method|verb|type)[\"']?\s{0,4}[:=]\s{0,4}[\"'.]?(?P<value>get|head|post|put|patch|delete)\b"
)
_LONGEST_LINE: Final = 8_000


class Request(NamedTuple):
    """A request that a text holds: where it stands, and what it is."""

    at: int
    code: str
    judgement: Judgement


def raw_requests(part: Part) -> Iterator[Request]:
    """Return requests as they are sent: ``DELETE http://…``."""
    at = 0
    for row in part.text.splitlines(keepends=True):
        if len(row) < _LONGEST_LINE and _HTTP_VERB.match(row):
            url = row.split(None, 1)[1].rsplit(" HTTP/", 1)[0].strip()
            judgement = judge(Call("DELETE", url), restate=part.restate)
            if judgement:
                yield Request(at + len(row) - len(row.lstrip()), row.strip(), judgement)
        at += len(row)


def requests_as_data(part: Part) -> Iterator[Request]:
    """Return requests that are data: a URL and a method beside each other."""
    rows = part.text.split("\n")
    at = 0
    for number, row in enumerate(rows):
        found = _URL_KEY.match(row) if "invocations/" in row and len(row) < _LONGEST_LINE else None
        if found and route(found["value"]) is not None:
            method = _method_near(rows, number, len(found["indent"]))
            judgement = judge(Call(method, found["value"]), restate=part.restate)
            if judgement and (method or judgement.mode_given):
                yield Request(at + len(row) - len(row.lstrip()), row.strip(), judgement)
        at += len(row) + 1


def _method_near(rows: list[str], number: int, indent: int) -> str | None:
    for step in (-1, 1):
        for distance in range(1, 13):
            at = number + step * distance
            if not 0 <= at < len(rows) or len(rows[at]) > 400:
                break
            row = rows[at]
            own = len(row) - len(row.lstrip(" \t-"))
            if row.strip() and own < indent:
                break
            found = _METHOD_KEY.match(row)
            if found and own == indent:
                return found["value"].upper()
            if row.lstrip().startswith("- ") and step < 0:
                break
    return None
