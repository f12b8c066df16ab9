"""What it costs to count one request: ``python -m tests.bench.counting`` prints µs."""

from __future__ import annotations

import timeit
from typing import Final

from prometheus_client import CollectorRegistry

from shim.record.metrics import Metrics

_CALLS: Final = 10_000


def counting() -> float:
    """Return µs."""
    metrics = Metrics(CollectorRegistry())
    calls = timeit.repeat(
        lambda: metrics.request("pass_through", "GET", 200, 0.00003, 0.0004),
        number=_CALLS,
        repeat=5,
    )
    return min(calls) / _CALLS * 1e6


if __name__ == "__main__":
    print(counting())
