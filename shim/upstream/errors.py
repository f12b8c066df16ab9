"""What can go wrong on the way to upstream and back."""

from __future__ import annotations

from typing import Final

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


class UpstreamBusyError(UpstreamError):
    """As many requests as may be are under way, and nobody may wait (any longer)."""

    status = 503

    def __init__(self, message: str) -> None:
        super().__init__("busy", message)


class ClosedBeforeAnswerError(UpstreamError):
    """The connection closed before a byte of the answer came: nobody knows whether it was read."""
