"""From evidence to report: a pure function of what was recorded, the rules and the clock."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final

from shim.ledger.evidence import CallerFacts, Evidence, Kind, Sum
from shim.ledger.records import PhaseChange
from shim.report.advice import advice_for, main_mode
from shim.report.coverage import observe
from shim.report.model import (
    CallerReport,
    DayCount,
    DayCoverage,
    Report,
    State,
    Totals,
)
from shim.report.verdict import DEFAULT_WINDOW, judge
from shim.route.policy import CallerRule, entry_for

RECENT: Final = timedelta(days=7)
QUIET_GAP: Final = timedelta(days=7)
_ORDER: Final = {State.CAME_BACK: 0, State.ACTIVE: 1, State.QUIET: 2, State.MIGRATED: 3}


def build_report(
    evidence: Evidence,
    *,
    now: datetime,
    since: datetime | None = None,
    rules: Sequence[CallerRule] = (),
    verdict_window: timedelta | None = None,
    lost: int = 0,
) -> Report:
    """Build the report at ``now`` on evidence that begins at ``since`` (``None``: at its own).

    A caller is ``active`` when it used the old route within the last 7 days, and then
    ``came_back`` when, at any time before, 7 whole days (UTC) had passed without a use.  It is
    ``quiet`` otherwise, and ``migrated`` when it is quiet and calls the new endpoints.

    The verdict is about ``verdict_window``, by default 14 days, or less where ``since`` is later.
    ``lost`` is the number of records known to be missing: with one missing, silence is no proof.
    """
    window = verdict_window or DEFAULT_WINDOW
    if verdict_window is None and since is not None and since < now:
        window = min(window, now - since)
    by_caller = defaultdict(list)
    for sum_ in evidence.sums:
        by_caller[sum_.caller].append(sum_)
    days = _days(evidence)
    callers = sorted(
        (
            _caller(name, sums, days[name], evidence.callers.get(name), now=now, rules=rules)
            for name, sums in by_caller.items()
        ),
        key=lambda caller: (_ORDER[caller.state], -caller.uses, caller.caller),
    )
    # A span of no length is a sign of somebody who claims nothing.
    starts = [span.start for span in evidence.spans if span.end > span.start]
    recording_since = min(starts, default=None)
    if recording_since is not None and since is not None:
        recording_since = max(recording_since, since)
    return Report(
        generated_at=now,
        since=since,
        totals=_totals(evidence.sums),
        callers=tuple(callers),
        verdict=judge(
            callers,
            evidence.spans,
            now=now,
            window=window,
            recording_since=recording_since,
            lost=lost,
            unwritten=evidence.unwritten,
        ),
        recording_since=recording_since,
        coverage=_coverage(evidence, since, recording_since, now),
        phase_changes=_phase_changes(evidence.phase_changes),
    )


def _caller(
    name: str,
    sums: Sequence[Sum],
    days: Sequence[DayCount],
    facts: CallerFacts | None,
    *,
    now: datetime,
    rules: Sequence[CallerRule],
) -> CallerReport:
    uses = [sum_ for sum_ in sums if sum_.kind is Kind.USE and sum_.count]
    modes: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    masked: Counter[str] = Counter({"404": 0, "409": 0})
    near_misses: Counter[str] = Counter()
    replacement_calls = 0
    for sum_ in sums:
        if sum_.kind is Kind.REPLACEMENT_CALL:
            replacement_calls += sum_.count
        elif sum_.kind is Kind.NEAR_MISS:
            near_misses[sum_.mode or "other"] += sum_.count
    for sum_ in uses:
        modes[sum_.mode or "invalid"] += sum_.count
        decisions[sum_.decision or "unknown"] += sum_.count
        if sum_.masked:
            masked[str(sum_.upstream_status)] += sum_.count
    first_seen = min((sum_.first for sum_ in uses), default=None)
    last_seen = max((sum_.last for sum_ in uses), default=None)
    came_back = _came_back([day.day for day in days if day.uses])
    state = _state(last_seen, now, came_back=came_back, moved=replacement_calls > 0)
    rule = entry_for(rules, name, now)
    user_agent = facts.user_agent if facts else None
    return CallerReport(
        caller=name,
        caller_source=max(sums, key=lambda sum_: sum_.last).caller_source,
        state=state,
        uses=sum(sum_.count for sum_ in uses),
        first_seen=first_seen,
        last_seen=last_seen,
        days_quiet=max(0, (now - last_seen).days) if last_seen else None,
        modes=dict(sorted(modes.items())),
        decisions=dict(sorted(decisions.items())),
        masked=dict(sorted(masked.items())),
        replacement_calls=replacement_calls,
        near_misses=near_misses.total(),
        near_miss_kinds=dict(near_misses.most_common()),
        came_back=came_back,
        hint=(
            advice_for(user_agent, main_mode(modes), times_masked=masked.total()) if uses else None
        ),
        replacement=facts.replacement if facts else None,
        user_agent=user_agent,
        owner=rule.owner if rule else None,
        note=rule.note if rule else None,
        acknowledged_until=rule.acknowledged_until if rule else None,
        days=tuple(days),
    )


def _state(last_seen: datetime | None, now: datetime, *, came_back: bool, moved: bool) -> State:
    if last_seen is not None and now - last_seen < RECENT:
        return State.CAME_BACK if came_back else State.ACTIVE
    return State.MIGRATED if moved else State.QUIET


def _came_back(days: Sequence[date]) -> bool:
    """Tell whether whole days without a use, as many as the quiet gap has, lie between two."""
    return any(after - before > QUIET_GAP for before, after in pairwise(days))


def _days(evidence: Evidence) -> defaultdict[str, list[DayCount]]:
    counts: Counter[tuple[str, date, Kind]] = Counter()
    for day in evidence.days:
        counts[day.caller, day.day, day.kind] += day.count
    found: defaultdict[str, list[DayCount]] = defaultdict(list)
    for caller, when in sorted({(caller, when) for caller, when, _ in counts}):
        uses = counts[caller, when, Kind.USE]
        replacement_calls = counts[caller, when, Kind.REPLACEMENT_CALL]
        if uses or replacement_calls:
            found[caller].append(DayCount(day=when, uses=uses, replacement_calls=replacement_calls))
    return found


def _totals(sums: Iterable[Sum]) -> Totals:
    counts: Counter[str] = Counter()
    for sum_ in sums:
        if sum_.kind is Kind.NEAR_MISS:
            counts["near_misses"] += sum_.count
        elif sum_.kind is Kind.REPLACEMENT_CALL:
            counts["replacement_calls"] += sum_.count
        else:
            counts["uses"] += sum_.count
            counts["masked"] += sum_.count if sum_.masked else 0
            if sum_.decision in ("refused", "failed"):
                counts[sum_.decision] += sum_.count
    return Totals(**counts)


def _coverage(
    evidence: Evidence, since: datetime | None, recording_since: datetime | None, now: datetime
) -> tuple[DayCoverage, ...]:
    """Cover the report's whole time, from the first thing known when it has no beginning."""
    first = min((sum_.first for sum_ in evidence.sums), default=None)
    known = [moment for moment in (recording_since, first) if moment is not None]
    start = since or min(known, default=None)
    if start is None or start >= now:
        return ()
    return observe(evidence.spans, start, now).by_day()


def _phase_changes(changes: Iterable[PhaseChange]) -> tuple[PhaseChange, ...]:
    """Return when the fleet's phase changed: what every instance repeats is said once."""
    last: dict[str, str] = {}
    kept: list[PhaseChange] = []
    for change in sorted(changes, key=lambda change: change.timestamp):
        if last.get(change.instance) == change.phase:
            continue
        last[change.instance] = change.phase
        if not kept or kept[-1].phase != change.phase:
            kept.append(change)
    return tuple(kept)
