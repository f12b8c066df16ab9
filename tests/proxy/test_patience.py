from __future__ import annotations

import pytest

from shim.proxy.patience import Patience, Waiting

USUAL = Patience(stall=60, total=3600, rate=500)


@pytest.mark.parametrize(
    ("patience", "waits", "left"),
    [
        pytest.param(USUAL, [], 20, id="twenty seconds for the first byte"),
        pytest.param(USUAL, [(0, 50_000)], 60, id="no longer than for a stall"),
        pytest.param(USUAL, [(10, 500)], 11, id="500 bytes buy a second"),
        pytest.param(USUAL, [(1, 1)] * 10, 10.02, id="a byte a second buys nothing"),
        pytest.param(USUAL, [(1, 1)] * 21, 0, id="and is at an end then"),
        pytest.param(USUAL, [(0, 10**9), (3590, 0)], 10, id="there is an end to it all"),
        pytest.param(USUAL, [(0, 10**9), (4000, 0)], 0, id="which may have passed"),
        pytest.param(Patience(0.3, 3600, 500), [(0.2, 1)], 0.3, id="a stall may be shorter"),
        pytest.param(Patience(60, 3600, 0), [(1, 1)] * 600, 60, id="without a rate any will do"),
    ],
)
def test_how_long_a_caller_is_waited_for(
    patience: Patience, waits: list[tuple[float, int]], left: float
) -> None:
    waiting = Waiting(patience)
    for seconds, size in waits:
        waiting.add(seconds, size)
    assert waiting.left() == pytest.approx(left)
