"""Whether the shim should get traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shim.ledger.ledger import Ledger, LedgerState
from shim.proxy.plane import ProxyPlane
from shim.settings.reload import Reload


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the shim should get traffic, and why not: each part has ``ok`` and a reason."""

    proxy: ProxyPlane
    ledger: Ledger
    reload: Reload

    def look(self) -> tuple[bool, dict[str, Mapping[str, Any]]]:
        """Return whether all parts are well, and the parts.

        The settings' file, and the fleet where one is asked for, are shown along with them, but
        keep nobody from serving.
        """
        state = self.ledger.state()
        parts: dict[str, Mapping[str, Any]] = {
            "upstream": self.proxy.upstream_state,
            "ledger": _ledger_part(state),
            "draining": {"ok": not self.proxy.draining},
        }
        ready = all(part["ok"] for part in parts.values())
        if state.fleet_ok is not None:
            parts["fleet"] = _fleet_part(state)
        return ready, {**parts, "config": self.reload.as_dict()}


def _ledger_part(state: LedgerState) -> dict[str, Any]:
    part: dict[str, Any] = {"ok": state.ok, "queued": state.queued, "dropped": state.dropped}
    return part if state.error is None else {**part, "error": state.error}


def _fleet_part(state: LedgerState) -> dict[str, Any]:
    part: dict[str, Any] = {"ok": state.fleet_ok, "unsent": state.fleet_unsent}
    return part if state.fleet_error is None else {**part, "error": state.fleet_error}
