"""Dashboards and alerts go by the text: names, help, labels, order, and the zeros at the start."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from shim.record.metrics import Metrics
from tests.support.numbers import numbers

EXPECTED = Path(__file__).with_name("exposition.txt")


def text_of(registry: CollectorRegistry) -> str:
    lines = generate_latest(registry).decode().splitlines(keepends=True)
    return "".join(line for line in lines if "process_" not in line)


def test_the_text_of_all_metrics_is_what_it_was() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.numbers = numbers
    for route in ("pass_through", "deprecated", "near_miss", "replacement", "refused"):
        metrics.request(route, "GET", 200, 0.0001, 0.002)
    metrics.request("pass_through", "BREW", 418, 0.3, 0.0)
    metrics.request("unreadable", "other", 400, None, 0.0)
    metrics.deprecated("kill", "translated", 404, 1_764_000_000.5)
    metrics.announced()
    metrics.would_refuse()
    metrics.phase_changed()
    metrics.upstream_error("connect")
    metrics.ledger_error()
    metrics.callers({("active", "ci"): 2, ("quiet", ""): 1, ("migrated", ""): 0}, {"ci": 12})
    metrics.build("1.0.0")
    metrics.phase("translate", "legacy", 1_800_000_000.0)
    assert text_of(registry) == EXPECTED.read_text()


def test_at_the_start_the_families_are_there_with_their_zeros() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    text = text_of(registry)
    values = [line.rpartition(" ")[2] for line in text.splitlines() if not line.startswith("#")]
    assert (set(values), len(values)) == ({"0.0"}, 43)
    assert text.count("# TYPE") == 9
