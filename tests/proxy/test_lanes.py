"""The relay lane and the handler's lane send the same bytes."""

from __future__ import annotations

import uvloop

from tests.proxy.agreement import agree


def test_whatever_the_relay_lane_takes_the_handler_s_lane_sends_alike() -> None:
    counts = uvloop.run(agree(100_000, seed=20261125))
    # The other pairs have something in their request that is not plain.
    assert counts["taken"] > 35_000
    # None of what has to be the same is left to chance.
    fewest = {
        "as it came": 9_000,
        "written anew": 12_000,
        "no answer": 10_000,
        "interim": 2_000,
        "in pieces": 10_000,
        "while draining": 3_000,
        "closed": 4_000,
        "large": 100,
        "counted": 25_000,
    }
    assert {name: counts[name] for name in fewest if counts[name] < fewest[name]} == {}


def test_they_do_with_a_host_of_upstream_s_own_too() -> None:
    counts = uvloop.run(agree(20_000, seed=20261128, upstream_host=b"env.test:443"))
    assert counts["taken"] > 7_000
