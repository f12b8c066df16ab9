"""From evidence to report: a pure function of what was recorded, the entries and the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final

from shim.ledger.evidence import CallerFacts, Evidence, Kind, Span, Sum
from shim.ledger.records import OTHER, Decision, PhaseChange
from shim.report.advice import advice_for, main_mode, replacement_for
from shim.report.asked import Asked
from shim.report.cautions import cautions
from shim.report.coverage import observe
from shim.report.histories import History, histories_of
from shim.report.members import idle_among, members_of
from shim.report.model import CallerReport, DayCount, DayCoverage, Report, State, Totals
from shim.report.places import nobody_s, places_of
from shim.report.proof import Proof
from shim.report.tallies import (
    by_caller,
    count_of,
    mode_of,
    near_misses_in,
    new_calls_in,
    unreached_in,
    uses_in,
)
from shim.report.verdict import judge
from shim.route.policy import owner_matches

_ORDER: Final = {State.CAME_BACK: 0, State.ACTIVE: 1, State.QUIET: 2, State.MIGRATED: 3}
_UNKNOWN: Final = CallerFacts(user_agent=None, replacement=None)


def build_report(
    evidence: Evidence, asked: Asked, *, shown: Evidence | None = None, lost: int = 0
) -> Report:
    """Build the report that is ``asked`` for; ``evidence`` is the whole record.

    ``shown`` is the part of it from ``asked.since`` on: the sums of the report are about that, and
    the states of its callers and the verdict about all.  ``lost`` is the number of records known
    to be missing: with one missing, silence is no proof.
    """
    now, start, instances = asked.now, asked.start, asked.instances
    histories = histories_of(evidence, asked)
    idle = idle_among(evidence, start, now, instances)
    coverage = observe(evidence.spans, start, now, beat=evidence.beat, instances=instances)
    recording_since = _recording_since(evidence.spans)
    proof = Proof(
        coverage=coverage,
        recording_since=recording_since,
        idle=idle.members,
        all_idle=idle.all,
        lost=lost,
        unwritten=evidence.unwritten,
        silent_sources=tuple(evidence.silent_sources),
    )
    part = evidence if shown is None else shown
    callers = sorted(
        (
            _caller(
                sums,
                histories[name],
                part.callers.get(name) or evidence.callers.get(name) or _UNKNOWN,
                tuple(evidence.others) if name == OTHER else (),
                asked,
            )
            for name, sums in by_caller(part.sums).items()
        ),
        key=lambda caller: (_ORDER[caller.state], -caller.uses, caller.caller),
    )
    unseen = nobody_s(asked.places, (caller.places for caller in callers))
    owners = Counter(caller.owner or "" for caller in callers if caller.is_acute)
    sums = part.sums
    if asked.owner is not None:
        callers = [caller for caller in callers if owner_matches(asked.owner, caller.owner)]
        theirs = {caller.caller for caller in callers}
        sums = [sum_ for sum_ in sums if sum_.caller in theirs]
    unreadable = _unreadable(evidence.sums, start)
    return Report(
        generated_at=now,
        since=asked.since,
        owner=asked.owner,
        totals=_totals(sums),
        owners=dict(sorted(owners.items(), key=lambda one: (-one[1], one[0]))),
        instances=members_of(evidence, start, now),
        callers=tuple(callers),
        verdict=judge(histories.values(), proof),
        warnings=tuple(cautions(evidence, histories.values(), unreadable, asked)),
        unreadable=unreadable,
        recording_since=recording_since,
        coverage=_strip(evidence, asked),
        phase_changes=_phase_changes(evidence.phase_changes),
        sunset=asked.sunset,
        unseen_places=unseen,
    )


def _caller(
    sums: Sequence[Sum],
    history: History,
    facts: CallerFacts,
    names: tuple[str, ...],
    asked: Asked,
) -> CallerReport:
    """Report on one caller; of those past the cap, who are one, ``names`` are some."""
    now, entry, habit = asked.now, history.entry, history.habit(asked.now)
    uses, misses = uses_in(sums), near_misses_in(sums)
    modes: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    masked: Counter[str] = Counter({"404": 0, "409": 0})
    near_misses: Counter[str] = Counter()
    for sum_ in misses:
        near_misses[sum_.mode or "other"] += sum_.count
    for sum_ in uses:
        modes[mode_of(sum_)] += sum_.count
        decisions[sum_.decision or "unknown"] += sum_.count
        if sum_.masked:
            masked[str(sum_.upstream_status)] += sum_.count
    last_seen = max((sum_.last for sum_ in uses), default=None)
    user_agent, clients, mode = facts.user_agent, facts.clients, main_mode(modes)
    agents = {user_agent, *(client.user_agent for client in clients)}
    return CallerReport(
        caller=history.caller,
        caller_source=max(sums, key=lambda sum_: sum_.last).caller_source,
        state=history.state(now),
        uses=count_of(uses),
        first_seen=min((sum_.first for sum_ in uses), default=None),
        last_seen=last_seen,
        days_quiet=max(0, (now - last_seen).days) if last_seen else None,
        modes=dict(sorted(modes.items())),
        decisions=dict(sorted(decisions.items())),
        masked=dict(sorted(masked.items())),
        replacement_calls=count_of(new_calls_in(sums)),
        unreached_calls=count_of(unreached_in(sums)),
        near_misses=near_misses.total(),
        near_miss_kinds=dict(near_misses.most_common()),
        near_miss_last=max((sum_.last for sum_ in misses), default=None),
        came_back=history.came_back,
        hint=advice_for(user_agent, mode, times_masked=masked.total()) if uses else None,
        replacement=replacement_for(facts.replacement, mode),
        user_agent=user_agent,
        clients=clients,
        names=names,
        places=places_of(asked.places, agents, modes) if uses else (),
        address_names={
            one.address: asked.address_names[one.address]
            for one in clients
            if one.address in asked.address_names
        },
        owner=entry.owner,
        contact=entry.contact,
        note=entry.note,
        acknowledged_until=entry.acknowledged_until,
        acknowledged=history.is_acknowledged(now),
        retired=entry.retired,
        interval=habit.interval,
        due=None if history.waited_for(now) is None else habit.due,
        moved_percent=_moved(history.days, asked.start.date()),
        days=tuple(
            day for day in history.days if asked.since is None or day.day >= asked.since.date()
        ),
    )


def _moved(days: Iterable[DayCount], start: date) -> int | None:
    """Return the share of new calls since ``start``, rounded down; ``None`` without any call."""
    uses = new = 0
    for day in days:
        if day.day >= start:
            uses += day.uses
            new += day.replacement_calls
    return 100 * new // (uses + new) if uses + new else None


def _totals(sums: Sequence[Sum]) -> Totals:
    uses = uses_in(sums)
    return Totals(
        uses=count_of(uses),
        masked=count_of(one for one in uses if one.masked),
        refused=count_of(one for one in uses if one.decision == Decision.REFUSED),
        failed=count_of(one for one in uses if one.decision == Decision.FAILED),
        near_misses=count_of(near_misses_in(sums)),
        replacement_calls=count_of(new_calls_in(sums)),
    )


def _unreadable(sums: Iterable[Sum], start: datetime) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for sum_ in sums:
        if sum_.kind is Kind.UNREADABLE and sum_.last >= start:
            counts[sum_.caller] += sum_.count
    return dict(counts.most_common())


def _recording_since(spans: Iterable[Span]) -> datetime | None:
    # A span of no length is a sign of somebody who claims nothing.
    return min((span.start for span in spans if span.end > span.start), default=None)


def _first_known(evidence: Evidence) -> datetime | None:
    moments = [sum_.first for sum_ in evidence.sums]
    recording_since = _recording_since(evidence.spans)
    return min(moments if recording_since is None else [*moments, recording_since], default=None)


def _strip(evidence: Evidence, asked: Asked) -> tuple[DayCoverage, ...]:
    """Cover the report's whole time by days."""
    start = asked.since or _first_known(evidence)
    if start is None or start >= asked.now:
        return ()
    coverage = observe(
        evidence.spans, start, asked.now, beat=evidence.beat, instances=asked.instances
    )
    return coverage.by_day()


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
