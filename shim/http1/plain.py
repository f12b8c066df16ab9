"""One look at a whole message tells whether its bytes can go on as they are.

A message is plain if one read held all of it and nothing in it is of this hop or needs thought.
Whatever is not certain is not plain, and takes the other lane; for what is plain both lanes send
the same bytes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from shim.http1.fields import HOP_BY_HOP
from shim.http1.grammar import HOST, TEXT, TOKEN
from shim.http1.section import MAX_ANSWER_SECTION, MAX_SECTION

# White space as it would be written anew: one space before the value, none behind it.
_LINES: Final = rb"(?:" + TOKEN + rb": (?![ \t])" + TEXT + rb"(?<![ \t])\r\n)*+"
_REQUEST_LINE: Final = re.compile(rb"(" + TOKEN + rb") /[^\x00-\x20\x7f]*+ HTTP/1\.1\r\n")
_FIELDS: Final = re.compile(_LINES + rb"\r\n")
_ANSWER: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) " + TEXT + rb"\r\n" + _LINES + rb"\r\n")
# Fields that say something of this hop, or of where the message ends.
_HOP: Final = b"|".join(sorted(HOP_BY_HOP))
_MARKED: Final = re.compile(
    rb"^(Host|Content-Length|Expect|X-Forwarded-(?:Proto|Host)|" + _HOP + rb"): ([^\r]*)",
    re.IGNORECASE | re.MULTILINE,
)
_KEEP_ALIVE: Final = re.compile(rb"^Connection: keep-alive\r\n", re.IGNORECASE | re.MULTILINE)
_HOST_LINE: Final = re.compile(rb"^Host: [^\r]*", re.IGNORECASE | re.MULTILINE)
_MARKED_ANSWER: Final = re.compile(rb"\n(Content-Length|" + _HOP + rb"): ([^\r]*)", re.IGNORECASE)
_DATE: Final = re.compile(rb"\nDate: ([^\r]*)", re.IGNORECASE)
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_NOT_PLAIN_METHODS: Final = frozenset((b"HEAD", b"CONNECT"))
_NOT_PLAIN_STATUSES: Final = frozenset((b"204", b"205", b"304"))


class PlainFields(NamedTuple):
    """The fields of a plain request: its host, its body's ``length`` in bytes, and their ``lines``.

    Those are without a Connection field that says no more than the version does.
    """

    host: bytes
    length: int
    lines: bytes

    def with_host(self, host: bytes) -> PlainFields:
        """Return the same with another host in the place of its own."""
        # "Host: ", in whatever case it came.
        return self._replace(lines=_HOST_LINE.sub(lambda line: line[0][:6] + host, self.lines))


def plain_borders(data: bytes) -> tuple[bytes, int, int] | None:
    """Return the method of a request that may be plain, and where its fields begin and end.

    They end with the empty line.
    """
    line = _REQUEST_LINE.match(data)
    if line is None:
        return None
    begin = line.end()
    end = data.find(b"\r\n\r\n", begin - 2) + 4
    method = line[1]
    if not 4 <= end <= MAX_SECTION or method in _NOT_PLAIN_METHODS:
        return None
    return method, begin, end


def plain_fields(raw: bytes) -> PlainFields | None:
    """Return what the fields of a request say, if with them it is plain.

    It is one if what comes behind them is as long as they say.
    """
    if not _FIELDS.fullmatch(raw):
        return None
    host = b""
    length: int | None = None
    kept = False
    for name, value in _MARKED.findall(raw):
        # Of the names that are looked for, these are the only ones of their lengths.
        kind = len(name)
        if kind == 4 and not host:
            host = value
        elif kind == 14 and length is None and value.isdigit() and len(value) <= 18:
            length = int(value)
        elif name.lower() == b"connection" and value.lower() == b"keep-alive" and not kept:
            kept = True
        else:
            return None
    if not host or not HOST.fullmatch(host):
        return None
    lines = raw[:-2]
    return PlainFields(host, length or 0, _KEEP_ALIVE.sub(b"", lines) if kept else lines)


def date_of(data: bytes, end: int) -> bytes:
    """Return the ``Date`` of a plain answer whose head ends at ``end``, nothing without one."""
    found = _DATE.search(data, 0, end)
    return b"" if found is None else found[1]


class Borders(NamedTuple):
    """Where what is in a plain answer: where its head ends, and its content begins and ends."""

    status: int
    head_end: int
    begin: int
    end: int


def plain_answer(data: bytes) -> Borders | None:
    """Return where what is in ``data``, if it is one whole plain answer to a request but HEAD."""
    match = _ANSWER.match(data)
    if match is None:
        return None
    begin = match.end()
    if begin > MAX_ANSWER_SECTION:
        return None
    marked = _MARKED_ANSWER.findall(data, 0, begin)
    status = match[1]
    if len(marked) != 1 or status in _NOT_PLAIN_STATUSES:
        return None
    name, value = marked[0]
    # Of the names that are looked for, these two are the only ones of their lengths.
    if len(name) == 14:
        if not value.isdigit() or len(value) > 18 or int(value) != len(data) - begin:
            return None
        return Borders(int(status), begin, begin, len(data))
    if len(name) != 17 or value.lower() != b"chunked":
        return None
    # A single chunk, or none, with neither extensions nor trailers.
    line = _CHUNK_LINE.match(data, begin)
    if line is None:
        return None
    start, length = line.end(), int(line[1], 16)
    end = start + length if length else start - 2
    if data[end:] != (b"\r\n0\r\n\r\n" if length else b"\r\n\r\n"):
        return None
    return Borders(int(status), begin, start, start + length)
