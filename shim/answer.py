"""An answer of upstream's, and what can go wrong on the way to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shim.headers import HOP_BY_HOP

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
    if answer.chunked or not data.startswith(b"HTTP/1.1 "):
        return False
    if not answer.content_length and answer.status not in (204, 304):
        return False
    return all(name.lower() not in HOP_BY_HOP for name, _ in answer.headers)
