"""`restate-shim check` before real servers."""

from __future__ import annotations

import json

import pytest

from tests.support.real import Real
from tests.support.running import restate_shim

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_it_finds_both_the_old_route_and_the_new_endpoints(real: Real, over: str) -> None:
    upstream = real.restate.admin if over == "tcp" else f"unix:{real.restate.admin_socket}"
    done = restate_shim("check", "--upstream", upstream, "--format", "json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["upstreams"]
    assert (found["version"], found["new_endpoints"], found["old_route"]) == (
        real.version,
        True,
        True,
    )
    assert found["admin_api"] == {"1.6.2": "v2-v3", "1.7.12": "v2-v4"}[real.version]
