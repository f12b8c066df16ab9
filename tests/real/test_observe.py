"""Phase `observe` before real servers: every byte is as it is without a shim."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.client import Client, request
from tests.support.real import MALFORMED, UNKNOWN, Real, invocations
from tests.support.running import Shim

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

STATES = [
    *("running", "completed", "scheduled", "pending", "suspended", "backing-off", "paused"),
    *("unknown", "malformed"),
]
MODES = ["", "?mode=cancel", "?mode=Kill", "?mode=purge"]
BAD = ["?mode=KILL", "?mode=", "?mode", "?mode=kill&mode=kill", "?mode=%ff", "?a=b&mode=%6bill"]
# What two answers of one server to the same call differ in by themselves.
VARIES = re.compile(rb"(?mi)^date: [^\r]*|inv_[0-9A-Za-z]{20,}")


@pytest.fixture(scope="module")
def observing(real: Real) -> Iterator[Shim]:
    with (
        tempfile.TemporaryDirectory(prefix="shim-real-") as name,
        Shim(
            *("--ledger", f"{name}/ledger.db", "--phase", "observe"), upstream=real.restate.admin
        ) as shim,
    ):
        yield shim


def bytes_of(url: str, message: bytes, method: str) -> bytes:
    with Client(url) as client:
        client.send(message)
        client.read(method)
        return VARIES.sub(b"*", bytes(client.reader.seen))


def delete(target: str, *fields: bytes) -> bytes:
    return request("DELETE", target, b"User-Agent: observed", *fields)


@pytest.mark.parametrize("prefix", ["", "/v2", "/v9"])
def test_old_calls_get_the_same_bytes_whatever_they_are_about(
    real: Real, observing: Shim, prefix: str
) -> None:
    cases = [(state, query) for state in STATES for query in MODES]
    ids = invocations(real.restate, [state for state, _ in cases] * 2)
    for (state, query), direct_id, observed_id in zip(
        cases, ids[: len(cases)], ids[len(cases) :], strict=True
    ):
        direct, observed = (
            bytes_of(url, delete(f"{prefix}/invocations/{one}{query}"), "DELETE")
            for url, one in ((real.restate.admin, direct_id), (observing.proxy, observed_id))
        )
        assert observed == direct, (state, query)
        assert direct.startswith(b"HTTP/1.1 "), (state, query)
    uses = observing.uses_by("observed", len(cases))
    assert {use["decision"] for use in uses} == {"observed"}


@pytest.mark.parametrize("coding", [b"identity", b"gzip"])
@pytest.mark.parametrize("query", BAD)
def test_calls_that_the_server_cannot_read_get_its_own_words(
    real: Real, observing: Shim, query: str, coding: bytes
) -> None:
    message = delete(f"/invocations/{UNKNOWN}{query}", b"Accept-Encoding: " + coding)
    direct = bytes_of(real.restate.admin, message, "DELETE")
    assert bytes_of(observing.proxy, message, "DELETE") == direct


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PATCH", f"/invocations/{UNKNOWN}/kill"),
        ("PATCH", f"/invocations/{MALFORMED}/kill"),
        ("PUT", f"/invocations/{UNKNOWN}/kill"),
        ("DELETE", f"/invocations/{UNKNOWN}/"),
        ("DELETE", f"//invocations/{UNKNOWN}"),
        ("DELETE", f"/Invocations/{UNKNOWN}"),
        ("DELETE", f"/v1/invocations/{UNKNOWN}"),
        ("GET", f"/invocations/{UNKNOWN}"),
        ("GET", "/deployments"),
        ("GET", "/nothing"),
        ("HEAD", "/health"),
        ("OPTIONS", "/services"),
    ],
)
def test_everything_else_gets_the_same_bytes_too(
    real: Real, observing: Shim, method: str, target: str
) -> None:
    message = request(method, target)
    direct = bytes_of(real.restate.admin, message, method)
    assert bytes_of(observing.proxy, message, method) == direct
