"""An answer's head for the next hop: what ends its body there, and whether one may follow."""

from __future__ import annotations

from typing import Final, NamedTuple

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Framing
from shim.http1.fields import Fields, end_to_end, field
from shim.http1.requests import RequestHead

_CODING: Final = frozenset((b"transfer-encoding",))
_NO_FIELDS: Final[frozenset[bytes]] = frozenset()


class ForHop(NamedTuple):
    """An answer's ``head`` in bytes; its body is ``chunked``, ends with the connection, or neither.

    ``persists`` tells whether the connection may carry another request.
    """

    head: bytes
    chunked: bool
    until_close: bool
    persists: bool


def for_hop(request: RequestHead, answer: AnswerHead, *, persists: bool) -> ForHop:
    """Frame ``answer`` for the sender of ``request`` (RFC 9112 sections 6.3 and 9.3)."""
    http_11 = request.minor_version == 1
    ends = answer.framing in (Framing.NONE, Framing.LENGTH)
    chunked = http_11 and not ends
    # Where upstream's chunks go on as chunks, the field stays at its place.
    kept = chunked and answer.framing is Framing.CHUNKED
    fields = end_to_end(answer.fields, keep=_CODING if kept else _NO_FIELDS)
    if chunked and not kept:
        fields.append(field(b"transfer-encoding", b"chunked"))
    # Without a length or chunks, only the end of the connection ends the body.
    until_close = not ends and not chunked
    persists = persists and not until_close
    if not persists:
        fields.append(field(b"connection", b"close"))
    elif not http_11:
        fields.append(field(b"connection", b"keep-alive"))
    return ForHop(head_bytes(answer, fields), chunked, until_close, persists)


def head_bytes(answer: AnswerHead, fields: Fields) -> bytes:
    """Return the head of ``answer`` with ``fields`` in the place of its own."""
    lines = b"".join([line for _, _, line in fields])
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (answer.status, answer.reason, lines)
