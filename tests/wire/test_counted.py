"""What is counted rather than kept: what came through, new calls, and what could not be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shim.ledger.evidence import REACHED, Evidence, Kind
from shim.ledger.log_lines import Lines, Source
from shim.ledger.reading import read_evidence, read_near_misses
from tests.support.client import Client, ask, request
from tests.support.origin import EMPTY, Connection, Origin, Received, answer, reply
from tests.support.running import Shim
from tests.support.waiting import wait_until

Start = Callable[..., Shim]
# What the handler's lane takes: the relay lane leaves what is not plain.
NOT_PLAIN = b"X-A:1"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def end(shim: Shim) -> None:
    shim.terminate()
    shim.wait(20)


def from_lines(shim: Shim, tmp_path: Path) -> Evidence:
    """What the log of a shim that has ended says."""
    shim.event("stopped")
    log = tmp_path / "shim.log"
    log.write_bytes(shim.stdout)
    with log.open("rb") as stream:
        return Lines().evidence([Source("shim.log", stream)])


def carried(evidence: Evidence) -> int:
    return sum(one.requests for one in evidence.traffic)


def counts(evidence: Evidence, kind: Kind) -> dict[Any, int]:
    return {
        (one.caller, one.mode, one.upstream_status, one.decision): one.count
        for one in evidence.sums
        if one.kind is kind
    }


@pytest.mark.parametrize("extra", [(), (NOT_PLAIN,)], ids=["relay lane", "handler lane"])
def test_what_came_through_is_counted_but_for_probes(
    extra: tuple[bytes, ...], ledger: Path, tmp_path: Path, own_origin: Origin, start: Start
) -> None:
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    asked = [
        *(("GET", target) for target in ("/health", "/v3/health?x=y", "/metrics", "/ready")),
        *(("HEAD", "/health"), ("HEAD", "/"), ("OPTIONS", "/v2/health")),
    ]
    counted = [
        *(("GET", "/services"), ("POST", "/query"), ("GET", "/health/x"), ("POST", "/health")),
        *(("DELETE", "/invocations/inv_1"), ("DELETE", "/invocations/inv_1?mode=bogus")),
        *(("PATCH", "/invocations/inv_1/kill"), ("POST", "/invocations/inv_1/kill")),
        *(("HEAD", "/services"), ("GET", "/"), ("GET", "/version")),
    ]
    with Client(shim.proxy) as client:
        for method, target in [*asked, *counted]:
            client.send(request(method, target, *extra))
            assert client.read(method).status
    end(shim)
    assert carried(read_evidence(ledger)) == len(counted)
    evidence = from_lines(shim, tmp_path)
    assert carried(evidence) == len(counted)
    assert shim.event("stopped")["requests"] == len(counted)


def test_what_fails_is_counted_too_and_what_could_not_be_read_is_not(
    ledger: Path, own_origin: Origin, start: Start
) -> None:
    shim = start("--ledger", str(ledger), upstream=own_origin.url)

    def hang(connection: Connection, _: Received) -> None:
        connection.gone.wait(10)

    own_origin.script = hang
    for target in ("/services", "/ui/invocations"):
        # One in each lane, whose caller leaves before the answer.
        with Client(shim.proxy) as client:
            client.send(request("GET", target))
            wait_until(
                lambda target=target: any(  # type: ignore[misc]
                    one.target == target.encode() for one in own_origin.requests
                )
            )
    own_origin.refuse()
    assert ask(shim.proxy, request("GET", "/services")).status == 502
    assert ask(shim.proxy, request("DELETE", "/invocations/x")).status == 502
    bad = b"POST /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"
    for data in (b"nonsense\r\n\r\n", bad, b"GET / HTTP/1.1\r\n\r\n"):
        assert ask(shim.proxy, data).status == 400
    end(shim)
    assert carried(read_evidence(ledger)) == 4


def test_a_kill_loses_the_last_second_of_it_at_most(
    ledger: Path, origin: Origin, start: Start
) -> None:
    shim = start("--ledger", str(ledger), upstream=origin.url)
    for _ in range(20):
        assert ask(shim.proxy, request("GET", "/services")).status == 200
    time.sleep(1.3)
    shim.process.kill()
    shim.process.wait()
    assert carried(read_evidence(ledger)) == 20


@pytest.mark.parametrize(
    ("status", "fields", "body", "reached"),
    [
        (200, (), b"", True),
        (202, (), b"", True),
        (409, (b"Content-Type: application/json",), b"{}", True),
        (404, (b"Content-Type: application/json",), b'{"message":"x"}', True),
        (404, (), b"", False),
        (404, (b"Content-Type: text/html",), b"x", False),
        (405, (b"Allow: GET",), b"", False),
        (400, (b"Content-Type: application/json",), b"{}", False),
        (503, (), b"", False),
    ],
)
def test_a_new_call_counts_as_one_where_a_handler_took_it(
    status: int,
    fields: tuple[bytes, ...],
    body: bytes,
    ledger: Path,
    tmp_path: Path,
    own_origin: Origin,
    start: Start,
    *,
    reached: bool,
) -> None:
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    own_origin.script = reply(answer(status, body, *fields))
    targets = (
        ("PATCH", "/invocations/inv_1/kill"),
        ("POST", "/v3/internal/invocations_batch_operations/kill"),
    )
    for method, target in targets:
        assert ask(shim.proxy, request(method, target)).status == status
    end(shim)
    decision = REACHED if reached else None
    evidence = read_evidence(ledger)
    (what,) = counts(evidence, Kind.REPLACEMENT_CALL).items()
    assert what == ((what[0][0], "kill", status, decision), 2)
    assert sum(day.count for day in evidence.days) == (2 if reached else 0)
    assert shim.event("replacement_endpoint_used")["reached"] is reached
    lines = from_lines(shim, tmp_path)
    assert [(one.decision, one.count) for one in lines.sums] == [(decision, 2)]


def test_plausible_mistakes_pass_as_they_are_and_are_on_record(
    ledger: Path, own_origin: Origin, start: Start
) -> None:
    own_origin.script = reply(answer(404, b"no"))
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    asked = {
        "no_mode_segment": ("PATCH", "/invocations/inv_1?mode=kill"),
        "no_id": ("DELETE", "/invocations?mode=kill"),
        "mode_spelling": ("PATCH", "/invocations/inv_1/KILL"),
        "wrong_prefix": ("POST", "/restate/invocations/inv_1/cancel"),
        "double_slash": ("DELETE", "//invocations/inv_1"),
        "trailing_slash": ("DELETE", "/invocations/inv_1/"),
        "singular": ("DELETE", "/v2/invocation/inv_1"),
    }
    for method, target in asked.values():
        answered = ask(shim.proxy, request(method, target))
        assert (answered.status, answered.body) == (404, b"no")
    assert [(one.method.decode(), one.target.decode()) for one in own_origin.requests] == [
        *asked.values()
    ]
    found = [(one["kind"], one["method"], one["target"]) for one in read_near_misses(ledger)]
    assert found == [(kind, *what) for kind, what in asked.items()]


LINE = b"DELETE /invocations/inv_1?mode=kill HTTP/1.1\r\n"
HOST = b"Host: a\r\n"
NAMED = HOST + b"User-Agent: old-script\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
OLD_CALLS = {
    "no Host": (LINE + b"User-Agent: old-script\r\n\r\n", 400, "old-script"),
    "two Hosts": (LINE + NAMED + HOST + b"\r\n", 400, "old-script"),
    "two lengths": (
        LINE + NAMED + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "old-script",
    ),
    "both framings": (LINE + NAMED + CHUNKED + b"Content-Length: 2\r\n\r\n", 400, "old-script"),
    "a bad chunk": (LINE + NAMED + CHUNKED + b"\r\nx\r\n", 400, "old-script"),
    "a folded field": (LINE + NAMED + b"X-A: 1\r\n 2\r\n\r\n", 400, "old-script"),
    "a bare LF behind": (LINE + NAMED + b"X-A: 1\n\r\n", 400, "old-script"),
    "bare LFs": ((LINE + NAMED + b"\r\n").replace(b"\r\n", b"\n"), 400, None),
    "another version": (LINE.replace(b"1.1", b"2.0") + NAMED + b"\r\n", 400, "old-script"),
    "much white space": (LINE.replace(b" ", b"  ") + NAMED + b"\r\n", 400, "old-script"),
    "a bad authority": (
        LINE.replace(b" /", b" http://u@a:9070/") + NAMED + b"\r\n",
        400,
        "old-script",
    ),
    "a head that is too large": (
        LINE + NAMED + b"X-Large: " + b"x" * 70_000 + b"\r\n\r\n",
        431,
        "old-script",
    ),
    "a body that is too large": (LINE + NAMED + b"Content-Length: 2000\r\n\r\n", 413, "old-script"),
    "a chunk that is too large": (
        LINE + NAMED + CHUNKED + b"\r\n7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n",
        413,
        "old-script",
    ),
    "a head that is too slow": (LINE + NAMED, 408, "old-script"),
    "a line behind which nothing comes": (LINE, 408, None),
    "a body that is too slow": (LINE + NAMED + b"Content-Length: 10\r\n\r\n", 408, "old-script"),
}
UNREADABLE = {
    "what is not quite the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n\n", 400),
    "half the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\n", 408),
    "a greeting of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "nonsense": (b"nonsense\r\n\r\n", 400),
    "half a line": (b"DELETE /invocations/inv_1", 408),
    "no version": (b"DELETE /invocations/inv_1\r\n\r\n", 400),
    "a target that is too large": (b"DELETE /invocations/" + b"x" * 70_000, 431),
    "a NUL in the target": (b"DELETE /invocations/\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
}
STRICT = (
    "--max-body",
    "1000",
    "--head-timeout",
    "1s",
    "--body-timeout",
    "1s",
    "--client-timeout",
    "1s",
)


@pytest.mark.parametrize(("data", "status", "caller"), OLD_CALLS.values(), ids=OLD_CALLS)
def test_an_old_call_is_on_record_whatever_it_is_refused_for(
    data: bytes,
    status: int,
    caller: str | None,
    ledger: Path,
    own_origin: Origin,
    start: Start,
) -> None:
    shim = start("--ledger", str(ledger), *STRICT, upstream=own_origin.url)
    with Client(shim.proxy) as client:
        client.send_what_is_taken(data)
        assert client.read("DELETE").status == status
    use = shim.use("inv_1")
    assert (use["decision"], use["status"], use["mode"]) == ("invalid", status, "kill")
    assert (use["caller"], use["user_agent"]) == (caller or "127.0.0.1", caller)
    end(shim)
    evidence = read_evidence(ledger)
    assert {(one.kind, one.count) for one in evidence.sums} == {(Kind.USE, 1)}
    assert not own_origin.requests
    assert not any(event["event"] == "handler_failed" for event in shim.events)


@pytest.mark.parametrize(("data", "status"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_counted_by_its_address(
    data: bytes, status: int, ledger: Path, tmp_path: Path, own_origin: Origin, start: Start
) -> None:
    shim = start("--ledger", str(ledger), *STRICT, upstream=own_origin.url)
    for _ in range(3):
        with Client(shim.proxy) as client:
            client.send_what_is_taken(data)
            assert client.read().status == status
    end(shim)
    for evidence in (read_evidence(ledger), from_lines(shim, tmp_path)):
        assert counts(evidence, Kind.UNREADABLE) == {("127.0.0.1", None, None, None): 3}
        assert len(evidence.sums) == 1
        assert carried(evidence) == 0


def test_a_call_that_is_none_of_ours_is_neither_where_its_line_could_be_read(
    ledger: Path, tmp_path: Path, own_origin: Origin, start: Start
) -> None:
    shim = start("--ledger", str(ledger), upstream=own_origin.url)
    for line in (b"GET /services HTTP/1.1\r\n\r\n", b"DELETE /deployments/x HTTP/1.1\r\n\r\n"):
        assert ask(shim.proxy, line).status == 400
    refused = shim.event("request_refused")
    assert "unreadable" not in refused
    end(shim)
    assert read_evidence(ledger).sums == from_lines(shim, tmp_path).sums == []


def test_an_old_call_on_a_connection_that_is_one_too_many_is_on_record(
    ledger: Path, own_origin: Origin, start: Start
) -> None:
    shim = start("--ledger", str(ledger), "--max-connections", "1", upstream=own_origin.url)
    own_origin.script = reply(EMPTY)
    with Client(shim.proxy) as first:
        assert first.ask(request()).status == 200
        for target in ("/invocations/inv_1?mode=purge", "/services"):
            with Client(shim.proxy) as second:
                second.send(request("DELETE", target))
                assert second.read("DELETE").status == 503
        use = shim.use("inv_1")
    assert (use["decision"], use["status"], use["mode"]) == ("invalid", 503, "purge")
    end(shim)
    assert [one.kind for one in read_evidence(ledger).sums] == [Kind.USE]
