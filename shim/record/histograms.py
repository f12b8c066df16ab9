"""Histograms of durations that cost a look-up and an addition per value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily


class Times:
    """A histogram: how many values fell under each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many values fell under each bound, all bounds below included."""
        names = (*(str(bound) for bound in self.bounds), "+Inf")
        return list(zip(names, accumulate(self.counts), strict=True))


class Requests:
    """The count of one route, method and code, and the times of its route."""

    __slots__ = ("count", "overhead", "upstream")

    def __init__(self, overhead: Times, upstream: Times) -> None:
        self.count = 0
        self.overhead = overhead
        self.upstream = upstream


def histogram(name: str, text: str, routes: Mapping[str, Times]) -> HistogramMetricFamily:
    """Return a family with one histogram per route."""
    family = HistogramMetricFamily(name, text, labels=("route",))
    for route, times in routes.items():
        family.add_metric((route,), times.buckets(), times.sum)
    return family
