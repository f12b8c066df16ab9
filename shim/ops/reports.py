"""The reports that a running shim makes of what it records: read once for all who ask at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shim.ledger.errors import LedgerError
from shim.ledger.evidence import Evidence
from shim.ledger.ledger import Ledger
from shim.ledger.reading import read_evidence
from shim.report.address_names import AddressNamesError, read_address_names
from shim.report.asked import DEFAULT_WINDOW, Asked
from shim.report.build import build_report
from shim.report.model import Report
from shim.settings.reload import Reload

_FRESH_SECONDS: Final = 1.0


class Reports:
    """Reads the fleet, or the ledger of this shim, in a thread, and makes reports of it."""

    def __init__(self, ledger: Ledger, reload: Reload, *, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self.source: Final = reload.settings.record or ledger.source
        """What is read."""
        self._reload = reload
        self._clock = clock
        self._lock = asyncio.Lock()
        self._reports: dict[timedelta, Report] = {}
        self._read_at = -math.inf
        self._evidence = Evidence()

    async def report(self, window: timedelta = DEFAULT_WINDOW) -> Report:
        """Return a report that is at most a second old; raise ``LedgerError``."""
        async with self._lock:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._evidence = await asyncio.to_thread(self._read, self.source)
                self._read_at = time.monotonic()
                self._reports.clear()
            if window not in self._reports:
                self._reports[window] = await asyncio.to_thread(self._build, self._evidence, window)
            return self._reports[window]

    def _read(self, source: Path | str, since: datetime | None = None) -> Evidence:
        state = self._ledger.state()
        evidence = read_evidence(source, since, waiting=self._ledger.waiting())
        unwritten = [*evidence.unwritten]
        if not state.ok or state.fleet_ok is False:
            # As fresh as its last heartbeat, the record does not show yet that it has stopped.
            unwritten.append(self._clock())
        # Looked at last: what was lost while it was read is not in it.
        if (lost := self._ledger.state().last_lost) is not None:
            unwritten.append(lost)
        return replace(evidence, unwritten=unwritten)

    def _build(
        self,
        evidence: Evidence,
        window: timedelta = DEFAULT_WINDOW,
        *,
        since: datetime | None = None,
        owner: str | None = None,
    ) -> Report:
        settings = self._reload.settings
        names: Mapping[str, str] = {}
        problems = []
        try:
            # Each time anew: pods come and go.
            names = read_address_names(settings.address_names)
        except AddressNamesError as error:
            problems.append(f"Addresses have no names: {error}.")
        shown = None if since is None else self._read(self.source, since)
        asked = Asked(
            now=self._clock(),
            window=window,
            since=since,
            owner=owner,
            entries=settings.callers,
            instances=settings.instances,
            sunset=settings.sunset,
            address_names=names,
        )
        report = build_report(evidence, asked, shown=shown)
        return replace(report, warnings=(*report.warnings, *problems))

    def now(self) -> datetime:
        """Return the time that reports are made at."""
        return self._clock()

    def part(
        self,
        window: timedelta = DEFAULT_WINDOW,
        *,
        since: datetime | None = None,
        owner: str | None = None,
    ) -> Report:
        """Return a part of the report that was read last; it takes a while."""
        return self._build(self._evidence, window, since=since, owner=owner)

    def of_own_ledger(self) -> Report:
        """Return what this shim alone knows, where the whole record cannot be read."""
        try:
            return self._build(self._read(self._ledger.source))
        except LedgerError:
            return self._build(Evidence())
