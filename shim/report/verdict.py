"""The verdict: whether the old route can go, and how that is known.

* ``in_use``: somebody whose use is not acknowledged used the route within the window.  Every call
  counts, refused and invalid ones too: somebody still makes it.
* ``unproven``: nobody did, but that proves nothing: the record has gaps or lost lines, nothing came
  through the shims, or a caller is due again.  Silence is not evidence.
* ``acknowledged``: it is proven that nobody uses it but callers whom the team tolerates.
* ``safe``: nobody did, shims were recording throughout, and nobody is waited for.

Throughout allows for restarts and rolling updates and not for more: no gap longer than two minutes,
and 99.9 % of the window observed, which is 20 minutes in 14 days.  Of a short window two minutes
may be missing in all, but no more than a twentieth of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shim.clocks import LONGEST_SILENCE
from shim.ledger.records import OTHER
from shim.moments import length, minute
from shim.report.coverage import MAY_MISS, Coverage, in_percent
from shim.report.histories import History
from shim.report.model import Gap, Status, Verdict
from shim.report.text import listed, name_of, plain, plural
from shim.report.words import ago

DEFAULT_WINDOW: Final = timedelta(days=14)
_MAY_MISS_OF_SHORT: Final = 0.05
_NAMED: Final = 3
_A_MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the silence of callers is worth.

    ``idle`` shims recorded, but nothing came through them; ``lost`` records are known to be
    missing; ``unwritten`` are the moments since when records are in the memory of a shim alone, or
    were lost.
    In ``silent_sources`` no shim shows, though they were read with others.
    """

    coverage: Coverage
    recording_since: datetime | None
    idle: tuple[str, ...] = ()
    all_idle: bool = False
    lost: int = 0
    unwritten: Sequence[datetime] = ()
    silent_sources: Sequence[str] = ()

    @property
    def percent(self) -> float:
        """How much of the window was observed, rounded down: 100 is said of what is whole."""
        return in_percent(self.coverage.share)

    @property
    def has_gaps(self) -> bool:
        """Whether fewer shims recorded than should have, for longer than restarts take."""
        if self.coverage.longest_gap > LONGEST_SILENCE.total_seconds():
            return True
        window = (self.coverage.end - self.coverage.start).total_seconds()
        missing = (1 - self.coverage.share) * window
        short = min(LONGEST_SILENCE.total_seconds(), _MAY_MISS_OF_SHORT * window)
        return missing > max(MAY_MISS * window, short) + 1e-6


def judge(histories: Iterable[History], proof: Proof) -> Verdict:
    """Judge the time that ``proof`` is about by the callers' ``histories``."""
    start, now = proof.coverage.start, proof.coverage.end
    users = sorted(
        (one for one in histories if one.last_use is not None), key=_last_use, reverse=True
    )
    used = [one for one in users if _last_use(one) >= start]
    due = [one for one in users if _last_use(one) < start and one.waited_for(now) is not None]
    tolerated = [one for one in (*used, *due) if one.is_acknowledged(now)]
    blocking = [one for one in used if not one.is_acknowledged(now)]
    due = [one for one in due if not one.is_acknowledged(now)]
    doubts = [say for say in (_gaps(proof), _nothing(proof), _lost(proof), _due(due, now)) if say]
    if blocking:
        status = Status.IN_USE
        sentences = [_who_uses_it(blocking, now - start, now)]
    elif doubts:
        status = Status.UNPROVEN
        sentences = [_nobody(users, now, start), f"But {'; and '.join(doubts)}."]
    else:
        status = Status.ACKNOWLEDGED if tolerated else Status.SAFE
        sentences = [_nobody(users, now, start), _observed(proof), *_taken_for_gone(users, now)]
    if tolerated:
        sentences.append(_acknowledged(tolerated))
    quiet_from = _last_use(users[0]) if users else proof.recording_since
    return Verdict(
        status=status,
        reason=" ".join(sentences),
        quiet_seconds=max(0, int((now - quiet_from).total_seconds())) if quiet_from else None,
        observed_percent=proof.percent,
        longest_gap_seconds=math.ceil(proof.coverage.longest_gap),
        last_use=_last_use(users[0]) if users else None,
        window=now - start,
        earliest=_earliest(users, proof),
        gaps=proof.coverage.pauses,
    )


