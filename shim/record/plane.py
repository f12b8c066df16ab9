"""The record put together: what one shim logs, counts and keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import uuid_utils
from prometheus_client import CollectorRegistry

from shim import __version__
from shim.clocks import Witness
from shim.ledger import events
from shim.ledger.evidence import LOG_BEAT
from shim.ledger.ledger import Ledger, LedgerState
from shim.record.incidents import Incidents
from shim.record.log import LineWriter, Logger
from shim.record.metrics import Metrics
from shim.record.recorder import Recorder
from shim.settings.declared import Settings


def utc_now() -> datetime:
    """Return the time: the clock of production."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return an id: UUIDv7, which sort by time (RFC 9562 section 5.7)."""
    return str(uuid_utils.uuid7())


class RecordPlane:
    """Log, ledger and metrics, and what tells each of them what happened."""

    def __init__(
        self,
        settings: Settings,
        logger: Logger,
        writer: LineWriter,
        *,
        clock: Callable[[], datetime] = utc_now,
        ids: Callable[[], str] = new_id,
    ) -> None:
        self.logger = logger
        self.clock = clock
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.metrics.build(__version__)
        self.witness = Witness(clock, logger)
        self.ledger = Ledger(
            settings.ledger,
            instance=settings.instance,
            clock=clock,
            on_change=self._ledger_changed,
            retain=settings.retain,
            witness=self.witness,
            fleet_url=settings.fleet,
        )
        self.recorder = Recorder(
            logger, self.ledger, self.metrics, clock=clock, new_id=ids, instance=settings.instance
        )
        self.incidents = Incidents(logger, self.ledger, self.metrics, instance=settings.instance)
        self._writer = writer
        self._instance = settings.instance
        # What tells this process in the log from another of its name.
        self._run = ids()
        self._serving = False
        self._ledger_was_ok = True

    @property
    def log_lines_dropped(self) -> int:
        """How many lines of the log were lost."""
        return self._writer.dropped

    def start(self) -> None:
        """Begin to write to the ledger."""
        self.ledger.start()

    def serving(self, **facts: object) -> None:
        """Say that the shim serves from now on: the first sign of its life in the log."""
        self._serving = True
        self.logger.info(
            events.LISTENING, **facts, instance=self._instance, run=self._run, version=__version__
        )

    async def beat(self) -> None:
        """Say regularly that the shim is up: silence in the log is then evidence.

        Not while the clock is in doubt: what the log says of the time is not evidence then.
        """
        while True:
            await asyncio.sleep(LOG_BEAT.total_seconds())
            self._tell_sums()
            if self.witness.agrees:
                self._sign(events.HEARTBEAT)

    async def finish(self) -> None:
        """Write what there is to write, and say what could not be; then the log ends."""
        self._tell_sums()
        await self.ledger.close()
        if lost := self.ledger.state().queued:
            self.logger.error(
                "uses_not_in_ledger",
                count=lost,
                hint="the next shim reads back what its journal holds; "
                "restate-shim import brings all of them back from these lines",
                instance=self._instance,
            )
        if self._serving:
            self._sign(events.STOPPED)

    def _sign(self, event: str) -> None:
        requests = self.recorder.take_carried()
        self.logger.info(event, instance=self._instance, run=self._run, requests=requests)

    def _tell_sums(self) -> None:
        self.incidents.tell_sums()
        self.recorder.tell_sums()

    def _ledger_changed(self, state: LedgerState) -> None:
        if self._ledger_was_ok and not state.ok:
            self.metrics.ledger_error()
        self._ledger_was_ok = state.ok
        fleet = {} if state.fleet_ok is None else {"fleet_ok": state.fleet_ok}
        if state.ok and state.fleet_ok is not False and not state.dropped:
            self.logger.info("ledger_recording", **fleet)
        else:
            self.logger.error(
                "ledger_not_recording" if not state.ok else "ledger_impaired",
                error=state.error or state.fleet_error,
                queued=state.queued,
                dropped=state.dropped,
                **fleet,
            )
