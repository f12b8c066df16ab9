"""The sentences of a verdict: who uses the route, who did, and what the silence is worth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from shim.ledger.records import OTHER
from shim.moments import length, minute
from shim.report.histories import History, last_use_of
from shim.report.model import Gap
from shim.report.proof import Proof
from shim.report.text import listed, name_of, plain, plural
from shim.report.words import ago

_NAMED: Final = 3
_A_MINUTE: Final = 60.0


def who_uses_it(blocking: Sequence[History], window: timedelta, now: datetime) -> str:
    """Say who is in the way, the latest first; whose acknowledgement ran out, and who is back."""
    latest = blocking[0]
    text = f"{plural(len(blocking), 'caller')} used the route in the last {length(window)}: "
    text += f"{_names(blocking)}. {name_of(latest.caller)} was last, {_ago(latest, now)}."
    if all(one.only_refused for one in blocking):
        text += " All of their calls were refused."
    run_out = [one for one in blocking if one.entry.acknowledged_until]
    for one in run_out[:_NAMED]:
        text += f" The acknowledgement of {name_of(one.caller)} ran out on "
        text += f"{one.entry.acknowledged_until}."
    if len(run_out) > _NAMED:
        text += f" So did {len(run_out) - _NAMED} more."
    for one in [one for one in blocking if one.entry.retired][:_NAMED]:
        text += f" {name_of(one.caller)} is not retired, as it is said to be since "
        text += f"{one.entry.retired}."
    return text


def nobody(users: Sequence[History], now: datetime, start: datetime) -> str:
    """Say since when it is quiet and who was last; acknowledged callers aside."""
    used = bool(users) and last_use_of(users[0]) >= start
    but = "Apart from acknowledged callers, nobody" if used else "Nobody"
    before = [one for one in users if last_use_of(one) < start]
    if not before:
        return f"{but} was seen using the route."
    last = before[0]
    quiet = length(now - last_use_of(last))
    return (
        f"{but} used the route for {quiet}: "
        f"{name_of(last.caller)} was last, on {minute(last.last_use)}."
    )


def taken_for_gone(users: Sequence[History], now: datetime) -> list[str]:
    """Say of whom nobody would wait for another call but for what their owner says."""
    gone = [
        f"{name_of(one.caller)} since {one.entry.retired}"
        for one in users
        if one.is_retired(now) and one.habit(now).waited_for(now)
    ]
    return [f"Retired, by what is said of them: {listed(gone, _NAMED)}."] if gone else []


def observed(proof: Proof) -> str:
    """Say how much of the window was observed, where that is enough."""
    window = proof.coverage.end - proof.coverage.start
    text = f"{proof.percent:g} % of the last {length(window)} was observed"
    text += f" by {plural(proof.coverage.expected, 'shim')}"
    if proof.coverage.pauses:
        text += f", with {_of_gaps(proof.coverage.pauses)}"
    return text + "."


def doubts(proof: Proof, due: Sequence[History], now: datetime) -> list[str]:
    """Say why silence proves nothing: nothing is said where it does; ``due`` are waited for."""
    return [said for said in (_gaps(proof), _nothing(proof), _lost(proof), _due(due, now)) if said]


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


def acknowledged(callers: Sequence[History]) -> str:
    """Say whom the team tolerates."""
    shown = [
        f"{name_of(one.caller)} until {one.entry.acknowledged_until}"
        + (f" ({plain(one.entry.owner)})" if one.entry.owner else "")
        for one in callers
    ]
    return f"Removing it breaks those who are acknowledged: {listed(shown, _NAMED)}."


def _names(callers: Sequence[History]) -> str:
    return listed([_name(one) for one in callers], _NAMED)


def _name(one: History) -> str:
    return "callers past the cap" if one.caller == OTHER else name_of(one.caller)


def _ago(one: History, now: datetime) -> str:
    said = ago(one.last_use, now)
    if last_use_of(one) > now:
        return f"on {said}, which is ahead of this machine's clock"
    return said
