"""What can go wrong on the way to upstream and back."""

from __future__ import annotations

from typing import Final, Literal

Failure = Literal[
    "aborted",
    "bad_answer",
    "busy",
    "closed",
    "connect",
    "connect_timeout",
    "stalled",
    "timeout",
    "tls",
    "truncated",
]
"""What an exchange can fail with, as it is counted."""
# These say something of upstream as a whole; others concern one exchange.
OUTAGES: Final[frozenset[Failure]] = frozenset(("connect", "connect_timeout", "tls", "timeout"))


class UpstreamError(Exception):
    """The exchange failed: ``status`` is what to tell downstream, ``kind`` what to count."""

    status = 502

    def __init__(self, kind: Failure, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class UpstreamTimeoutError(UpstreamError):
    """Upstream did not accept a connection, read on or begin its answer in time."""

    status = 504


class UpstreamBusyError(UpstreamError):
    """As many requests as may be are under way, and nobody may wait (any longer)."""

    status = 503

    def __init__(self, message: str) -> None:
        super().__init__("busy", message)


class ClosedBeforeAnswerError(UpstreamError):
    """The connection closed before a byte of the answer came: nobody knows whether it was read."""

    def __init__(self, message: str) -> None:
        super().__init__("closed", message)
