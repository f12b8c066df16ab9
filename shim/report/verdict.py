"""The verdict: whether the old route can go, and how that is known.

* ``in_use``: somebody whose use is not acknowledged used the route within the window.  Every call
  counts, refused and invalid ones too: somebody still makes it.
* ``unproven``: nobody did, but the record has gaps or lost lines.  Silence is not evidence.
* ``safe``: nobody did, and shims were recording throughout.

Throughout allows for a restart and not for more: no gap longer than two minutes, which is two
heartbeats missed, and 99.9 % of the window observed, which is 20 minutes in 14 days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from shim.ledger.evidence import Span
from shim.moments import length, minute
from shim.report.coverage import Coverage, observe
from shim.report.model import CallerReport, Status, Verdict
from shim.report.text import name_of, plain, plural

DEFAULT_WINDOW: Final = timedelta(days=14)
LONGEST_GAP: Final = timedelta(minutes=2)
LEAST_OBSERVED_PERCENT: Final = 99.9
_NAMED: Final = 3


def judge(
    callers: Sequence[CallerReport],
    spans: Sequence[Span],
    *,
    now: datetime,
    window: timedelta,
    recording_since: datetime | None,
    lost: int = 0,
    unwritten: Sequence[datetime] = (),
) -> Verdict:
    """Judge the ``window`` before ``now``; ``lost`` records are known to be missing from it.

    ``unwritten`` are the moments since when records are in the memory of a shim alone.
    """
    start = now - window
    coverage = observe(spans, start, now)
    # Rounded down: 100 is said only of what is whole.
    percent = math.floor(coverage.share * 10000 + 1e-6) / 100
    used = [caller for caller in callers if caller.last_seen and caller.last_seen >= start]
    blocking = [caller for caller in used if not is_acknowledged(caller, now)]
    last_use = max((caller.last_seen for caller in callers if caller.last_seen), default=None)
    if blocking:
        status = Status.IN_USE
        sentences = [_who_uses_it(blocking, window, now)]
    elif coverage.longest_gap > LONGEST_GAP.total_seconds() or percent < LEAST_OBSERVED_PERCENT:
        status = Status.UNPROVEN
        sentences = [_nobody(callers, now, start, used), _why_unproven(coverage, percent, window)]
    elif lost:
        status = Status.UNPROVEN
        missing = f"But the record is known to lack {plural(lost, 'line')}: they may be uses."
        sentences = [_nobody(callers, now, start, used), missing]
    elif any(moment >= start for moment in unwritten):
        status = Status.UNPROVEN
        missing = "But the disk did not take what a shim recorded: they may be uses."
        sentences = [_nobody(callers, now, start, used), missing]
    else:
        status = Status.SAFE
        sentences = [_nobody(callers, now, start, used), _observed(coverage, percent, window)]
    sentences.append(_acknowledged([c for c in used if is_acknowledged(c, now)]))
    quiet_from = last_use or recording_since
    return Verdict(
        status=status,
        reason=" ".join(sentence for sentence in sentences if sentence),
        quiet_seconds=max(0, int((now - quiet_from).total_seconds())) if quiet_from else None,
        observed_percent=percent,
        longest_gap_seconds=math.ceil(coverage.longest_gap),
        last_use=last_use,
        window_start=start,
        gaps=coverage.gaps,
    )


def is_acknowledged(caller: CallerReport, now: datetime) -> bool:
    """Tell whether the caller is tolerated today: up to the day named, that day included."""
    return caller.acknowledged_until is not None and now.date() <= caller.acknowledged_until


def _who_uses_it(blocking: Sequence[CallerReport], window: timedelta, now: datetime) -> str:
    latest = sorted(blocking, key=_last, reverse=True)
    text = f"{plural(len(blocking), 'caller')} used the route in the last {length(window)}: "
    text += (
        _names(latest) + f". {name_of(latest[0].caller)} was last, {_ago(_last(latest[0]), now)}."
    )
    if all(set(caller.decisions) == {"refused"} for caller in blocking):
        text += " All of their calls were refused."
    run_out = [c for c in latest if c.acknowledged_until]
    for caller in run_out[:_NAMED]:
        day = caller.acknowledged_until
        text += f" The acknowledgement of {name_of(caller.caller)} ran out on {day}."
    if len(run_out) > _NAMED:
        text += f" So did {len(run_out) - _NAMED} more."
    return text


def _nobody(
    callers: Sequence[CallerReport], now: datetime, start: datetime, used: Sequence[CallerReport]
) -> str:
    """Say since when it is quiet and who was last; acknowledged callers aside."""
    but = "Apart from acknowledged callers, nobody" if used else "Nobody"
    before = [caller for caller in callers if caller.last_seen and caller.last_seen < start]
    if not before:
        return f"{but} was seen using the route."
    last = max(before, key=_last)
    quiet = length(now - _last(last))
    who, when = name_of(last.caller), minute(last.last_seen)
    return f"{but} used the route for {quiet}: {who} was last, on {when}."


def _observed(coverage: Coverage, percent: float, window: timedelta) -> str:
    text = f"{percent:g} % of the last {length(window)} was observed"
    if coverage.longest_gap:
        text += f", the longest gap is {length(coverage.longest_gap)}"
    return text + "."


def _why_unproven(coverage: Coverage, percent: float, window: timedelta) -> str:
    if coverage.share <= 0:
        return f"But nothing shows that a shim was recording in the last {length(window)}."
    longest = max(coverage.gaps, key=lambda gap: gap.seconds)
    text = f"But only {percent:g} % of the last {length(window)} was observed: "
    if longest.start == coverage.start and not longest.silent:
        text += f"recording began no earlier than {minute(longest.end)}"
    else:
        text += f"the longest gap is {length(longest.seconds)}, "
        text += f"from {minute(longest.start)} to {minute(longest.end)}"
    if longest.silent:
        text += f", with no sign of {_list([plain(name) for name in longest.silent])}, "
        text += "which nobody had stopped"
    return text + ". Silence is not evidence."


def _acknowledged(callers: Sequence[CallerReport]) -> str:
    if not callers:
        return ""
    shown = [
        f"{name_of(caller.caller)} until {caller.acknowledged_until}"
        + (f" ({plain(caller.owner)})" if caller.owner else "")
        for caller in callers
    ]
    return f"Acknowledged and still using it: {_list(shown)}."


def _names(callers: Sequence[CallerReport]) -> str:
    return _list([name_of(caller.caller) for caller in callers])


def _list(texts: Sequence[str]) -> str:
    """Join texts for a sentence, the first few of them."""
    shown = ", ".join(texts[:_NAMED])
    return f"{shown} and {len(texts) - _NAMED} more" if len(texts) > _NAMED else shown


def _last(caller: CallerReport) -> datetime:
    assert caller.last_seen is not None
    return caller.last_seen


def _ago(moment: datetime, now: datetime) -> str:
    if moment > now:
        return f"on {minute(moment)}, which is ahead of this machine's clock"
    return f"{length(now - moment)} ago"
