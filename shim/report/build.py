"""From evidence to report: a pure function of what was recorded, the entries and the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from shim.ledger.evidence import Evidence, Kind, Span, Sum
from shim.ledger.records import Decision, PhaseChange
from shim.report.asked import Asked
from shim.report.callers import callers_of
from shim.report.cautions import cautions
from shim.report.coverage import observe
from shim.report.histories import histories_of
from shim.report.members import idle_among, members_of
from shim.report.model import DayCoverage, Report, Totals
from shim.report.places import nobody_s
from shim.report.proof import Proof
from shim.report.tallies import count_of, near_misses_in, new_calls_in, uses_in
from shim.report.verdict import judge
from shim.route.policy import owner_matches


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
    callers = callers_of(part, evidence, histories, asked)
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
