from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_records import NOON, a_call, a_near_miss, a_use, running

from shim.evidence import Kind
from shim.ledger import Imported, import_records, read_evidence, read_uses
from shim.usage import Decision, Use


@dataclass(frozen=True)
class Step:
    """The clock goes on by ``seconds``, or back; then something happens."""

    what: str
    seconds: int
    caller: str
    mode: str | None
    decision: Decision
    upstream_status: int | None
    masked: bool


STEPS = st.lists(
    st.builds(
        Step,
        what=st.sampled_from(["use", "use", "use", "miss", "call", "restart", "import", "again"]),
        seconds=st.sampled_from([0, 1, 20, 40, 3599, 3600, 86_400, 10 * 86_400, -1, -60, -90_000]),
        caller=st.sampled_from(["a", "b", "c", "(other)", "", "ü\u202e"]),
        mode=st.sampled_from(["cancel", "kill", "purge", None]),
        decision=st.sampled_from(Decision),
        upstream_status=st.sampled_from([None, 200, 404, 409, 500]),
        masked=st.booleans(),
    ),
    max_size=30,
)


def key_of(use: Use) -> tuple[Any, ...]:
    what = (use.caller, Kind.USE, use.mode, str(use.decision), use.upstream_status, use.masked)
    return (use.timestamp.date(), *what)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False
)
@given(steps=STEPS, since_hours=st.integers(-100, 1000))
def test_sums_equal_what_was_fed_whatever_is_mixed(steps: list[Step], since_hours: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(feed(Path(folder) / "ledger.db", steps, since_hours))


async def feed(source: Path, steps: list[Step], since_hours: int) -> None:
    clock = NOON
    fed: Counter[tuple[Any, ...]] = Counter()
    moments: list[datetime] = []
    uses: dict[str, Use] = {}
    clocks = [clock]
    number = 0
    while number <= len(steps):
        async with running(source, clock=lambda: clock) as ledger:
            for number, step in enumerate(steps[number:], number + 1):  # noqa: B020, PLW2901 - goes on
                clock += timedelta(seconds=step.seconds)
                clocks.append(clock)
                use = a_use(
                    step.caller,
                    clock,
                    mode=step.mode,
                    decision=step.decision,
                    upstream_status=step.upstream_status,
                    masked=step.masked,
                )
                match step.what:
                    case "use":
                        assert await ledger.append(use)
                        uses[use.id] = use
                    case "import":
                        imported = replace(use, instance="elsewhere")
                        result = import_records(source, [imported.as_dict()] * 2)
                        assert result == Imported(new=1, known=1)
                        uses[use.id] = imported
                    case "again":
                        lines = [one.as_dict() for one in uses.values()]
                        assert import_records(source, lines) == Imported(known=len(uses))
                        if uses:
                            # The writer is told what it has written before, among news.
                            assert all(
                                await asyncio.gather(
                                    ledger.append(next(iter(uses.values()))), ledger.append(use)
                                )
                            )
                            uses[use.id] = use
                    case "miss":
                        assert await ledger.append(a_near_miss(step.caller, clock))
                        fed[clock.date(), step.caller, Kind.NEAR_MISS] += 1
                        moments.append(clock)
                    case "call":
                        ledger.count(a_call(step.caller, clock))
                        fed[clock.date(), step.caller, Kind.REPLACEMENT_CALL] += 1
                        moments.append(clock)
                    case _:
                        break
            else:
                number = len(steps) + 1
    for use in uses.values():
        fed[use.timestamp.date(), use.caller, Kind.USE] += 1

    evidence = read_evidence(source)
    assert {(day.day, day.caller, day.kind): day.count for day in evidence.days} == dict(fed)
    by_what: Counter[tuple[Any, ...]] = Counter()
    for one in evidence.sums:
        if one.kind is Kind.USE:
            what = (one.mode, one.decision, one.upstream_status, one.masked)
            by_what[(one.caller, one.kind, *what)] += one.count
    assert by_what == Counter(key_of(use)[1:] for use in uses.values())
    assert {use["id"]: use for use in read_uses(source)} == {
        use.id: use.as_dict() for use in uses.values()
    }
    all_moments = [use.timestamp for use in uses.values()] + moments
    if all_moments:
        assert min(one.first for one in evidence.sums) == min(all_moments)
        assert max(one.last for one in evidence.sums) == max(all_moments)

    since = NOON + timedelta(hours=since_hours, minutes=30)
    later = read_evidence(source, since)
    expected = sum(use.timestamp >= since for use in uses.values())
    assert sum(one.count for one in later.sums if one.kind is Kind.USE) == expected
    assert sum(day.count for day in later.days if day.kind is Kind.USE) == expected

    for span in evidence.spans:
        assert span.start <= span.end
        # No time is claimed that the clock has not shown yet.
        assert span.end == span.start or span.end <= clock
        assert span.start in clocks
