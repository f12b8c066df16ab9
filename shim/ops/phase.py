"""What is in force: told when it changes, and to whoever asks."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from shim.ledger import events
from shim.moments import rfc3339
from shim.proxy.plane import ProxyPlane
from shim.record.plane import RecordPlane
from shim.route.policy import phases_in_words
from shim.settings.declared import Settings
from shim.settings.reload import Reload

_LOOK_SECONDS: Final = 60.0


class PhaseWatch:
    """Tells log, ledger and metrics of every other phase: by the settings, and by the calendar."""

    def __init__(self, record: RecordPlane, proxy: ProxyPlane, reload: Reload) -> None:
        self._record = record
        self._proxy = proxy
        self._reload = reload
        self.shown = phases_in_words(reload.settings.terms, record.clock())
        self._tell_metrics(reload.settings)

    def start(self) -> None:
        """Tell the ledger in what phase this process begins."""
        self._record.ledger.phase_changed(self.shown)

    def changed(self, settings: Settings, before: Settings) -> None:
        """Take note of other settings."""
        self._tell_metrics(settings)
        self._look(settings, before)
        headers = headers_of(settings)
        if headers != headers_of(before):
            self._record.logger.warning("headers_changed", **headers, instance=settings.instance)

    async def watch(self) -> None:
        """Look once a minute: an entry's ``until`` ends with its day."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            settings = self._reload.settings
            self._look(settings, settings)

    def describe(self, caller: str | None) -> dict[str, Any]:
        """Return ``GET /phase``, JSON-ready: what applies now, to everyone or to ``caller``."""
        settings, live = self._reload.settings, self._proxy.live
        facts = live.policy.describe(caller)
        return {
            "phase": facts.pop("phase"),
            "replies": settings.replies,
            **headers_of(settings),
            **facts,
            "config": {
                "file": None if settings.config is None else str(settings.config),
                **self._reload.as_dict(),
            },
        }

    def _look(self, settings: Settings, before: Settings) -> None:
        """Tell what is in force if it is not what was."""
        shown = phases_in_words(settings.terms, self._record.clock())
        if shown == self.shown:
            return
        self.shown = shown
        self._record.ledger.phase_changed(shown)
        self._record.metrics.phase_changed()
        self._record.logger.warning(
            events.PHASE,
            phase=settings.phase,
            before=before.phase,
            phases=shown,
            instance=settings.instance,
        )

    def _tell_metrics(self, settings: Settings) -> None:
        sunset = None if settings.sunset is None else settings.sunset.timestamp()
        self._record.metrics.phase(settings.phase, settings.replies, sunset)


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
