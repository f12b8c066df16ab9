"""The relay lane and the handler's lane send the same bytes."""

from __future__ import annotations

import uvloop

from tests.proxy.agreement import agree


def test_whatever_the_relay_lane_takes_the_handler_s_lane_sends_alike() -> None:
    counts = uvloop.run(agree(100_000, seed=20261125))
    # Most pairs have something in them that is not plain; these have not.
    assert counts["taken"] > 15_000
    assert counts["built anew"] > 7_000
