"""What the shim says of itself: what is in force, how the ledger does, that it is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shim.ledger.ledger import Ledger
from shim.moments import rfc3339
from shim.record.log import Logger
from shim.record.metrics import Metrics
from shim.route.in_force import Live
from shim.route.policy import in_force
from shim.settings.reload import Reload
from shim.settings.table import Settings

_LOOK_SECONDS: Final = 60.0


class PhaseWatch:
    """Tells log, ledger and metrics of every other phase: by the settings, and by the calendar."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        metrics: Metrics,
        logger: Logger,
        clock: Callable[[], datetime],
    ) -> None:
        self.shown = in_force(settings, clock())
        self._settings = settings
        self._ledger = ledger
        self._metrics = metrics
        self._logger = logger
        self._clock = clock
        self._ledger.phase_changed(self.shown)
        self._tell_metrics()

    def changed(self, settings: Settings, before: Settings) -> None:
        """Take note of other settings."""
        self._settings = settings
        self._tell_metrics()
        self.look(before)
        headers = headers_of(settings)
        if headers != headers_of(before):
            self._logger.warning("headers_changed", **headers, instance=settings.instance)

    def look(self, before: Settings) -> None:
        """Tell what is in force if it is not what was."""
        shown = in_force(self._settings, self._clock())
        if shown == self.shown:
            return
        self.shown = shown
        self._ledger.phase_changed(shown)
        self._metrics.phase_changed()
        self._logger.warning(
            "phase_changed",
            phase=self._settings.phase,
            before=before.phase,
            phases=shown,
            instance=self._settings.instance,
        )

    async def watch(self) -> None:
        """Look once a minute: an entry's ``until`` ends with its day."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look(self._settings)

    def _tell_metrics(self) -> None:
        settings = self._settings
        sunset = None if settings.sunset is None else settings.sunset.timestamp()
        self._metrics.phase(settings.phase, settings.replies, sunset)


def headers_of(settings: Settings) -> dict[str, Any]:
    """Return, JSON-ready, what the answers to the old call say in header fields."""
    sunset = None if settings.sunset is None else rfc3339(settings.sunset)
    return {
        "headers": not settings.no_headers,
        "deprecated_since": rfc3339(settings.deprecated_since),
        "sunset": sunset,
        "docs_url": settings.docs_url,
        "warning_header": settings.warning_header,
    }


def describe(live: Live, reload: Reload, caller: str | None) -> dict[str, Any]:
    """Return ``GET /phase``, JSON-ready: what applies now, to everyone or to ``caller``."""
    settings = reload.settings
    facts = live.policy.describe(caller)
    return {
        "phase": facts.pop("phase"),
        "replies": settings.replies,
        **headers_of(settings),
        **facts,
        "config": {
            "file": None if settings.config is None else str(settings.config),
            **reload.as_dict(),
        },
    }
