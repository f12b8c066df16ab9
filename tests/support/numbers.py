"""What ledger, pool and proxy would say of themselves, for the metrics to show."""

from __future__ import annotations

from typing import Final

from shim.ledger.ledger import LedgerState
from shim.record.exposition import Numbers
from shim.upstream.pool import PoolStats

LEDGER: Final = LedgerState(
    ok=True,
    error=None,
    queued=3,
    dropped=1,
    last_lost=None,
    written=40,
    last_commit_seconds=0.002,
    callers=2,
    fleet_ok=True,
    fleet_error=None,
    fleet_unsent=7,
)


def numbers(ledger: LedgerState = LEDGER) -> Numbers:
    return Numbers(
        in_flight=5,
        upstream_up=True,
        draining=False,
        connections=10,
        upstream_connections=PoolStats(opened=9, idle=4, busy=2, waiting=8),
        ledger=ledger,
        log_lines_dropped=6,
        config_ok=True,
        clock_offset=-0.25,
    )
