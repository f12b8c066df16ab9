"""What happened, told once: to the log, the ledger and the metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shim import __version__
from shim.ledger import events
from shim.ledger.ledger import Ledger
from shim.ledger.records import (
    OTHER,
    UNCLEAR,
    Decision,
    NearMiss,
    ReplacementCall,
    Use,
    encode,
)
from shim.record.log import Logger
from shim.record.metrics import METHODS, Metrics
from shim.record.outcome import Outcome
from shim.route.caller import Identity
from shim.route.meaning import Meaning, Miss, Mode, NewCall, OldCall, near_miss_of, redact_target
from shim.route.policy import Ruling
from shim.route.probes import is_probe
from shim.route.text import bounded, printable

_ROUTES: Final = {
    type(None): "pass_through",
    Miss: "near_miss",
    NewCall: "replacement",
    OldCall: "deprecated",
}
_METHOD_NAMES: Final = {name.encode(): name for name in METHODS}
# Callers with calls of one kind that are summed by themselves until the next lines.
_MOST_SUMS: Final = 1000


class Recorder:
    """Turns what the data plane saw into records.  Clock, ids and instance are injected."""

    def __init__(
        self,
        logger: Logger,
        ledger: Ledger,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        instance: str,
    ) -> None:
        self._logger = logger
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._new_id = new_id
        self._instance = instance
        self._carried = 0
        self._replacement_calls: Counter[tuple[str, str, Mode, int, bool]] = Counter()

    async def use(
        self,
        identity: Identity,
        call: OldCall,
        target: bytes,
        ruling: Ruling,
        outcome: Outcome,
        *,
        elapsed: float,
    ) -> None:
        """Record a call to the old route; ``elapsed`` is in seconds.  Return once it is kept."""
        began = time.perf_counter()
        use = Use(
            **self._alike(identity),
            target=bounded(redact_target(target)),
            api_version=call.api_version and bounded(call.api_version),
            invocation_id=bounded(printable(call.invocation_id)),
            mode=call.mode,
            mode_given=call.mode_given and bounded(call.mode_given),
            phase=ruling.phase,
            decision=outcome.decision,
            replacement=bounded(call.replacement),
            upstream_status=outcome.upstream_status,
            status=outcome.status,
            masked=outcome.masked,
            duration_ms=round(elapsed * 1000, 3),
            error=outcome.error and bounded(outcome.error),
            would_refuse=ruling.would_refuse,
            announced=outcome.announced,
        )
        line = encode(use)
        self._logger.info(events.USE, encoded=line)
        self._metrics.deprecated(
            use.mode or UNCLEAR, use.decision, use.upstream_status, use.timestamp.timestamp()
        )
        if outcome.announced:
            self._metrics.announced()
        if use.would_refuse:
            self._metrics.would_refuse()
        await self._ledger.append(use, line)
        near_miss = near_miss_of(call)
        if near_miss is not None:
            await self.near_miss(identity, near_miss, b"DELETE", target, outcome.status)
        refused = outcome.decision is Decision.REFUSED
        # A caller waits for its record too.  Waiting for what never came was not the shim's doing.
        told = refused or outcome.upstream_status is not None
        recording = time.perf_counter() - began
        self._metrics.request(
            "refused" if refused else "deprecated",
            "DELETE",
            outcome.status,
            elapsed - outcome.upstream_seconds + recording if told else None,
            outcome.upstream_seconds,
        )

    async def near_miss(
        self,
        identity: Identity,
        near_miss: Miss,
        method: bytes,
        target: bytes,
        status: int,
    ) -> None:
        """Record a call that missed both routes, whose caller got ``status``."""
        record = NearMiss(
            **self._alike(identity),
            method=bounded(printable(method)),
            target=bounded(redact_target(target)),
            kind=near_miss.kind,
            hint=bounded(near_miss.hint),
            status=status,
        )
        line = encode(record)
        self._logger.info(events.NEAR_MISS, encoded=line)
        await self._ledger.append(record, line)

    def _alike(self, identity: Identity) -> dict[str, Any]:
        """Return what a use and a near miss say alike: which, when, whose, and who saw it."""
        return {
            "id": self._new_id(),
            "timestamp": self._clock(),
            **identity._asdict(),
            "instance": self._instance,
            "version": __version__,
        }

    def replacement_call(
        self, identity: Identity, mode: Mode, status: int, *, reached: bool
    ) -> None:
        """Count a call that somebody made to a new endpoint; ``reached`` if a handler took it.

        These are as many as callers like; the log gets their sums, with :meth:`tell_sums`.
        """
        call = ReplacementCall(
            timestamp=self._clock(),
            caller=identity.caller,
            caller_source=identity.caller_source,
            mode=mode,
            status=status,
            reached=reached,
            instance=self._instance,
        )
        self._ledger.count(call)
        key = (identity.caller, identity.caller_source, mode, status, reached)
        if len(self._replacement_calls) >= _MOST_SUMS and key not in self._replacement_calls:
            key = (OTHER, "", mode, status, reached)
        self._replacement_calls[key] += 1

    def tell_sums(self) -> None:
        """Log how many calls to the new endpoints there were since the last time."""
        sums, self._replacement_calls = self._replacement_calls, Counter()
        for (caller, caller_source, mode, status, reached), count in sums.items():
            self._logger.info(
                events.REPLACEMENT,
                id=self._new_id(),
                caller=caller,
                caller_source=caller_source,
                mode=mode,
                status=status,
                reached=reached,
                count=count,
                instance=self._instance,
                version=__version__,
            )

    def carried(self, request: bytes) -> None:
        """Count a request that was answered or failed, unless it is a probe.

        ``request`` begins with its method and target and the white space behind each.
        """
        if not is_probe(request):
            self._carried += 1
            self._ledger.carried()

    def take_carried(self) -> int:
        """Return how many requests besides probes there were since the last time."""
        carried, self._carried = self._carried, 0
        return carried

    def request(
        self,
        meaning: Meaning,
        method: bytes,
        status: int,
        elapsed: float,
        upstream_seconds: float,
    ) -> None:
        """Count a request that passed through; times are in seconds."""
        self._metrics.request(
            _ROUTES[type(meaning)],
            method.decode("latin-1"),
            status,
            elapsed - upstream_seconds,
            upstream_seconds,
        )

    def relayed(self, method: bytes, status: int, overhead: float, upstream_seconds: float) -> None:
        """Count a request that was relayed as it came; times are in seconds."""
        name = _METHOD_NAMES.get(method) or method.decode("latin-1")
        self._metrics.request("pass_through", name, status, overhead, upstream_seconds)

    def unanswered(self, meaning: Meaning, method: bytes, status: int) -> None:
        """Count a request that the shim answered in upstream's place: it failed, or was not asked.

        How much of the time the shim itself took is not known then.
        """
        self._metrics.request(_ROUTES[type(meaning)], method.decode("latin-1"), status, None, 0.0)

    def malformed(self, status: int) -> None:
        """Count a request that was refused because its borders are not certain."""
        self._metrics.malformed(status)
