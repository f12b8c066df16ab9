"""Requests that are data: a URL and a method beside each other, line by line as in YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from shim.scan.judging import HOLE, Call, Judgement, judge, route
from shim.scan.parts import Part

_URL_KEY: Final = re.compile(
    r"(?i)^(?P<indent>\s{0,80}(?:-\s{1,4})?)[\"']?[\w-]{0,20}(?:url|uri|path|endpoint|href|target|route|raw)[\"']?\s{0,4}[:=]\s{0,4}(?P<value>\S.{0,1000})$"
)
_METHOD_KEY: Final = re.compile(
    r"(?i)^\s{0,80}(?:-\s{1,4})?[\"']?[\w-]{0,20}(?:method|verb|type)[\"']?\s{0,4}[:=]\s{0,4}[\"'.]?(?P<value>get|head|post|put|patch|delete)\b"
)
# The method as the name of what holds the URL: of Artillery, of Step CI.
_METHOD_ABOVE: Final = re.compile(
    r"^\s{0,80}(?:-\s{1,4})?(?P<value>get|post|put|patch|delete):\s{0,8}$"
)
_QUERY_KEY: Final = re.compile(
    r"(?i)^\s{0,80}[\"']?(?:params|parameters|query|query_?params|query_?parameters|query_?string|qs|search_?params)[\"']?\s{0,4}[:=]"
)
_MODE_KEY: Final = re.compile(
    r"(?:^\s{0,80}(?:-\s{1,4})?|[{,]\s{0,4})[\"']?mode[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?P<mode>[^\s\"',}]{1,80})"
)
_NAMED_MODE: Final = re.compile(
    r"^\s{0,80}(?:-\s{1,4})?[\"']?(?:name|key)[\"']?\s{0,4}[:=]\s{0,4}[\"']?mode[\"']?\s{0,8}$"
)
_VALUE: Final = re.compile(
    r"^\s{0,80}(?:-\s{1,4})?[\"']?value[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?P<mode>[^\s\"',}]{1,80})"
)
_MOST_ROWS: Final = 30
_LONGEST_ROW: Final = 400


class Request(NamedTuple):
    """A request that a text holds: where it stands, and what it is."""

    at: int
    end: int
    code: str
    judgement: Judgement | None


def requests_as_data(part: Part) -> Iterator[Request]:
    """Return requests of which the URL has a line; without a judgement those that are others."""
    rows = part.text.split("\n")
    at = 0
    for number, row in enumerate(rows):
        found = _URL_KEY.match(row) if "invocations/" in row else None
        if found and route(found["value"]) is not None:
            beside = _beside(rows, number, len(found["indent"]))
            method = _method(beside, len(found["indent"]))
            keyed = () if "mode=" in row else tuple(_keyed(beside, len(found["indent"])))
            judgement = judge(Call(method, found["value"], keyed=keyed), restate=part.restate)
            if method or (judgement and judgement.mode_given):
                code = row.strip()
                start = at + len(row) - len(row.lstrip())
                yield Request(start, start + len(code), code, judgement)
        at += len(row) + 1


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" \t-"))


def _beside(rows: list[str], number: int, indent: int) -> list[str]:
    """Return the lines beside one, and below those: of the same table, or item of a list.

    The one above them comes first, if it is there.
    """
    above: list[str] = []
    begins = rows[number].lstrip().startswith("- ")
    for row in [] if begins else reversed(rows[max(0, number - _MOST_ROWS) : number]):
        if len(row) > _LONGEST_ROW:
            break
        above.append(row)
        if row.strip() and _indent(row) < indent:
            # What the table is called.
            break
        if row.lstrip().startswith("- ") and _indent(row) == indent:
            break
    below: list[str] = []
    for row in rows[number + 1 : number + 1 + _MOST_ROWS]:
        is_next = row.lstrip().startswith("- ") and _indent(row) <= indent
        if len(row) > _LONGEST_ROW or is_next or (row.strip() and _indent(row) < indent):
            break
        below.append(row)
    return [*reversed(above), rows[number], *below]


def _method(beside: list[str], indent: int) -> str | None:
    for row in beside:
        found = _METHOD_KEY.match(row)
        if found and _indent(row) == indent:
            return found["value"].upper()
    above = _METHOD_ABOVE.match(beside[0])
    return above["value"].upper() if above else None


def _keyed(beside: list[str], indent: int) -> Iterator[str]:
    """Return the mode that a table of parameters gives, or a list of their names and values."""
    is_query = False
    for number, row in enumerate(beside):
        if row.strip() and _indent(row) <= indent:
            is_query = _QUERY_KEY.match(row) is not None
        if not is_query:
            continue
        found = _MODE_KEY.search(row)
        if _NAMED_MODE.match(row):
            values = map(_VALUE.match, beside[number + 1 : number + 4])
            found = next(filter(None, values), None)
        if found:
            yield HOLE if "{" in found["mode"] or "$" in found["mode"] else found["mode"]
            return
