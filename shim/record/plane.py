"""The record put together: what one shim logs, counts and keeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import uuid_utils
from prometheus_client import CollectorRegistry

from shim import __version__
from shim.clocks import Witness
from shim.ledger.ledger import Ledger, LedgerState
from shim.record.log import LineWriter, Logger
from shim.record.metrics import Metrics
from shim.record.recorder import Recorder, beat
from shim.settings.declared import Settings


def utc_now() -> datetime:
    """Return the time: the clock of production."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return an id: UUIDv7, which sort by time (RFC 9562 section 5.7)."""
    return str(uuid_utils.uuid7())


class RecordPlane:
    """Log, ledger and metrics, and the recorder that tells each of them what happened."""

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
        self.run = ids()
        """What tells this process in the log from another of its name."""
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
        self._writer = writer
        self._instance = settings.instance
        self._ledger_was_ok = True

    @property
    def log_lines_dropped(self) -> int:
        """How many lines of the log were lost."""
        return self._writer.dropped

    def start(self) -> None:
        """Begin to write to the ledger."""
        self.ledger.start()

    async def beat(self) -> None:
        """Say regularly that the shim is up, until cancelled."""
        await beat(self.recorder, self.logger, self._instance, self.run, self.witness)

    async def finish(self) -> None:
        """Write what there is to write, and say what could not be."""
        self.recorder.tell_sums()
        await self.ledger.close()
        if lost := self.ledger.state().queued:
            self.logger.error(
                "uses_not_in_ledger",
                count=lost,
                hint="the next shim reads back what its journal holds; "
                "restate-shim import brings all of them back from these lines",
                instance=self._instance,
            )

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