def _earliest(users: Sequence[History], proof: Proof) -> datetime | None:
    """Return when the verdict can be ``safe`` at the earliest.

    ``None`` where that depends on what nobody knows: when shims record again, or the record is
    whole again, or a tolerated caller has gone.
    """
    start, now = proof.coverage.start, proof.coverage.end
    window = now - start
    if proof.idle or proof.all_idle or proof.lost or proof.silent_sources:
        return None
    moments = [now]
    for one in users:
        moments.append(_last_use(one) + window)
        moments += filter(None, (one.waited_for(now),))
    if proof.has_gaps:
        pauses, most = proof.coverage.pauses, LONGEST_SILENCE.total_seconds()
        for gap in [gap for gap in pauses if gap.seconds > most] or pauses:
            if gap.end >= now:
                return None
            moments.append(gap.end + window)
    moments += [moment + window for moment in proof.unwritten]
    return max(moments)


def _who_uses_it(blocking: Sequence[History], window: timedelta, now: datetime) -> str:
    latest = blocking[0]
    text = f"{plural(len(blocking), 'caller')} used the route in the last {length(window)}: "
    text += f"{_names(blocking)}. {name_of(latest.caller)} was last, {_ago(latest, now)}."
    if all(one.only_refused for one in blocking):
        text += " All of their calls were refused."
    run_out = [one for one in blocking if one.acknowledged_until]
    for one in run_out[:_NAMED]:
        text += (
            f" The acknowledgement of {name_of(one.caller)} ran out on {one.acknowledged_until}."
        )
    if len(run_out) > _NAMED:
        text += f" So did {len(run_out) - _NAMED} more."
    for one in [one for one in blocking if one.retired_since][:_NAMED]:
        text += f" {name_of(one.caller)} is not retired, as it is said to be since "
        text += f"{one.retired_since}."
    return text


def _nobody(users: Sequence[History], now: datetime, start: datetime) -> str:
    """Say since when it is quiet and who was last; acknowledged callers aside."""
    used = bool(users) and _last_use(users[0]) >= start
    but = "Apart from acknowledged callers, nobody" if used else "Nobody"
    before = [one for one in users if _last_use(one) < start]
    if not before:
        return f"{but} was seen using the route."
    last = before[0]
    quiet = length(now - _last_use(last))
    return (
        f"{but} used the route for {quiet}: "
        f"{name_of(last.caller)} was last, on {minute(last.last_use)}."
    )


def _taken_for_gone(users: Sequence[History], now: datetime) -> list[str]:
    """Say of whom nobody would wait for another call but for what their owner says."""
    gone = [
        f"{name_of(one.caller)} since {one.retired_since}"
        for one in users
        if one.is_retired(now) and replace(one, retired_since=None).waited_for(now)
    ]
    return [f"Retired, by what is said of them: {listed(gone, _NAMED)}."] if gone else []


def _observed(proof: Proof) -> str:
    window = proof.coverage.end - proof.coverage.start
    text = f"{proof.percent:g} % of the last {length(window)} was observed"
    text += f" by {plural(proof.coverage.expected, 'shim')}"
    if proof.coverage.pauses:
        text += f", with {_of_gaps(proof.coverage.pauses)}"
    return text + "."


