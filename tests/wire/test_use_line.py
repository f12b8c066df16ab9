"""The line that records a use: every field, before the answer, and no secret in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from tests.support.client import Client, ask, request
from tests.support.origin import Origin, answer, reply
from tests.support.running import Shim
from tests.support.tokens import SIGNATURE, jwt

FIELDS = {
    "id", "timestamp", "caller", "caller_source", "user_agent", "client_address", "request_id",
    "trace_id", "target", "api_version", "invocation_id", "mode", "mode_given", "phase",
    "decision", "replacement", "upstream_status", "status", "masked", "duration_ms", "error",
    "instance", "version",
}  # fmt: skip


def test_it_has_every_field(client: Client, origin: Origin, shim: Shim) -> None:
    """With the values of this call."""
    data = request(
        "DELETE", "/v3/invocations/inv_line?mode=Kill&token=hush",
        b"User-Agent: restate-cli/1.4.0 linux-x86_64", b"X-Request-Id: req-7",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"X-Client-Id: ci-7",
    )  # fmt: skip
    assert client.ask(data).status == 202
    use = shim.use("inv_line")
    assert set(use) >= FIELDS
    assert UUID(use["id"]).version == 7
    when = datetime.fromisoformat(use["timestamp"])
    assert when.utcoffset() == timedelta(0)
    assert abs((datetime.now(when.tzinfo) - when).total_seconds()) < 10
    assert isinstance(use["duration_ms"], int | float)
    assert 0 <= use["duration_ms"] < 5000
    assert use["instance"]
    assert use["version"]
    assert use["client_address"].startswith("127.0.0.1")
    assert "hush" not in use["target"]
    assert use["target"].startswith("/v3/invocations/inv_line?mode=Kill")
    expected = {
        "caller": "ci-7",
        "user_agent": "restate-cli/1.4.0 linux-x86_64",
        "request_id": "req-7",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "api_version": "v3",
        "invocation_id": "inv_line",
        "mode": "kill",
        "mode_given": "Kill",
        "phase": "translate",
        "decision": "translated",
        "replacement": "PATCH /v3/invocations/inv_line/kill",
        "upstream_status": 200,
        "status": 202,
        "masked": False,
        "error": None,
    }
    assert {key: use[key] for key in expected} == expected


def test_each_request_on_a_connection_says_anew_who_makes_it(
    client: Client, origin: Origin, shim: Shim
) -> None:
    """A gateway's connection carries the calls of many, one after the other, and of one again."""
    names = ["first", "second", "first", "first"]
    for number, name in enumerate(names):
        fields = (b"X-Client-Id: " + name.encode(), b"Authorization: Bearer of-" + name.encode())
        got = client.ask(request("DELETE", f"/invocations/inv_shared_{number}", *fields))
        assert got.status == 202
        assert shim.use(f"inv_shared_{number}")["caller"] == name
        sent = origin.request(count=number + 1)
        assert sent.values(b"authorization") == [b"Bearer of-" + name.encode()]


@pytest.mark.parametrize(
    ("status", "masked"), [(200, False), (202, False), (404, True), (409, True)]
)
def test_it_says_what_upstream_really_said(
    status: int, masked: bool, client: Client, origin: Origin, shim: Shim
) -> None:
    """`masked`: told 202 where the new endpoint says 404 or 409."""
    body = b'{"message":"no","restate_code":null}' if status > 400 else b""
    origin.script = reply(answer(status, body, b"content-type: application/json"))
    client.ask(request("DELETE", f"/invocations/inv_masked_{status}"))
    use = shim.use(f"inv_masked_{status}")
    assert (use["upstream_status"], use["status"], use["masked"]) == (status, 202, masked)
    assert (use["mode"], use["mode_given"]) == ("cancel", None)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_call_that_upstream_refused_is_a_use_too(
    status: int, client: Client, origin: Origin, shim: Shim
) -> None:
    """Somebody still sends it."""
    origin.script = reply(answer(status))
    client.ask(request("DELETE", f"/invocations/inv_refused_{status}"))
    use = shim.use(f"inv_refused_{status}")
    assert (use["upstream_status"], use["status"], use["masked"]) == (status, status, False)


def test_an_invalid_call_is_recorded(client: Client, origin: Origin, shim: Shim) -> None:
    """As a use that came to nothing, and as a near miss."""
    assert client.ask(request("DELETE", "/invocations/inv_invalid?mode=KILL")).status == 400
    use = shim.use("inv_invalid")
    assert (use["decision"], use["status"]) == ("invalid", 400)
    assert (use["mode"], use["mode_given"]) == (None, "KILL")
    assert "unknown variant `KILL`" in use["error"]
    miss = shim.event("migration_near_miss", where=lambda event: "inv_invalid" in event["target"])
    assert (miss["kind"], miss["method"], miss["status"]) == ("bad_mode", "DELETE", 400)


def test_it_is_written_before_the_answer_leaves(client: Client, origin: Origin, shim: Shim) -> None:
    """Nobody has an answer that was not recorded."""
    for number in range(50):
        client.ask(request("DELETE", f"/invocations/inv_before_{number}"))
        shim.use(f"inv_before_{number}", within=0.1)


def test_there_is_one_line_per_use(client: Client, origin: Origin, shim: Shim) -> None:
    """Each with its own id."""
    for _ in range(20):
        client.ask(request("DELETE", "/invocations/inv_same"))
    client.ask(request("DELETE", "/invocations/inv_same_last"))
    shim.use("inv_same_last")
    uses = [event for event in shim.events if event.get("invocation_id") == "inv_same"]
    assert len({use["id"] for use in uses}) == len(uses) == 20


