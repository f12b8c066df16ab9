"""An answer of upstream's, and what can go wrong on the way to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shim.http1.fields import HOP_BY_HOP

_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")

# These kinds of failure say something of upstream as a whole; others concern one exchange.
OUTAGES: Final = frozenset(("connect", "connect_timeout", "tls", "timeout"))


class UpstreamError(Exception):
    """The exchange failed: ``status`` is what to tell downstream, ``kind`` what to count."""

    status = 502

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class UpstreamTimeoutError(UpstreamError):
    """Upstream did not begin its answer in time."""

    status = 504


class ClosedBeforeAnswerError(UpstreamError):
    """The connection closed before a byte of the answer came: nobody knows whether it was read."""


@dataclass(slots=True)
class Answer:
    """The head of an upstream answer, with its body where that came along.

    ``raw`` holds the answer's bytes if they can be relayed as they are.  ``body`` is the whole
    body if ``complete``; otherwise it is read from the connection.
    """

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    content_length: bool
    chunked: bool
    complete: bool = False
    body: bytes = b""
    raw: bytes | None = None


def relayable(answer: Answer, data: bytes) -> bool:
    """Whether ``data`` is one whole answer that means the same on the next hop."""
    if not data.startswith(b"HTTP/1.1 "):
        return False
    of_this_hop = [name for name, _ in answer.headers if name.lower() in HOP_BY_HOP]
    if answer.chunked:
        return len(of_this_hop) == 1 and _is_one_chunk(data, answer.body)
    return not of_this_hop and (answer.content_length or answer.status in (204, 304))


def _is_one_chunk(data: bytes, body: bytes) -> bool:
    """Whether ``body`` came as a single chunk with neither extensions nor trailers."""
    framed = data.partition(b"\r\n\r\n")[2]
    size, _, rest = framed.partition(b"\r\n")
    if not body:
        return framed == b"0\r\n\r\n"
    return (
        _CHUNK_SIZE.fullmatch(size) is not None
        and int(size, 16) == len(body)
        and rest == body + b"\r\n0\r\n\r\n"
    )
