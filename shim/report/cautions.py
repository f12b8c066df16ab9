"""What is to be read beside the verdict: sentences that do not change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from shim.ledger.evidence import Evidence
from shim.moments import length, minute
from shim.report.asked import Asked
from shim.report.histories import History
from shim.report.text import listed, name_of, plain, plural
from shim.route.policy import CallerEntry

# How many requests that cannot be read are worth a word, and how many names stand in it.
_MANY: Final = 10
_NAMED: Final = 3
_LONGEST_TOLERATED: Final = timedelta(days=366)
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_UP: Final = timedelta(hours=2)


def cautions(
    evidence: Evidence, histories: Iterable[History], unreadable: Mapping[str, int], asked: Asked
) -> Iterator[str]:
    """Yield the sentences; ``unreadable`` counts requests in the window by address."""
    now, window = asked.now, asked.window
    for entry in asked.entries:
        yield from _of_entry(entry, now.date())
    ahead = [name_of(one.caller) for one in histories if one.last_use and one.last_use > now]
    if ahead:
        who = listed(ahead, _NAMED)
        yield f"Uses of {who} are on record for a time that has not come yet: some clock is wrong."
    # A span of no length is a sign of somebody who claims nothing.
    late = now + _CLOCKS_DIFFER
    ends = sorted({one.instance for one in evidence.spans if one.end > max(one.start, late)})
    if ends:
        who = listed([plain(name) for name in ends], _NAMED)
        yield f"What {who} recorded reaches into a time that has not come yet: some clock is wrong."
    yield from _fell_silent(evidence, now, window)
    if sum(unreadable.values()) >= _MANY:
        who = listed([plain(address) for address in unreadable], _NAMED)
        yield (
            f"{plural(sum(unreadable.values()), 'request')} of the last {length(window)} could not "
            f"be read, from {who}: there may be old calls among them."
        )


def _of_entry(entry: CallerEntry, today: date) -> Iterator[str]:
    if entry.until is not None and entry.until < today:
        return
    named, everyone = plain(entry.match), not entry.match.strip("*?")
    if entry.retired is not None and everyone:
        yield (
            f'The entry "{named}" calls every caller retired: nobody is waited for, however rarely '
            "they call."
        )
    if entry.retired is not None and entry.retired > today:
        yield f'The entry "{named}" is retired from {entry.retired} on, which has not come yet.'
    until = entry.acknowledged_until
    if until is None or until < today:
        return
    if everyone:
        yield (
            f'The entry "{named}" acknowledges every caller, known or not: nobody who uses the '
            "route is in the way of the verdict."
        )
    elif until - today > _LONGEST_TOLERATED:
        yield f'The entry "{named}" acknowledges for more than a year, until {until}.'


def _fell_silent(evidence: Evidence, now: datetime, window: timedelta) -> Iterator[str]:
    """Say who carried something in the window, and has carried nothing for half of it."""
    last: dict[str, datetime] = {}
    for traffic in evidence.traffic:
        if traffic.requests:
            last[traffic.instance] = max(traffic.hour, last.get(traffic.instance, traffic.hour))
    up = {span.instance for span in evidence.spans if span.end >= now - _UP}
    for name, hour in sorted(last.items()):
        if name in up and now - window < hour < now - max(window / 2, _UP):
            yield (
                f"Nothing has come through {plain(name)} since {minute(hour)}, probes aside: "
                "callers may have another way to Restate by now."
            )
