"""What `/metrics` of a running shim says after some traffic."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import __version__
from tests.support.client import Client, ask, request
from tests.support.metrics import Samples, of, samples
from tests.support.origin import Connection, Origin, Received, answer, hang, reply
from tests.support.running import Shim
from tests.support.waiting import wait_until


def scrape(shim: Shim) -> Samples:
    return samples(ask(shim.ops, request("GET", "/metrics")).body.decode())


def wait_for(shim: Shim, name: str, **labels: str) -> Samples:
    """The first scrape that has this sample: the record is counted beside the traffic."""

    def found() -> Samples | None:
        samples = scrape(shim)
        return None if of(samples, name, **labels) is None else samples

    samples = wait_until(found, said=lambda: f"no {name} in {scrape(shim)}")
    assert samples is not None
    return samples


def test_every_family_has_its_values(own_origin: Origin, start: Callable[..., Shim]) -> None:
    """After one call of each kind, one that failed and one that could not be read."""
    shim = start("--sunset", "2031-01-01", "--upstream-timeout", "300ms", upstream=own_origin.url)
    ask(shim.proxy, request("DELETE", "/invocations/inv_1?mode=kill"))
    ask(shim.proxy, request("PATCH", "/invocations/inv_1/kill"))
    ask(shim.proxy, request("POST", "/invocations/inv_1/kill"))
    ask(shim.proxy, request("GET", "/version"))
    ask(shim.proxy, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    own_origin.script = hang
    assert ask(shim.proxy, request("GET", "/slow")).status == 504
    assert ask(shim.proxy, request("DELETE", "/invocations/inv_2")).status == 504
    # It is written a few times a second.
    wait_until(lambda: of(scrape(shim), "ledger_written_total") == 3)
    samples = wait_for(shim, "deprecated_callers", state="active", owner="")

    def requests(route: str, method: str, code: int) -> float | None:
        return of(samples, "requests_total", route=route, method=method, code=str(code))

    assert requests("deprecated", "DELETE", 202) == 1
    assert requests("deprecated", "DELETE", 504) == 1
    assert requests("replacement", "PATCH", 200) == 1
    assert requests("near_miss", "POST", 200) == 1
    assert requests("pass_through", "GET", 200) == 1
    assert requests("pass_through", "GET", 504) == 1
    assert requests("unreadable", "other", 400) == 1
    # What upstream did not answer says nothing about the shim's share of the time.
    assert of(samples, "overhead_seconds_count", route="deprecated") == 1
    assert of(samples, "overhead_seconds_count", route="pass_through") == 1
    assert 0 < (of(samples, "overhead_seconds_sum", route="deprecated") or 0) < 0.3
    assert (of(samples, "upstream_seconds_sum", route="pass_through") or 0) > 0
    translated = {"mode": "kill", "decision": "translated", "upstream_status": "200"}
    assert of(samples, "deprecated_requests_total", **translated) == 1
    last = of(samples, "deprecated_last_used_timestamp_seconds")
    assert last is not None
    assert abs(time.time() - last) < 30
    assert of(samples, "deprecated_callers", state="quiet", owner="") == 0
    assert of(samples, "sunset_timestamp_seconds") == 1924992000
    assert of(samples, "upstream_errors_total", kind="timeout") == 2
    assert (of(samples, "upstream_connections_opened_total") or 0) > 0
    assert of(samples, "upstream_connections", state="busy") == 0
    assert of(samples, "upstream_connections", state="idle") is not None
    assert of(samples, "in_flight_requests") == 0
    assert of(samples, "ledger_recording") == 1
    assert (of(samples, "ledger_commit_seconds") or 0) > 0
    for none_yet in ("ledger_queue_records", "ledger_dropped_total", "ledger_errors_total"):
        assert of(samples, none_yet) == 0, none_yet
    assert of(samples, "log_lines_dropped_total") == 0
    assert of(samples, "draining") == 0
    assert of(samples, "phase_info", phase="translate", replies="legacy") == 1
    assert of(samples, "config_loaded") == 1
    assert of(samples, "deprecation_headers_total") == 1
    assert of(samples, "dry_run_refusals_total") == 0
    assert of(samples, "phase_changes_total") == 0
    assert of(samples, "build_info", version=__version__) == 1
    assert not any(name == "deprecated_caller_uses" for name, _ in samples)
    assert not any(name.startswith("fleet") for name, _ in samples)


def test_the_last_use_and_the_callers_outlive_a_restart(
    own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
) -> None:
    """They are on record; the counters begin anew."""
    own_origin.script = reply(answer(200))
    flags = ("--ledger", str(tmp_path / "ledger.db"), "--metrics-callers", "1")
    before = start(*flags, upstream=own_origin.url)
    for caller in (b"ci", b"ci", b"laptop"):
        ask(before.proxy, request("DELETE", "/invocations/inv_1", b"X-Client-Id: " + caller))
    before.terminate()
    assert before.wait(5) == 0
    after = start(*flags, upstream=own_origin.url)
    samples = wait_for(after, "deprecated_callers", state="active", owner="")
    assert of(samples, "deprecated_callers", state="active", owner="") == 2
    assert of(samples, "deprecated_caller_uses", caller="ci") == 2
    assert of(samples, "deprecated_caller_uses", caller="laptop") is None
    assert of(samples, "deprecated_last_used_timestamp_seconds") is not None


def test_a_ledger_that_stops_recording_is_counted_once(
    own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
) -> None:
    """However long it does not."""
    shim = start("--ledger", str(tmp_path / "none" / "none" / "x.db"), upstream=own_origin.url)
    for _ in range(3):
        ask(shim.proxy, request("DELETE", "/invocations/inv_1"))
    samples = scrape(shim)
    assert of(samples, "ledger_errors_total") == 1
    assert of(samples, "ledger_recording") == 0
    assert of(samples, "ledger_queue_records") == 3


@pytest.mark.parametrize("pieces", ["one", "many"])
def test_the_time_that_upstream_took_is_its_own_in_either_lane(
    pieces: str, own_origin: Origin, start: Callable[..., Shim]
) -> None:
    # Where an answer came in pieces, its time was counted from when the handler took over.
    shim = start(upstream=own_origin.url)
    said = answer(200, b"x" * 100)

    def script(connection: Connection, received: Received) -> None:
        connection.read_body(received)
        time.sleep(0.2)
        connection.drip(said, size=len(said) if pieces == "one" else 50, pause=0.01)

    own_origin.script = script
    with Client(shim.proxy) as client:
        for _ in range(3):
            assert client.ask(request("GET", "/slow")).status == 200
    samples = wait_for(shim, "upstream_seconds_sum", route="pass_through")
    took = of(samples, "upstream_seconds_sum", route="pass_through") or 0
    added = of(samples, "overhead_seconds_sum", route="pass_through") or 0
    assert 0.6 <= took < 1.2
    assert 0 < added < 0.3


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        (b"DELETE /invocations/inv_1?mode=kill", {"route": "deprecated", "method": "DELETE"}),
        (b"POST /query", {"route": "unreadable", "method": "other"}),
    ],
    ids=["deprecated", "passed through"],
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_request_whose_body_breaks_counts_once(
    line: bytes,
    counted: dict[str, str],
    own_origin: Origin,
    start: Callable[..., Shim],
    *,
    in_pieces: bool,
) -> None:
    # An old call whose first read held a bad chunk was counted as unreadable too.
    shim = start(upstream=own_origin.url)
    head = line + b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = [b"2\r\nab\r\n", b"zz\r\n"]
    with Client(shim.proxy) as client:
        for piece in (head, *body) if in_pieces else [head + b"".join(body)]:
            client.send(piece)
        assert client.read().status == 400
    samples = wait_for(shim, "requests_total", **counted, code="400")
    assert sum(value for (name, _), value in samples.items() if name == "requests_total") == 1