def _gaps(proof: Proof) -> str:
    """Say what of the window was not observed, and who was missing."""
    if not proof.has_gaps:
        return ""
    coverage, since = proof.coverage, proof.recording_since
    window = length(coverage.end - coverage.start)
    if coverage.share <= 0 and (since is None or since >= coverage.end):
        return f"nothing shows that a shim was recording in the last {window}"
    first = coverage.pauses[0]
    begun_late = since is not None and since > coverage.start and not first.silent
    rest = coverage.pauses[1:] if begun_late else coverage.pauses
    if begun_late:
        text = f"shims have been recording for {length(coverage.end - first.end)} only, "
        text += f"not for {window}"
    else:
        text = f"only {proof.percent:g} % of the last {window} was observed"
    if rest:
        text += f", with {_of_gaps(rest)}"
        longest = max(rest, key=lambda gap: gap.seconds)
        if longest.seconds >= _A_MINUTE:
            text += f", from {minute(longest.start)} to {minute(longest.end)}"
        if silent := sorted({name for gap in rest for name in gap.silent}):
            text += f"; {listed([plain(name) for name in silent], _NAMED)} "
            text += "was" if len(silent) == 1 else "were"
            text += " not recording"
    if coverage.expected > 1:
        text += f"; {plural(coverage.expected, 'shim')} should record"
        if not coverage.said:
            text += ", as many as did side by side (--instances says how many there are now)"
    return text


def _of_gaps(gaps: Sequence[Gap]) -> str:
    """Return how many there are, and how long they are in all."""
    longest = max(gap.seconds for gap in gaps)
    if len(gaps) == 1:
        return f"one gap of {length(longest)}"
    together = sum(gap.seconds for gap in gaps)
    return f"{len(gaps)} gaps of {length(together)} in all, the longest {length(longest)}"


def _nothing(proof: Proof) -> str:
    """Say that calls do not come through shims: their silence is that of an empty road."""
    window = length(proof.coverage.end - proof.coverage.start)
    if proof.all_idle:
        return (
            f"nothing came through in the last {window}, probes aside: "
            "callers may reach Restate past the shim"
        )
    if not proof.idle:
        return ""
    names = listed([plain(name) for name in proof.idle], _NAMED)
    return (
        f"nothing came through {names} in the last {window}, probes aside: "
        "callers may reach Restate past it"
    )


def _lost(proof: Proof) -> str:
    if proof.lost:
        return f"the record is known to lack {plural(proof.lost, 'line')}: they may be uses"
    if proof.silent_sources:
        return f"no shim shows in {listed([plain(name) for name in proof.silent_sources], _NAMED)}"
    if any(moment >= proof.coverage.start for moment in proof.unwritten):
        return "the disk did not take what a shim recorded: they may be uses"
    return ""


def _due(due: Sequence[History], now: datetime) -> str:
    """Say who is to be waited for, since when it is quiet, and until when."""
    if not due:
        return ""
    texts = [_waits(one, now) for one in due]
    return listed(texts, _NAMED, "; ")


def _waits(one: History, now: datetime) -> str:
    until = minute(one.waited_for(now))
    if one.caller == OTHER:
        return (
            "callers past the cap used the route, and nobody knows how often each does "
            f"(--uses lists them): their silence counts from {until}"
        )
    habit = one.habit(now)
    assert habit.interval is not None
    assert habit.due is not None
    when = "is due again about" if habit.due > now else "was due again about"
    return (
        f"{name_of(one.caller)}, which calls every {length(habit.interval)} or so, "
        f"{when} {minute(habit.due)}, and is gone if it is not seen until {until}"
    )


def _acknowledged(callers: Sequence[History]) -> str:
    shown = [
        f"{name_of(one.caller)} until {one.acknowledged_until}"
        + (f" ({plain(one.owner)})" if one.owner else "")
        for one in callers
    ]
    return f"Removing it breaks those who are acknowledged: {listed(shown, _NAMED)}."


def _names(callers: Sequence[History]) -> str:
    return listed([_name(one) for one in callers], _NAMED)


def _name(one: History) -> str:
    return "callers past the cap" if one.caller == OTHER else name_of(one.caller)


def _last_use(one: History) -> datetime:
    assert one.last_use is not None
    return one.last_use


def _ago(one: History, now: datetime) -> str:
    said = ago(one.last_use, now)
    if _last_use(one) > now:
        return f"on {said}, which is ahead of this machine's clock"
    return said
