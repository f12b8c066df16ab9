"""One look at a whole message tells whether its bytes can go on as they are.

A message is plain if one read held all of it and nothing in it is of this hop or needs thought.
Whatever is not certain is not plain, and takes the other lane; for what is plain both lanes send
the same bytes.
"""

from __future__ import annotations

import re
from typing import Final

from shim.http1.fields import HOP_BY_HOP
from shim.http1.grammar import HOST, TEXT, TOKEN
from shim.http1.section import MAX_ANSWER_SECTION, MAX_SECTION

# White space as it would be written anew: one space before the value, none behind it.
_LINES: Final = rb"(?:" + TOKEN + rb": (?![ \t])" + TEXT + rb"(?<![ \t])\r\n)*+"
_REQUEST: Final = re.compile(
    rb"(" + TOKEN + rb") /[^\x00-\x20\x7f]*+ HTTP/1\.1\r\n" + _LINES + rb"\r\n"
)
_ANSWER: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) " + TEXT + rb"\r\n" + _LINES + rb"\r\n")
# Fields that say something of this hop, or of where the message ends.
_HOP: Final = b"|".join(sorted(HOP_BY_HOP))
_MARKED: Final = re.compile(
    rb"\n(Host|Content-Length|Expect|X-Forwarded-(?:Proto|Host)|" + _HOP + rb"): ([^\r]*)",
    re.IGNORECASE,
)
_KEEP_ALIVE: Final = re.compile(rb"\nConnection: keep-alive\r\n", re.IGNORECASE)
_HOST_LINE: Final = re.compile(rb"\nHost: [^\r]*", re.IGNORECASE)
_MARKED_ANSWER: Final = re.compile(rb"\n(Content-Length|" + _HOP + rb"): ([^\r]*)", re.IGNORECASE)
_DATE: Final = re.compile(rb"\nDate: ([^\r]*)", re.IGNORECASE)
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_NOT_PLAIN_METHODS: Final = frozenset((b"HEAD", b"CONNECT"))
_NOT_PLAIN_STATUSES: Final = frozenset((b"204", b"205", b"304"))


def plain_request(data: bytes, max_body: int | None) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Return what ``data`` is if it is one plain request, ``None`` if not.

    That is: its method and host, its head without the empty line, and the rest from there on.
    The head is less a Connection field that says no more than the version does.
    """
    match = _REQUEST.match(data)
    if match is None:
        return None
    end = match.end()
    if end > MAX_SECTION:
        return None
    host = b""
    length: int | None = None
    kept = False
    for name, value in _MARKED.findall(data, 0, end):
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
    size = len(data) - end
    if size != (length or 0) or (max_body is not None and size > max_body):
        return None
    method = match[1]
    if method in _NOT_PLAIN_METHODS or not host or not HOST.fullmatch(host):
        return None
    head = data[: end - 2]
    if kept:
        head = _KEEP_ALIVE.sub(b"\n", head)
    return method, host, head, data[end - 2 :]


def with_host(head: bytes, host: bytes) -> bytes:
    """Return the head of a plain request with another host in its place."""
    found = _HOST_LINE.search(head)
    assert found is not None
    # "Host: ", in whatever case it came.
    return head[: found.start() + 7] + host + head[found.end() :]


def date_of(data: bytes, end: int) -> bytes:
    """Return the ``Date`` of a plain answer whose head ends at ``end``, nothing without one."""
    found = _DATE.search(data, 0, end)
    return b"" if found is None else found[1]


def plain_answer(data: bytes) -> tuple[int, int, int, int] | None:
    """Return where what is in ``data``, if it is one whole plain answer to a request but HEAD.

    That is: the status, where the head ends, and where the content begins and ends.
    """
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
        return int(status), begin, begin, len(data)
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
    return int(status), begin, start, start + length
