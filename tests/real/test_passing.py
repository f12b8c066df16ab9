"""What is not the old call passes as it is, compressed or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shim.demo.http import Response, call
from shim.ledger.evidence import REACHED
from shim.ledger.reading import read_evidence
from tests.support.metrics import of, samples
from tests.support.real import UNKNOWN, Real
from tests.support.running import Shim

pytestmark = pytest.mark.real


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, br;q=0.5, *;q=0.1"])
def test_a_caller_that_takes_compressed_answers_gets_the_same_202(coding: str, real: Real) -> None:
    # The server compresses its 404 when asked to, and a compressed 404 looks like the router's.
    target = f"/invocations/{UNKNOWN}?mode=kill"
    answer = call(real.shim.proxy, "DELETE", target, headers={"Accept-Encoding": coding})
    assert (answer.status, answer.body) == (202, b"")
    assert answer.headers["x-restate-shim-upstream-status"] == "404"


def test_upstream_says_the_time_and_it_is_ours(real: Real) -> None:
    call(real.shim.proxy, "GET", "/health")
    found = samples(call(real.shim.ops, "GET", "/metrics").body.decode())
    offset = of(found, "clock_offset_seconds")
    assert offset is not None
    # Dates have whole seconds.
    assert -2 < offset < 2


def content(answer: Response) -> object:
    """The body; as JSON, because the server's maps are in another order each time."""
    if (
        answer.body
        and answer.content_type == "application/json"
        and not answer.headers.get("content-encoding")
    ):
        return json.loads(answer.body)
    return answer.body


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/version", None),
        ("GET", "/health", None),
        ("GET", "/openapi", None),
        ("GET", "/v3/deployments", None),
        ("HEAD", "/openapi", None),
        ("GET", "/nothing", None),
        ("OPTIONS", "/services", None),
        ("POST", "/query", {"query": "select 1 as one"}),
        ("POST", "/query", {"query": "select nonsense"}),
        ("PATCH", f"/invocations/{UNKNOWN}/kill", None),
        ("PUT", f"/invocations/{UNKNOWN}/kill", None),
        ("GET", "/ui/", None),
    ],
)
@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_everything_else_passes_as_it_is(
    method: str, target: str, body: object, coding: str, real: Real
) -> None:
    headers = {"Accept": "application/json", "Accept-Encoding": coding}
    direct, through = (
        call(base, method, target, body=body, headers=headers)
        for base in (real.restate.admin, real.shim.proxy)
    )
    assert through.status == direct.status
    hidden = {"date"}
    if direct.headers.get("content-encoding"):
        # How long a compressed map is depends on its order.
        hidden.add("content-length")
    else:
        assert content(through) == content(direct)
    assert {n: v for n, v in through.headers.items() if n not in hidden} == {
        n: v for n, v in direct.headers.items() if n not in hidden
    }


def test_new_calls_count_as_ones_that_reached_a_handler_where_one_answered(
    real: Real, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.db"
    batch = "/internal/invocations_batch_operations"
    asked = [
        ("PATCH", f"/invocations/{UNKNOWN}/cancel", None, 404),
        ("POST", f"{batch}/kill", {"invocation_ids": [UNKNOWN]}, 200),
        # No such version: it is the router that says so.
        ("PATCH", f"/v9/invocations/{UNKNOWN}/purge", None, 404),
    ]
    with Shim("--ledger", str(ledger), upstream=real.restate.admin) as shim:
        for method, target, body, status in asked:
            assert call(shim.proxy, method, target, body=body).status == status
    evidence = read_evidence(ledger)
    assert {(one.mode, one.upstream_status, one.decision) for one in evidence.sums} == {
        ("cancel", 404, REACHED),
        ("kill", 200, REACHED),
        ("purge", 404, None),
    }
    assert sum(one.requests for one in evidence.traffic) == 3
