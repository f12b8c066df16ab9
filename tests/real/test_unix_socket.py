"""Other ways to reach a real server and the shim than over TCP."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from shim.demo.http import call
from tests.support.real import Real, invocations
from tests.support.running import Shim

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def over_unix(real: Real) -> Iterator[Shim]:
    upstream = f"unix:{real.restate.admin_socket}"
    with (
        tempfile.TemporaryDirectory(prefix="shim-real-") as name,
        Shim("--ledger", f"{name}/ledger.db", upstream=upstream) as shim,
    ):
        yield shim


def test_the_servers_own_unix_socket_serves_as_upstream(real: Real, over_unix: Shim) -> None:
    direct = call(real.restate.admin, "GET", "/version")
    shimmed = call(over_unix.proxy, "GET", "/version")
    assert shimmed.status == 200
    assert shimmed.json()["version"] == direct.json()["version"] == real.version


def test_an_old_call_is_translated_over_the_servers_unix_socket(
    real: Real, over_unix: Shim
) -> None:
    (invocation_id,) = invocations(real.restate, ["running"])
    agent = {"User-Agent": "over-unix"}
    answer = call(over_unix.proxy, "DELETE", f"/invocations/{invocation_id}", headers=agent)
    assert (answer.status, answer.body) == (202, b"")
    real.restate.wait([invocation_id], lambda state: state == "completed [409] cancelled")
    (use,) = over_unix.uses_by("over-unix")
    assert (use["decision"], use["upstream_status"]) == ("translated", 202)
