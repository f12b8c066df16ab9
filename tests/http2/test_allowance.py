"""So many at once, and so many a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shim.http2.allowance import Allowance


def test_what_is_spent_grows_back_and_no_further() -> None:
    allowance = Allowance(3, 2.0)
    assert [allowance.spend(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.spend(1, 1.0) for _ in range(2)] == [True, False]
    assert [allowance.spend(1, 100.0) for _ in range(4)] == [True, True, True, False]


def test_what_is_given_adds_to_it_and_no_further() -> None:
    allowance = Allowance(2, 0.0)
    allowance.give(100)
    assert [allowance.spend(1, 0.0) for _ in range(3)] == [True, True, False]


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5)), max_size=100))
def test_no_pace_gets_more_than_it_grants(steps: list[tuple[float, int]]) -> None:
    allowance = Allowance(10, 3.0)
    now, spent = 0.0, 0
    for pause, cost in steps:
        now += pause
        if not allowance.spend(cost, now):
            break
        spent += cost
        assert spent <= 10 + 3.0 * now + 1e-6
