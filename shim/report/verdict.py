"""The verdict: whether the old route can go, and how that is known.

* ``in_use``: somebody whose use is not acknowledged used the route within the window.  Every call
  counts, refused and invalid ones too: somebody still makes it.
* ``unproven``: nobody did, but that proves nothing: the record has gaps or lost lines, nothing came
  through the shims, or a caller is due again.  Silence is not evidence.
* ``acknowledged``: it is proven that nobody uses it but callers whom the team tolerates.
* ``safe``: nobody did, shims were recording throughout, and nobody is waited for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from shim.clocks import LONGEST_SILENCE
from shim.report import reasons
from shim.report.histories import History, last_use_of
from shim.report.model import Status, Verdict
from shim.report.proof import Proof


def judge(histories: Iterable[History], proof: Proof) -> Verdict:
    """Judge the time that ``proof`` is about by the callers' ``histories``."""
    start, now = proof.coverage.start, proof.coverage.end
    users = sorted(
        (one for one in histories if one.last_use is not None), key=last_use_of, reverse=True
    )
    used = [one for one in users if last_use_of(one) >= start]
    due = [one for one in users if last_use_of(one) < start and one.waited_for(now) is not None]
    tolerated = [one for one in (*used, *due) if one.is_acknowledged(now)]
    blocking = [one for one in used if not one.is_acknowledged(now)]
    due = [one for one in due if not one.is_acknowledged(now)]
    doubts = reasons.doubts(proof, due, now)
    if blocking:
        status = Status.IN_USE
        sentences = [reasons.who_uses_it(blocking, now - start, now)]
    elif doubts:
        status = Status.UNPROVEN
        sentences = [reasons.nobody(users, now, start), f"But {'; and '.join(doubts)}."]
    else:
        status = Status.ACKNOWLEDGED if tolerated else Status.SAFE
        sentences = [
            reasons.nobody(users, now, start),
            reasons.observed(proof),
            *reasons.taken_for_gone(users, now),
        ]
    if tolerated:
        sentences.append(reasons.acknowledged(tolerated))
    quiet_from = last_use_of(users[0]) if users else proof.recording_since
    return Verdict(
        status=status,
        reason=" ".join(sentences),
        quiet_seconds=max(0, int((now - quiet_from).total_seconds())) if quiet_from else None,
        observed_percent=proof.percent,
        longest_gap_seconds=math.ceil(proof.coverage.longest_gap),
        last_use=last_use_of(users[0]) if users else None,
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
        moments.append(last_use_of(one) + window)
        moments += filter(None, (one.waited_for(now),))
    if proof.has_gaps:
        pauses, most = proof.coverage.pauses, LONGEST_SILENCE.total_seconds()
        for gap in [gap for gap in pauses if gap.seconds > most] or pauses:
            if gap.end >= now:
                return None
            moments.append(gap.end + window)
    moments += [moment + window for moment in proof.unwritten]
    return max(moments)