XFCC = b"By=spiffe://mesh/shim;Hash=abc;URI=spiffe://mesh/ns/batch/sa/cleaner"


@pytest.mark.parametrize(
    ("name", "fields", "caller", "source"),
    [
        ("header", [b"X-Client-Id: ci-1", b"User-Agent: curl/8"], "ci-1", "header"),
        (
            "xfcc",
            [b"X-Forwarded-Client-Cert: " + XFCC],
            "spiffe://mesh/ns/batch/sa/cleaner",
            "xfcc",
        ),
        ("jwt", [b"Authorization: Bearer " + jwt({"sub": "team-a"})], "team-a", "jwt"),
        ("agent", [b"User-Agent: curl/8.5.0"], "curl/8.5.0", "user-agent"),
        ("address", [], "127.0.0.1", "address"),
    ],
)
def test_the_caller_is_named_by_the_first_source_there_is(
    name: str,
    fields: list[bytes],
    caller: str,
    source: str,
    client: Client,
    origin: Origin,
    shim: Shim,
) -> None:
    """The default chain of `--caller`."""
    client.ask(request("DELETE", f"/invocations/inv_by_{name}", *fields))
    use = shim.use(f"inv_by_{name}")
    assert (use["caller"], use["caller_source"].split(":")[0]) == (caller, source)


SECRETS = {
    "a bearer token": ["/invocations/inv_s", b"Authorization: Bearer tok.S3CRET.sig"],
    "a JWT": [
        "/invocations/inv_s",
        b"Authorization: Bearer " + jwt({"sub": "me", "key": "S3CRET"}),
    ],
    "a password": ["/invocations/inv_s", b"Authorization: Basic dXNlcjpTM0NSRVQ="],
    "a cookie": ["/invocations/inv_s", b"Cookie: session=S3CRET"],
    "an API key": ["/invocations/inv_s", b"X-Api-Key: S3CRET"],
    "a query value": ["/invocations/inv_s?mode=kill&api_key=S3CRET&S3=1", b"X-A: 1"],
    "a bare query": ["/invocations/inv_s?mode=kill&=S3CRET", b"X-A: 1"],
    "userinfo": ["http://user:S3CRET@admin.test/invocations/inv_s", b"X-A: 1"],
    "a near miss": ["/invocations/inv_s/b?key=S3CRET", b"Authorization: Bearer S3CRET"],
    "a bad mode": ["/invocations/inv_s?mode=KILL&key=S3CRET", b"Authorization: Bearer S3CRET"],
    "another route": ["/deployments/S?key=S3CRET", b"Authorization: Bearer S3CRET"],
    "a proxy's": ["/invocations/inv_s", b"Proxy-Authorization: Basic S3CRET"],
}


@pytest.mark.parametrize("case", SECRETS)
def test_no_secret_is_written(case: str, shim: Shim, origin: Origin) -> None:
    """Neither on stdout nor on stderr, whatever it was."""
    target, field = SECRETS[case]
    assert isinstance(target, str)
    assert isinstance(field, bytes)
    ask(shim.proxy, request("DELETE", target, field))
    ask(shim.proxy, request("DELETE", "/invocations/inv_after_secret_" + re.sub(r"\W", "_", case)))
    shim.use("inv_after_secret_" + re.sub(r"\W", "_", case))
    for secret in (b"S3CRET", b"dXNlcjpTM0NSRVQ", SIGNATURE):
        assert secret not in shim.stdout
        assert secret not in shim.stderr


@pytest.mark.parametrize(
    "field",
    [
        b"User-Agent: caf\xe9\xff",
        b"X-Client-Id: " + b"x" * 50000,
        b'X-Client-Id: "},{"event":"forged',
        "X-Client-Id: ☃\u2028".encode(),
    ],
    ids=["latin", "long", "quotes", "unicode"],
)
def test_odd_values_make_one_line_of_json(
    field: bytes, client: Client, origin: Origin, shim: Shim, request: pytest.FixtureRequest
) -> None:
    """Whatever a caller calls itself."""
    name = "inv_odd_" + request.node.callspec.id
    head = b"DELETE /invocations/" + name.encode() + b" HTTP/1.1\r\nHost: a\r\n"
    assert client.ask(head + field + b"\r\n\r\n").status == 202
    use = shim.use(name)
    assert len(json.dumps(use)) < 20000
    for line in shim.lines:
        assert isinstance(json.loads(line), dict)


def test_calls_to_the_new_endpoints_are_told_in_sums_and_no_later_than_the_end(
    origin: Origin, start: Callable[..., Shim]
) -> None:
    shim = start(upstream=origin.url)
    for caller, times in ((b"ci-7", 3), (b"ops", 1)):
        for _ in range(times):
            call = request("PATCH", "/invocations/inv_1/kill", b"X-Client-Id: %s" % caller)
            assert ask(shim.proxy, call).status == 200
    shim.process.terminate()
    shim.event("stopped")
    told = [event for event in shim.events if event["event"] == "replacement_endpoint_used"]
    assert {(one["caller"], one["mode"], one["status"], one["count"]) for one in told} == {
        ("ci-7", "kill", 200, 3),
        ("ops", "kill", 200, 1),
    }
    assert len({one["id"] for one in told}) == 2
    assert all(one["caller_source"] == "header:x-client-id" for one in told)
