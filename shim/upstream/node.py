"""One of the upstreams, and whether it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from shim.clocks import Witness
from shim.net.addresses import Address
from shim.upstream.errors import UpstreamError


class Node:
    """One of the upstreams: says once when it stops answering, and once when it answers again.

    All times are by ``time.monotonic``.
    """

    def __init__(self, address: Address, logger: FilteringBoundLogger, witness: Witness) -> None:
        self.address = address
        self.witness = witness
        self._logger = logger
        self.failure: UpstreamError | None = None
        """Why it does not answer, while it does not."""
        self.failed_at = 0.0
        """When that was last seen."""
        self.answered_at = 0.0
        """When it last answered, or accepted where it had not; 0 before it was tried."""

    def failed(self, error: UpstreamError, now: float) -> None:
        """Take note that it cannot be reached, or does not answer."""
        if self.failure is None:
            self._logger.warning(
                "upstream_unreachable",
                upstream=self.address.url,
                kind=error.kind,
                error=str(error),
            )
        self.failure = error
        self.failed_at = now

    def answered(self, now: float) -> None:
        """Take note that it answers."""
        self.answered_at = now
        if self.failure is not None:
            self.failure = None
            self._logger.info("upstream_reachable", upstream=self.address.url)


def in_turn(nodes: Sequence[Node]) -> list[Node]:
    """Return ``nodes`` in the order to try them in: those that answer, then who failed first."""
    return sorted(nodes, key=lambda node: node.failed_at if node.failure else 0.0)


def state(nodes: Sequence[Node]) -> Mapping[str, Any]:
    """Return the part of ``/ready``: one node that answers is enough."""
    if any(node.failure is None and node.answered_at for node in nodes):
        return {"ok": True}
    failures = [str(node.failure) for node in nodes if node.failure is not None]
    return {"ok": False, "error": "; ".join(failures) or "not tried yet"}
