"""Whether the shim should get traffic, and how its ledger does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shim.ledger.ledger import LedgerState
from shim.record.log import Logger
from shim.record.metrics import Metrics


@dataclass
class Readiness:
    """Whether the shim should get traffic, and why not: each part has ``ok`` and a reason."""

    checks: dict[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    notes: dict[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    """What is shown along with them, but keeps nobody from serving."""

    def look(self) -> tuple[bool, dict[str, Mapping[str, Any]]]:
        """Return whether all parts are well, and the parts."""
        parts = {name: check() for name, check in self.checks.items()}
        notes = {name: note() for name, note in self.notes.items()}
        return all(part["ok"] for part in parts.values()), {**parts, **notes}


def ledger_part(state: LedgerState) -> dict[str, Any]:
    """Return the ledger's part of ``GET /ready``, JSON-ready."""
    part: dict[str, Any] = {"ok": state.ok, "queued": state.queued, "dropped": state.dropped}
    return part if state.error is None else {**part, "error": state.error}


def ledger_watch(logger: Logger, metrics: Metrics) -> Callable[[LedgerState], None]:
    """Return what the ledger is to call when it changes: it is logged, and failing is counted."""
    recording = True

    def changed(state: LedgerState) -> None:
        nonlocal recording
        if recording and not state.ok:
            metrics.ledger_error()
        recording = state.ok
        _say_ledger(logger, state)

    return changed


def _say_ledger(logger: Logger, state: LedgerState) -> None:
    fleet = {} if state.fleet_ok is None else {"fleet_ok": state.fleet_ok}
    if state.ok and state.fleet_ok is not False and not state.dropped:
        logger.info("ledger_recording", **fleet)
    else:
        logger.error(
            "ledger_not_recording" if not state.ok else "ledger_impaired",
            error=state.error or state.fleet_error,
            queued=state.queued,
            dropped=state.dropped,
            **fleet,
        )
