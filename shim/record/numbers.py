"""Numbers that the parts keep themselves, and what ``/metrics`` reads of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class LedgerNumbers(Protocol):
    """What is read from :class:`shim.ledger.LedgerState`."""

    @property
    def ok(self) -> bool:
        """Whether records reach the disk."""

    @property
    def queued(self) -> int:
        """Records that wait for the disk."""

    @property
    def dropped(self) -> int:
        """Records that were lost."""

    @property
    def written(self) -> int:
        """Records on the disk."""

    @property
    def last_commit_seconds(self) -> float | None:
        """How long the last commit took."""

    @property
    def fleet_ok(self) -> bool | None:
        """Whether the fleet takes records; ``None`` without one."""

    @property
    def fleet_unsent(self) -> int | None:
        """Records that the fleet has yet to get."""


class ConnectionNumbers(Protocol):
    """What is read from :class:`shim.upstream.pool.PoolStats`."""

    @property
    def opened(self) -> int:
        """Connections opened since the start."""

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""

    @property
    def busy(self) -> int:
        """Connections in an exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Numbers that others keep, asked for when scraped."""

    in_flight: Callable[[], int] | None = None
    draining: Callable[[], bool] | None = None
    connections: Callable[[], ConnectionNumbers] | None = None
    ledger: Callable[[], LedgerNumbers] | None = None
    log_lines_dropped: Callable[[], int] | None = None
    config_ok: Callable[[], bool] | None = None
