"""Odd targets: what the server says to them directly, the shim's caller hears word for word."""

from __future__ import annotations

from typing import Final

import pytest

from shim.demo.http import call
from tests.support.real import UNKNOWN, Real

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PATH: Final = f"/invocations/{UNKNOWN}"
TARGETS: Final = {
    "bad mode": f"{PATH}?mode=stop",
    "upper-case mode": f"{PATH}?mode=KILL",
    "empty mode": f"{PATH}?mode=",
    "bare mode": f"{PATH}?mode",
    "the same mode twice": f"{PATH}?mode=kill&mode=kill",
    "two modes": f"{PATH}?mode=kill&mode=cancel",
    "bad mode, then a good one": f"{PATH}?mode=stop&mode=kill",
    "good mode, then a bad one": f"{PATH}?mode=kill&mode=stop",
    "percent-encoded mode": f"{PATH}?mode=%6bill",
    "percent-encoded name": f"{PATH}?%6dode=stop",
    "broken percent-encoding": f"{PATH}?mode=%zz",
    "half a percent-encoding": f"{PATH}?mode=kill%",
    "mode that is not UTF-8": f"{PATH}?mode=%ff",
    "null in the mode": f"{PATH}?mode=kill%00",
    "quotes in the mode": f"{PATH}?mode=%22%5C%60%0A",
    "semicolon": f"{PATH}?mode=kill;x=1",
    "semicolon first": f"{PATH}?x=1;mode=stop",
    "plus": f"{PATH}?mode=kill+",
    "plus in the name": f"{PATH}?+mode=stop",
    "space": f"{PATH}?mode=%20kill",
    "Mode": f"{PATH}?Mode=stop",
    "MODE and mode": f"{PATH}?MODE=stop&mode=kill",
    "other parameters": f"{PATH}?x=1&mode=kill&y=%ff",
    "other parameters only": f"{PATH}?x=1&y",
    "empty query": f"{PATH}?",
    "only separators": f"{PATH}?&&&",
    "separators about a bad mode": f"{PATH}?&&mode=stop&&",
    "second question mark": f"{PATH}?mode=kill?x=1",
    "second question mark first": f"{PATH}??mode=stop",
    "second equals sign": f"{PATH}?mode=kill=1",
    "array": f"{PATH}?mode[]=stop",
    "long mode": f"{PATH}?mode={'x' * 2000}",
    "typographic mode": f"{PATH}?mode=k%C3%AFll",
    "slash in the id": "/invocations/a%2Fb",
    "slash after the id": f"{PATH}%2Fkill",
    "question mark in the id": f"{PATH}%3Fmode=kill",
    "percent-encoded id": f"/invocations/%69{UNKNOWN[1:]}",
    "id that is not UTF-8": "/invocations/%ff",
    "id that is not UTF-8, bad mode": "/invocations/%ff?mode=stop",
    "broken percent-encoding in the id": "/invocations/%zz",
    "space in the id": "/invocations/%20",
    "null in the id": "/invocations/%00",
    "malformed id": "/invocations/nope",
    "malformed id, bad mode": "/invocations/nope?mode=stop",
    "malformed id, kill": "/invocations/nope?mode=kill",
    "malformed id, purge": "/invocations/nope?mode=purge",
    "truncated id": f"/invocations/{UNKNOWN[:-3]}",
    "id with a tail": f"{PATH}xyz",
    "dot as the id": "/invocations/.",
    "dots as the id": "/invocations/..",
    "dots in the path": f"/x/..{PATH}",
    "semicolon in the path": f"{PATH};x=1",
    "percent-encoded path": f"/invocation%73/{UNKNOWN}",
    "two slashes first": f"/{PATH}",
    "two slashes inside": f"/invocations//{UNKNOWN}",
    "trailing slash": f"{PATH}/",
    "trailing slash, mode": f"{PATH}/?mode=kill",
    "no id": "/invocations/",
    "no id, no slash": "/invocations",
    "capital": f"/Invocations/{UNKNOWN}",
    "extra segment": f"{PATH}/kill",
    "extra segments": f"{PATH}/kill/now",
    "unknown extra segment": f"{PATH}/stop",
    "v1": f"/v1{PATH}",
    "v1, bad mode": f"/v1{PATH}?mode=stop",
    "v1, new path": f"/v1{PATH}/kill",
    "v5": f"/v5{PATH}",
    "v5, bad mode": f"/v5{PATH}?mode=stop",
    "v5, id that is not UTF-8": "/v5/invocations/%ff",
    "v4": f"/v4{PATH}",
    "v4, bad mode": f"/v4{PATH}?mode=stop",
    "v2": f"/v2{PATH}",
    "v2, bad mode": f"/v2{PATH}?mode=stop",
    "v2, malformed id": "/v2/invocations/nope",
    "v3, two modes": f"/v3{PATH}?mode=kill&mode=kill",
    "v0": f"/v0{PATH}",
    "v02": f"/v02{PATH}?mode=stop",
    "v10": f"/v10{PATH}?mode=stop",
    "v": f"/v{PATH}?mode=stop",
    "V2": f"/V2{PATH}?mode=stop",
    "v2 twice": f"/v2/v2{PATH}?mode=stop",
    "api": f"/api{PATH}?mode=stop",
}
NEW_TARGETS: Final = {
    "new": f"{PATH}/kill",
    "new, malformed id": "/invocations/nope/cancel",
    "new, v2": f"/v2{PATH}/purge",
    "new, with a mode": f"{PATH}/kill?mode=stop",
    "new, unknown": f"{PATH}/stop",
    "no new": PATH,
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_an_odd_target_is_answered_as_the_server_answers_it(real: Real, target: str) -> None:
    assert_same(real, "DELETE", target)


@pytest.mark.parametrize("target", NEW_TARGETS.values(), ids=NEW_TARGETS.keys())
def test_a_new_call_is_passed_through(real: Real, target: str) -> None:
    assert_same(real, "PATCH", target)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "delete"])
def test_another_method_is_passed_through(real: Real, method: str) -> None:
    assert_same(real, method, f"{PATH}?mode=kill")


def assert_same(real: Real, method: str, target: str) -> None:
    direct = call(real.restate.admin, method, target)
    shimmed = call(real.shim.proxy, method, target)
    assert (shimmed.status, shimmed.content_type, shimmed.body) == (
        direct.status,
        direct.content_type,
        direct.body,
    )
