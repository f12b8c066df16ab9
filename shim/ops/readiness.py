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

        The settings' file is shown along with them, but keeps nobody from serving.
        """
        parts = {
            "upstream": self.proxy.upstream_state,
            "ledger": _ledger_part(self.ledger.state()),
            "draining": {"ok": not self.proxy.draining},
        }
        ready = all(part["ok"] for part in parts.values())
        return ready, {**parts, "config": self.reload.as_dict()}


def _ledger_part(state: LedgerState) -> dict[str, Any]:
    part: dict[str, Any] = {"ok": state.ok, "queued": state.queued, "dropped": state.dropped}
    return part if state.error is None else {**part, "error": state.error}
