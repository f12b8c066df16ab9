"""The numbers on ``/metrics``, by Prometheus' rules for names, units and cardinality.

The event loop is the only writer, so the counts are plain integers that a collector reads when it
is scraped: a request costs 0.3 µs here, and 1.6 µs by prometheus_client's own counters, which take
a lock each.  Every label takes its values from a fixed set, except the names of the busiest
callers, which are there only where they were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from shim.ledger.records import UNCLEAR, Decision
from shim.record.exposition import Counts, Numbers, Series, Times, families
from shim.route.meaning import Mode
from shim.upstream.errors import Failure

METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
)
OVERHEAD_BOUNDS: Final = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
)
UPSTREAM_BOUNDS: Final = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
MAX_CONNECTIONS: Final = "max_connections"
MAX_PER_ADDRESS: Final = "max_connections_per_address"
# The answers that are to be expected.  A series that appears at 1 has no increase, so that the
# first use of all, which matters most, would raise no alert: these are there from the start, at 0.
_EXPECTED_USES: Final = (
    *((mode, Decision.TRANSLATED, status) for mode in Mode for status in (200, 202, 404, 409)),
    *((mode, Decision.OBSERVED, 202) for mode in Mode),
    *((mode, Decision.FELL_BACK, 202) for mode in Mode),
    *((mode, decision, None) for mode in Mode for decision in (Decision.REFUSED, Decision.FAILED)),
    *((mode, Decision.INVALID, 400) for mode in (*Mode, UNCLEAR)),
)


class Metrics(Collector):
    """Everything the shim counts, registered with ``registry``.

    All times are in seconds, all timestamps in seconds since 1970.  ``numbers`` is asked when
    somebody scrapes.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.numbers: Callable[[], Numbers] | None = None
        self._counts = Counts(
            uses=dict.fromkeys(_EXPECTED_USES, 0),
            errors=dict.fromkeys(get_args(Failure), 0),
            refused=dict.fromkeys((MAX_CONNECTIONS, MAX_PER_ADDRESS), 0),
        )
        # Looked into for each request.
        self._requests = self._counts.requests
        registry.register(self)
        ProcessCollector(registry=registry)

    # What is told as it happens

    def request(
        self, route: str, method: str, code: int, overhead: float | None, upstream: float
    ) -> None:
        """Count an answered request; ``upstream`` is 0 where upstream was not asked.

        ``overhead`` is ``None`` where the shim's own share of the time is not known.
        """
        series = self._requests.get((route, method, code))
        if series is None:
            series = self._series(route, method, code)
        series.count += 1
        if overhead is not None:
            series.overhead.add(overhead)
        if upstream:
            series.upstream.add(upstream)

    def malformed(self, code: int) -> None:
        """Count a request whose borders were not certain, and which was refused with ``code``."""
        self.request("unreadable", "other", code, None, 0.0)

    def deprecated(self, mode: str, decision: str, upstream_status: int | None, at: float) -> None:
        """Count a use of the deprecated route, made ``at``."""
        key = (mode, decision, upstream_status)
        self._counts.uses[key] = self._counts.uses.get(key, 0) + 1
        self.last_used(at)

    def announced(self) -> None:
        """Count an answer that told its caller, in header fields, that the route goes."""
        self._counts.announced += 1

    def would_refuse(self) -> None:
        """Count a call that was served in a dry run and would have been refused."""
        self._counts.would_refuse += 1

    def phase_changed(self) -> None:
        """Count that another phase came into force, for all callers or for some."""
        self._counts.phase_changes += 1

    def last_used(self, at: float) -> None:
        """Note a use without counting it: the ledger knows of those before the start."""
        if self._counts.last_used is None or at > self._counts.last_used:
            self._counts.last_used = at

    def upstream_error(self, kind: str) -> None:
        """Count an exchange that failed."""
        self._counts.errors[kind] = self._counts.errors.get(kind, 0) + 1

    def connection_refused(self, limit: str) -> None:
        """Count a caller's connection that was one too many, by the setting that says so."""
        self._counts.refused[limit] += 1

    def ledger_error(self) -> None:
        """Count that the ledger went from recording to not recording."""
        self._counts.ledger_errors += 1

    # What is told when it changes

    def callers(
        self, callers: Mapping[tuple[str, ...], int], busiest: Mapping[str, int] | None = None
    ) -> None:
        """Set how many callers there are by state and owner, and the uses of those to be named."""
        self._counts.callers = callers
        self._counts.busiest = busiest or {}

    def build(self, version: str) -> None:
        """Set the version."""
        self._counts.build = {"version": version}

    def phase(self, phase: str, replies: str, sunset: float | None = None) -> None:
        """Set the phase and replies in force, and when the old route is to go."""
        self._counts.phase = {"phase": phase, "replies": replies}
        self._counts.sunset = sunset

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not scrape parts that are not there yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return every family; what nobody has told or can tell yet is left out."""
        return families(self._counts, None if self.numbers is None else self.numbers())

    def _series(self, route: str, method: str, code: int) -> Series:
        # A method that nobody knows is looked up here each time: remembering it would let
        # callers fill the memory.
        key = (route, method if method in METHODS else "other", code)
        series = self._requests.get(key)
        if series is None:
            overhead = self._counts.overhead.setdefault(route, Times(OVERHEAD_BOUNDS))
            upstream = self._counts.upstream.setdefault(route, Times(UPSTREAM_BOUNDS))
            series = self._requests[key] = Series(overhead, upstream)
        return series
