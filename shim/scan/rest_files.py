"""Requests as clients keep them that send them: ``.http`` and ``.rest`` files, Hurl, Bruno."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shim.scan.judging import HOLE, Call, judge
from shim.scan.parts import Part
from shim.scan.requests import Request
from shim.scan.values import METHODS
from shim.scan.variables import Variables

_VERB: Final = re.compile(
    r"^\s{0,20}(?P<verb>DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT)\s{1,9}(?P<url>\S.{0,2000})$"
)
_VERSION: Final = re.compile(r"\s{1,9}HTTP/[\d.]{1,5}\s{0,9}$")
_SEPARATOR: Final = re.compile(r"^\s{0,20}###|^HTTP(?:/[\d.]{1,5})?\s")
_COMMENT: Final = re.compile(r"^\s{0,20}(?:#|//)")
_SECTION: Final = re.compile(r"^\s{0,20}\[(?P<name>\w{1,40})\]\s{0,20}$")
_PAIR: Final = re.compile(r"^\s{0,20}(?P<key>[\w.-]{1,60})\s{0,9}:\s{0,9}(?P<value>\S.{0,2000})$")
# Bruno has blocks: delete { url: … }, params:query { mode: kill }.
_BLOCK: Final = re.compile(r"^(?P<name>[\w:~-]{1,40})\s\{\s{0,9}$")
_QUERIES: Final = frozenset({"Query", "QueryStringParams", "params:query"})


@dataclass(slots=True)
class _Sent:
    """A request that is being read: where its URL stands, and the section that it is in."""

    verb: str
    at: int = -1
    end: int = -1
    row: int = 0
    url: str = ""
    section: str = "url"
    mode: str | None = None
    mode_row: int = 0
    code: list[str] = field(default_factory=list)


def requests_sent(part: Part) -> Iterator[Request]:
    """Return the requests of a file that are the old call."""
    rows = part.text.splitlines(keepends=True)
    variables = Variables(row.rstrip("\r\n") for row in rows)
    for one in _sent(rows):
        if one.verb != "DELETE" or "invocations" not in one.url:
            continue
        url, holes, _ = variables.put_in(one.url, one.row)
        keyed: tuple[str, ...] = ()
        if one.mode is not None:
            mode = variables.put_in(one.mode, one.mode_row)
            keyed = (HOLE + " ".join(mode.holes) if mode.holes else mode.text,)
        judgement = judge(Call("DELETE", url, holes, keyed), restate=part.restate)
        if judgement is not None:
            yield Request(one.at, one.end, " ".join(one.code), judgement)


def _sent(rows: list[str]) -> Iterator[_Sent]:
    current: _Sent | None = None
    end = 0
    for number, whole in enumerate(rows):
        row = whole.rstrip("\r\n")
        at = end + len(row) - len(row.lstrip())
        end += len(whole)
        begun = _begun(row, number, at, end)
        if current and (begun or _SEPARATOR.match(row)):
            yield current
            current = None
        if begun:
            current = begun
        elif current and not _COMMENT.match(row):
            _go_on(current, row, number, at, end)
    if current:
        yield current


def _begun(row: str, number: int, at: int, end: int) -> _Sent | None:
    """Return the request that a line begins, if it does."""
    verb = _VERB.match(row)
    if verb:
        url = _VERSION.sub("", verb["url"]).strip()
        return _Sent(verb["verb"], at, end, number, url, code=[row.strip()])
    block = _BLOCK.match(row)
    if block and block["name"].upper() in METHODS:
        return _Sent(block["name"].upper(), section="block")
    return None


def _go_on(current: _Sent, row: str, number: int, at: int, end: int) -> None:
    """Read a line that is part of a request."""
    section = _SECTION.match(row) or _BLOCK.match(row)
    pair = _PAIR.match(row)
    if section:
        current.section = section["name"]
    elif current.section == "url":
        if row.strip() and (row[0].isspace() or row.startswith(("?", "&"))):
            # What is indented, or begins a query, goes on with the URL.
            current.url += _VERSION.sub("", row).strip()
            current.code.append(row.strip())
            current.end = end
        else:
            current.section = "rest"
    elif pair and current.section == "block" and pair["key"] == "url":
        current.url, current.at, current.end, current.row = pair["value"].strip(), at, end, number
        current.code = [row.strip()]
    elif pair and current.section in _QUERIES and pair["key"] == "mode":
        current.mode, current.mode_row = pair["value"].strip(), number
