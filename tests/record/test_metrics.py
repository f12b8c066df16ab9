from __future__ import annotations

import subprocess
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from shim.record.metrics import Metrics
from tests.support.numbers import LEDGER, numbers
from tests.support.tools import tool

_ROUTES = ("pass_through", "deprecated", "near_miss", "replacement", "refused")


def _full() -> CollectorRegistry:
    """Return a registry in which every family has a sample."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.numbers = numbers
    for route in _ROUTES:
        metrics.request(route, "GET", 200, 0.0001, 0.002)
    metrics.deprecated("kill", "translated", 404, 1_764_000_000.5)
    metrics.upstream_error("connect")
    metrics.ledger_error()
    metrics.callers({("active", "ci"): 2, ("quiet", ""): 1, ("migrated", ""): 0}, {"ci": 12})
    metrics.build("1.0.0")
    metrics.phase("translate", "legacy", 1_800_000_000.0)
    return registry


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_requests_are_counted_by_route_method_and_code() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for code in (200, 200, 404):
        metrics.request("pass_through", "GET", code, 0.0001, 0.002)
    name = "restate_shim_requests_total"
    assert _value(registry, name, route="pass_through", method="GET", code="200") == 2
    assert _value(registry, name, route="pass_through", method="GET", code="404") == 1


def test_methods_that_nobody_knows_are_one_series_and_are_not_remembered() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.request("pass_through", "M", 200, 0.0001, 0.002)
    tracemalloc.start()
    for number in range(10_000):
        metrics.request("pass_through", f"M{number}", 200, 0.0001, 0.002)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    name = "restate_shim_requests_total"
    assert _value(registry, name, route="pass_through", method="other", code="200") == 10_001
    # The names alone would take half a million bytes.
    assert kept < 50_000


def test_overhead_and_upstream_time_are_told_apart() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.request("deprecated", "DELETE", 202, 0.00004, 0.3)
    metrics.request("deprecated", "DELETE", 202, 0.2, 0.3)
    overhead = "restate_shim_overhead_seconds_bucket"
    assert _value(registry, overhead, route="deprecated", le="2.5e-05") == 0
    assert _value(registry, overhead, route="deprecated", le="5e-05") == 1
    assert _value(registry, overhead, route="deprecated", le="0.1") == 1
    assert _value(registry, overhead, route="deprecated", le="+Inf") == 2
    sums = _value(registry, "restate_shim_upstream_seconds_sum", route="deprecated")
    assert sums == pytest.approx(0.6)


def test_a_refused_call_has_no_upstream_time() -> None:
    registry = CollectorRegistry()
    Metrics(registry).request("refused", "DELETE", 405, 0.0001, 0.0)
    assert _value(registry, "restate_shim_upstream_seconds_count", route="refused") == 0
    assert _value(registry, "restate_shim_overhead_seconds_count", route="refused") == 1


@given(st.lists(st.floats(min_value=0, max_value=1000), max_size=30))
def test_buckets_hold_every_time_at_or_under_their_bound(times: list[float]) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for seconds in times:
        metrics.request("pass_through", "GET", 200, seconds, 0.0)
    for family in registry.collect():
        if family.name == "restate_shim_overhead_seconds":
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    bound = float(sample.labels["le"])
                    assert sample.value == sum(seconds <= bound for seconds in times)


def test_a_use_counts_and_moves_the_time_of_the_last_use_forward_only() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    last = "restate_shim_deprecated_last_used_timestamp_seconds"
    assert _value(registry, last) is None
    metrics.deprecated("kill", "refused", None, 200.0)
    metrics.last_used(100.0)
    assert _value(registry, last) == 200.0
    name = "restate_shim_deprecated_requests_total"
    labels = {"mode": "kill", "decision": "refused", "upstream_status": "none"}
    assert _value(registry, name, **labels) == 1


@pytest.mark.parametrize(
    ("mode", "decision", "status"),
    [
        ("kill", "translated", "404"),
        ("cancel", "fell_back", "202"),
        ("purge", "refused", "none"),
        ("invalid", "invalid", "400"),
    ],
)
def test_the_first_use_of_all_is_an_increase(mode: str, decision: str, status: str) -> None:
    # A series that appears at 1 has no increase(), so that its alert would stay silent.
    registry = CollectorRegistry()
    Metrics(registry)
    labels = {"mode": mode, "decision": decision, "upstream_status": status}
    assert _value(registry, "restate_shim_deprecated_requests_total", **labels) == 0


def test_upstream_errors_start_at_zero_and_count_by_kind() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.upstream_error("timeout")
    name = "restate_shim_upstream_errors_total"
    assert _value(registry, name, kind="timeout") == 1
    assert _value(registry, name, kind="connect") == 0


def test_what_others_keep_is_read_when_scraped() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.numbers = numbers
    name = "restate_shim_ledger_queue_records"
    assert _value(registry, name) == 3
    metrics.numbers = lambda: numbers(replace(LEDGER, queued=11, ok=False))
    assert _value(registry, name) == 11
    assert _value(registry, "restate_shim_ledger_recording") == 0
    assert _value(registry, "restate_shim_upstream_connections", state="busy") == 2
    assert _value(registry, "restate_shim_in_flight_requests") == 5
    assert _value(registry, "restate_shim_log_lines_dropped_total") == 6


def test_no_caller_is_named_unless_asked() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.callers({("active", ""): 2})
    assert b"caller_uses" not in generate_latest(registry)
    metrics.callers({("active", ""): 2}, {'a"\n': 3})
    assert _value(registry, "restate_shim_deprecated_caller_uses", caller='a"\n') == 3
    families = text_string_to_metric_families(generate_latest(registry).decode())
    assert any(family.name == "restate_shim_deprecated_caller_uses" for family in families)


def test_what_is_not_known_yet_is_left_out() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    text = generate_latest(registry).decode()
    for absent in ("callers{", "last_used", "sunset", "ledger", "draining", "_info{"):
        assert f"restate_shim_deprecated_{absent}" not in text
        assert f"restate_shim_{absent}" not in text


def test_promtool_finds_nothing_to_complain_about() -> None:
    done = subprocess.run(
        [tool("promtool", "Debian prometheus"), "check", "metrics"],
        input=generate_latest(_full()),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
