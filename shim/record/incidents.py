"""What went wrong, told in sums where callers or upstream can bring it about as often as they like.

None of it is a record of its own: it is counted, and said in the log.
"""

from __future__ import annotations

from logging import INFO, WARNING

from shim.http1.grammar import FramingError
from shim.ledger import events
from shim.ledger.ledger import Ledger
from shim.record.log import Logger
from shim.record.metrics import Metrics
from shim.record.summing import Summing
from shim.upstream.errors import OUTAGES, UpstreamError


class Incidents:
    """Tells what was refused, failed or broke off.  ``peer`` is a caller's address throughout."""

    def __init__(self, logger: Logger, ledger: Ledger, metrics: Metrics, *, instance: str) -> None:
        self._logger = logger
        self._ledger = ledger
        self._metrics = metrics
        self._instance = instance
        self._summing = Summing(logger)
        # By itself: whoever sends nonsense from many addresses leaves room for the others.
        self._unread = Summing(logger)

    def tell_sums(self) -> None:
        """Log how much there was since the last time."""
        self._summing.tell()
        self._unread.tell()

    def unreadable(self, error: FramingError, peer: str) -> None:
        """Count, keep and tell that not even the first line of a request could be read.

        Nobody knows what it was: it may have been an old call.
        """
        self._metrics.malformed(error.status)
        self._ledger.count_unreadable(peer)
        self._tell_refused(self._unread, error, peer, unreadable=True)

    def refused(self, error: FramingError, peer: str) -> None:
        """Tell of a request that was refused for its bytes: their borders, number or pace."""
        self._tell_refused(self._summing, error, peer)

    def _tell_refused(self, summing: Summing, error: FramingError, peer: str, **more: bool) -> None:
        summing.say(
            WARNING,
            events.REFUSED,
            f"{error.status} {peer}",
            status=error.status,
            error=str(error),
            client_address=peer,
            instance=self._instance,
            **more,
        )

    def failed(self, error: Exception) -> None:
        """Tell what a request failed with: upstream, or we."""
        if isinstance(error, UpstreamError):
            self.upstream_failed(error)
        else:
            self._logger.error("handler_failed", exc_info=error)

    def upstream_failed(self, error: UpstreamError) -> None:
        """Count that an exchange with upstream failed, and say it where nobody else does."""
        self._metrics.upstream_error(error.kind)
        self._summing.say(
            WARNING,
            "upstream_failed",
            error.kind,
            # That an upstream is away is said when it changes.
            at_once=error.kind not in OUTAGES,
            kind=error.kind,
            error=str(error),
        )

    def caller_left(self, peer: str) -> None:
        """Tell that a caller closed its connection before its answer had ended."""
        self._summing.say(INFO, "caller_left", peer, client_address=peer)

    def connection_refused(self, limit: str, peer: str) -> None:
        """Count and tell that a caller was one too many; ``limit`` is a setting."""
        self._metrics.connection_refused(limit)
        self._summing.say(WARNING, "connection_refused", limit, limit=limit, client_address=peer)
