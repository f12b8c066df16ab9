"""Random histories: "safe" is never said where a naive look at the record speaks against it."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

from hypothesis import event, given, settings
from hypothesis import strategies as st

from shim.ledger.evidence import Evidence, Span, Traffic, merge
from shim.report.model import Status
from tests.support.samples import DAY, HOUR, NOW, moved, recorded, report_of, used

WINDOW = 14 * DAY
MINUTE = timedelta(minutes=1)

_days = st.lists(st.integers(12, 120), min_size=1, max_size=8, unique=True)
_callers = st.dictionaries(
    st.sampled_from(["a", "b", "(other)"]),
    st.tuples(_days, st.lists(st.integers(0, 60), max_size=4, unique=True)),
    max_size=3,
)


@st.composite
def lives(draw: st.DrawFn) -> list[Span]:
    """What one shim leaves that restarts, is stopped and goes dark; it may still be up."""
    instance = draw(st.sampled_from(["s0", "s1", "s2"]))
    start = NOW - draw(st.integers(10, 60)) * DAY
    spans: list[Span] = []
    while start < NOW and len(spans) < 6:
        end = min(start + draw(st.sampled_from([1, 5, 30, 90])) * DAY, NOW)
        stopped = end < NOW and draw(st.booleans())
        spans.append(Span(instance=instance, start=start, end=end, stopped=stopped))
        start = end + draw(st.sampled_from([5, 60, 119, 300])) * timedelta(seconds=1)
    return spans


def hours_of(spans: list[Span], *, carries: bool) -> list[Traffic]:
    hours = {
        (span.instance, (span.start + n * HOUR).replace(minute=0, second=0))
        for span in spans
        for n in range(int((span.end - span.start) / HOUR) + 2)
    }
    return [Traffic(instance=i, hour=hour, requests=int(carries)) for i, hour in hours]


def up_at(spans: list[Span], moment: datetime) -> int:
    return sum(span.start <= moment <= span.end for span in spans)


@settings(max_examples=400, deadline=None)
@given(callers=_callers, shims=st.lists(lives(), max_size=3), carries=st.booleans())
def test_safe_is_said_of_nothing_that_a_naive_look_speaks_against(
    callers: dict[str, tuple[list[int], list[int]]], shims: list[list[Span]], carries: bool
) -> None:
    spans = [span for shim in shims for span in shim]
    parts: list[Evidence] = [recorded(*spans, traffic=hours_of(spans, carries=carries))]
    for name, (uses, new) in callers.items():
        parts.append(used(name, *uses))
        if new:
            parts.append(moved(name, *new))
    verdict = report_of(merge(parts)).verdict
    event(verdict.status)
    if verdict.status is not Status.SAFE:
        # And what is not safe says why.
        assert "But " in verdict.reason or "used the route in the last" in verdict.reason
        return
    assert carries
    assert all(min(uses) > 14 for uses, _ in callers.values())
    for uses, new in callers.values():
        gaps = [later - earlier for earlier, later in zip(sorted(uses), sorted(uses)[1:])]  # noqa: B905 - the last has none
        due_within = len(uses) >= 3 and min(uses) <= median(gaps)
        assert not due_within or any(day < min(uses) for day in new)
    side_by_side = max(
        sum(
            min(up_at(spans, moment + n * MINUTE) for n in range(60)) >= level
            for level in range(1, 4)
        )
        for moment in {span.start for span in spans if NOW - span.start < WINDOW + 30 * DAY}
        | {NOW - WINDOW}
    )
    for n in range(14 * 24 * 12):
        moment = NOW - WINDOW + n * 5 * MINUTE
        near = [moment + step * MINUTE for step in (-2, 0, 2)]
        assert max(up_at(spans, one) for one in near) >= max(1, side_by_side)


@settings(max_examples=200, deadline=None)
@given(callers=_callers, ago=st.floats(0, 13.99))
def test_a_use_within_the_window_is_never_overlooked(
    callers: dict[str, tuple[list[int], list[int]]], ago: float
) -> None:
    parts = [used(name, *uses) for name, (uses, _) in callers.items()]
    parts.append(used("late", ago, decision="invalid", mode=None))
    spans = [Span(instance="s0", start=NOW - 90 * DAY, end=NOW)]
    verdict = report_of(merge([*parts, recorded(*spans)])).verdict
    assert verdict.status is Status.IN_USE
    assert verdict.last_use is not None
    assert verdict.last_use >= NOW - ago * DAY - MINUTE
