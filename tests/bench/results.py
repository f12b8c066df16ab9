"""What came out, as it is written to results.json."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.load import Latency


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of all rounds, and the ends."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Iterable[float]) -> Spread:
        found = list(values)
        return Spread(statistics.median(found), min(found), max(found))


@dataclass(frozen=True, slots=True)
class Sample:
    """One proxy, one scenario, one round.

    ``cpu`` is µs per request or ms per GiB, ``rate`` requests or MiB a second, ``busy`` the share
    of its core that the proxy used: well below 1, and something else was the limit of ``rate``.
    """

    rate: float
    cpu: float | None = None
    busy: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(slots=True)
class Measured:
    """A scenario with its samples, by proxy."""

    name: str
    title: str
    kind: str  # calls, stream
    clients: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def spread(self, proxy: str, what: str) -> Spread | None:
        found = [getattr(sample, what) for sample in self.samples.get(proxy, ())]
        return Spread.of(found) if found and None not in found else None

    def cpu(self, proxy: str) -> float | None:
        spread = self.spread(proxy, "cpu")
        return spread.median if spread else None

    def ratio(self, proxy: str, other: str) -> float | None:
        ours, theirs = self.cpu(proxy), self.cpu(other)
        return ours / theirs if ours is not None and theirs else None


@dataclass(frozen=True, slots=True)
class Resident:
    """MiB, over all processes of a proxy."""

    started: float
    after: float
    peak: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many old calls were answered, and of how many there is a line."""

    answered: int
    lines: int


@dataclass(slots=True)
class Results:
    """All of it."""

    when: str
    quick: bool
    rounds: int
    seconds: int
    stream_mib: int
    machine: dict[str, str]
    cores: str
    versions: dict[str, str]
    missing: dict[str, str]
    why: dict[str, str]
    scenarios: list[Measured] = field(default_factory=list)
    memory: dict[str, Resident] = field(default_factory=dict)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    one_after_another: dict[str, Latency] = field(default_factory=dict)
    real: dict[str, Latency] = field(default_factory=dict)
    shim: dict[str, Spread] = field(default_factory=dict)

    def holes(self, proxies: Iterable[str]) -> list[str]:
        """Return where a figure is missing or cannot be."""
        return [
            f"{proxy} {measured.name}"
            for measured in self.scenarios
            for proxy in proxies
            if not measured.cpu(proxy) and not (measured.kind == "h2" and measured.samples)
        ]

    def as_json(self) -> dict[str, Any]:
        """Return everything, and the medians of each scenario beside its samples."""
        found = asdict(self)
        for measured, written in zip(self.scenarios, found["scenarios"], strict=True):
            written["spread"] = {
                proxy: {
                    what: asdict(spread)
                    for what in ("cpu", "rate", "busy", "p50_ms", "p99_ms")
                    if (spread := measured.spread(proxy, what))
                }
                for proxy in measured.samples
            }
            written["ratio"] = {
                other: {
                    proxy: ratio
                    for proxy in measured.samples
                    if (ratio := measured.ratio(proxy, other)) is not None
                }
                for other in ("haproxy", "envoy")
                if other in measured.samples
            }
        return found


def flatness(costs: list[float]) -> float:
    """Return how far costs are from the middle between the least and the most of them, in parts."""
    return (max(costs) - min(costs)) / (max(costs) + min(costs))
