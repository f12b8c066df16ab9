"""The numbers on ``/metrics`` as families: their names, help and labels, in order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from shim.ledger.ledger import LedgerState
from shim.upstream.pool import PoolStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What the parts of the shim count themselves, at one moment."""

    in_flight: int
    upstream_up: bool
    draining: bool
    connections: int
    upstream_connections: PoolStats
    ledger: LedgerState
    log_lines_dropped: int
    config_ok: bool
    clock_offset: float | None


class Times:
    """A histogram: how many values fell under each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Series:
    """The count of one route, method and code, and the times of its route."""

    __slots__ = ("count", "overhead", "upstream")

    def __init__(self, overhead: Times, upstream: Times) -> None:
        self.count = 0
        self.overhead = overhead
        self.upstream = upstream


@dataclass(slots=True)
class Counts:
    """What has been told: counted as it happened, or set when it changed."""

    requests: dict[tuple[str, str, int], Series] = field(default_factory=dict)
    overhead: dict[str, Times] = field(default_factory=dict)
    upstream: dict[str, Times] = field(default_factory=dict)
    uses: dict[tuple[str, str, int | None], int] = field(default_factory=dict)
    last_used: float | None = None
    announced: int = 0
    would_refuse: int = 0
    phase_changes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    ledger_errors: int = 0
    callers: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    busiest: Mapping[str, int] = field(default_factory=dict)
    build: Mapping[str, str] = field(default_factory=dict)
    phase: Mapping[str, str] = field(default_factory=dict)
    sunset: float | None = None


def families(counts: Counts, numbers: Numbers | None) -> Iterable[Metric]:
    """Yield every family; what nobody has told or can tell yet is left out."""
    yield from _of_requests(counts)
    if numbers is not None:
        yield _gauge("restate_shim_in_flight_requests", "Requests under way.", numbers.in_flight)
        yield _gauge("restate_shim_connections", "Connections from callers.", numbers.connections)
    yield _counter(
        "restate_shim_connections_refused",
        "Connections from callers that were one too many, by limit.",
        {(limit,): count for limit, count in counts.refused.items()},
        "limit",
    )
    yield from _of_the_old_route(counts)
    yield _counter(
        "restate_shim_upstream_errors",
        "Exchanges with upstream that failed, by kind.",
        {(kind,): count for kind, count in counts.errors.items()},
        "kind",
    )
    if numbers is not None:
        yield _gauge(
            "restate_shim_upstream_up",
            "1 while an upstream answers, or takes connections, else 0.",
            numbers.upstream_up,
        )
        yield from _of_pool(numbers.upstream_connections)
        yield from _of_the_ledger(numbers.ledger, counts.ledger_errors)
        yield from _of_the_process(numbers)
    if counts.phase:
        yield _info("restate_shim_phase_info", "What is in force.", counts.phase)
    if counts.build:
        yield _info("restate_shim_build_info", "What runs.", counts.build)


def _of_requests(counts: Counts) -> Iterable[Metric]:
    yield _counter(
        "restate_shim_requests",
        "Requests answered on the proxy port, by what they meant.",
        {(*key, str(code)): series.count for (*key, code), series in counts.requests.items()},
        *("route", "method", "code"),
    )
    yield _histogram(
        "restate_shim_overhead_seconds",
        "Time that the shim added before the answer began, without upstream's.",
        counts.overhead,
    )
    yield _histogram(
        "restate_shim_upstream_seconds", "Time until upstream's answer began.", counts.upstream
    )


def _of_the_old_route(counts: Counts) -> Iterable[Metric]:
    yield _counter(
        "restate_shim_deprecated_requests",
        "Calls to DELETE /invocations/{invocation_id}, by what was done with them.",
        {
            (mode, decision, "none" if status is None else str(status)): count
            for (mode, decision, status), count in counts.uses.items()
        },
        *("mode", "decision", "upstream_status"),
    )
    yield _counter(
        "restate_shim_deprecation_headers",
        "Answers that carried Deprecation, Sunset and Link.",
        counts.announced,
    )
    yield _counter(
        "restate_shim_dry_run_refusals",
        "Calls that were served and would have been refused without --dry-run.",
        counts.would_refuse,
    )
    yield _counter(
        "restate_shim_phase_changes",
        "Times that another phase came into force, for all callers or for some.",
        counts.phase_changes,
    )
    if counts.last_used is not None:
        yield _gauge(
            "restate_shim_deprecated_last_used_timestamp_seconds",
            "When the deprecated route was last used.",
            counts.last_used,
        )
    if counts.callers:
        yield _gauge(
            "restate_shim_deprecated_callers",
            "Callers of the deprecated route that are known, by state and owner.",
            counts.callers,
            *("state", "owner"),
        )
    if counts.busiest:
        yield _gauge(
            "restate_shim_deprecated_caller_uses",
            "Uses on record of the busiest callers (--metrics-callers).",
            {(caller,): count for caller, count in counts.busiest.items()},
            "caller",
        )
    if counts.sunset is not None:
        yield _gauge(
            "restate_shim_sunset_timestamp_seconds",
            "When the deprecated route is to go (--sunset).",
            counts.sunset,
        )


def _of_pool(pool: PoolStats) -> Iterable[Metric]:
    yield _gauge(
        "restate_shim_upstream_connections",
        "Connections to upstream, by state.",
        {("idle",): pool.idle, ("busy",): pool.busy},
        "state",
    )
    yield _counter(
        "restate_shim_upstream_connections_opened",
        "Connections to upstream that were opened.",
        pool.opened,
    )
    yield _gauge(
        "restate_shim_upstream_waiting_requests",
        "Requests that wait for a connection to upstream (--max-upstream-connections).",
        pool.waiting,
    )


def _of_the_ledger(state: LedgerState, errors: int) -> Iterable[Metric]:
    yield _gauge(
        "restate_shim_ledger_recording", "1 while records reach the disk, else 0.", state.ok
    )
    yield _gauge(
        "restate_shim_ledger_queue_records", "Records that wait to be written.", state.queued
    )
    yield _counter("restate_shim_ledger_written", "Records written.", state.written)
    yield _counter("restate_shim_ledger_dropped", "Records lost.", state.dropped)
    yield _counter("restate_shim_ledger_errors", "Times that the ledger stopped recording.", errors)
    if state.last_commit_seconds is not None:
        yield _gauge(
            "restate_shim_ledger_commit_seconds",
            "How long the last commit took.",
            state.last_commit_seconds,
        )
    if state.fleet_ok is not None:
        yield _gauge(
            "restate_shim_fleet_connected",
            "1 while the fleet takes records, else 0.",
            state.fleet_ok,
        )
    if state.fleet_unsent is not None:
        yield _gauge(
            "restate_shim_fleet_unsent_records",
            "Records that the fleet has yet to get.",
            state.fleet_unsent,
        )


def _of_the_process(numbers: Numbers) -> Iterable[Metric]:
    yield _counter(
        "restate_shim_log_lines_dropped",
        "Log lines that nobody read in time.",
        numbers.log_lines_dropped,
    )
    yield _gauge("restate_shim_draining", "1 from SIGTERM on, else 0.", numbers.draining)
    if numbers.clock_offset is not None:
        yield _gauge(
            "restate_shim_clock_offset_seconds",
            "How far upstream's clock is ahead of the shim's, when it was last heard.",
            numbers.clock_offset,
        )
    yield _gauge(
        "restate_shim_config_loaded",
        "1 while the settings' file, as it is now, is in force, else 0.",
        numbers.config_ok,
    )


# By the values of their labels, or one number without any.
_Values = Mapping[tuple[str, ...], float] | float


def _counter(name: str, text: str, values: _Values, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=labels), values)


def _gauge(name: str, text: str, values: _Values, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), values)


def _info(name: str, text: str, labels: Mapping[str, str]) -> Metric:
    return _gauge(name, text, {tuple(labels.values()): 1}, *labels)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: _Values) -> Metric:
    for labels, value in (values if isinstance(values, Mapping) else {(): values}).items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, text: str, routes: Mapping[str, Times]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=("route",))
    for route, times in routes.items():
        bounds = (*map(str, times.bounds), "+Inf")
        buckets = list(zip(bounds, accumulate(times.counts), strict=True))
        family.add_metric((route,), buckets, times.sum)
    return family
