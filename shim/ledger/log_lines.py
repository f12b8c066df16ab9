"""The record read back from JSON lines: the log of one shim, of many, in any order, with repeats.

What is counted is known by its id, so that the same line in two files counts once.  Ids of all
uses are held in memory (about 100 bytes each); lines are not.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, BinaryIO, Final

from shim.ledger.evidence import (
    HEARTBEAT_SLACK,
    CallerFacts,
    DaySum,
    Evidence,
    Kind,
    PhaseChange,
    Span,
    Sum,
)
from shim.ledger.log_frames import BrokenLineError, Unframer, raw_lines
from shim.ledger.records import NEAR_MISS_EVENT, REPLACEMENT_EVENT, USE_EVENT, Use, without_defaults
from shim.moments import parse_rfc3339

_LISTENING, _HEARTBEAT, _STOPPED = "listening", "heartbeat", "stopped"
# At one moment a shim begins before it beats, and beats before it ends.
_LIFE: Final = {_LISTENING: 0, _HEARTBEAT: 1, _STOPPED: 2}
_DROPPED: Final = "log_lines_dropped"
_PHASE: Final = "phase_changed"
_KINDS: Final = {
    USE_EVENT: Kind.USE,
    NEAR_MISS_EVENT: Kind.NEAR_MISS,
    REPLACEMENT_EVENT: Kind.REPLACEMENT_CALL,
}
# What must be text in each kind of record, besides the caller.
_TEXTS: Final = {Kind.USE: "decision", Kind.NEAR_MISS: "kind", Kind.REPLACEMENT_CALL: "mode"}
_USE_FIELDS: Final = Use.__struct_fields__
_MOST_PROBLEMS: Final = 20

_SumKey = tuple[str, str, Kind, str | None, str | None, int | None, bool]


@dataclass(frozen=True, slots=True)
class Source:
    """A stream of lines and what to call it."""

    name: str
    stream: BinaryIO


class Lines:
    """Reads sources one after the other.  BrokenLineError lines are counted and named, never fatal.

    ``broken`` is the number of lines without a record in them, ``lost`` the number of records
    known to be missing: lines that the shim dropped, uses that cannot be read, files that end too
    early.  ``problems`` names the first of them.
    """

    def __init__(self, since: datetime | None = None) -> None:
        self.broken = 0
        self.lost = 0
        self.problems: list[str] = []
        self._since = since
        self._seen: set[bytes | str] = set()
        self._sums: dict[_SumKey, tuple[int, datetime, datetime]] = {}
        self._days: Counter[tuple[date, str, Kind]] = Counter()
        self._facts: dict[str, tuple[datetime, str, CallerFacts]] = {}
        self._life: defaultdict[str, set[tuple[datetime, int]]] = defaultdict(set)
        self._phases: set[tuple[datetime, str, str]] = set()

    def evidence(self, sources: Iterable[Source]) -> Evidence:
        """Read everything and return the sums."""
        for source in sources:
            for record in self._records(source):
                self._count(record)
        return Evidence(
            sums=[
                Sum(
                    caller=caller,
                    caller_source=caller_source,
                    kind=kind,
                    mode=mode,
                    decision=decision,
                    upstream_status=upstream_status,
                    masked=masked,
                    count=count,
                    first=first,
                    last=last,
                )
                for (caller, caller_source, kind, mode, decision, upstream_status, masked), (
                    count,
                    first,
                    last,
                ) in self._sums.items()
            ],
            days=[
                DaySum(day=day, caller=caller, kind=kind, count=count)
                for (day, caller, kind), count in self._days.items()
            ],
            callers={caller: facts for caller, (_, _, facts) in self._facts.items()},
            spans=[
                span for instance, marks in self._life.items() for span in _spans(instance, marks)
            ],
            phase_changes=[
                PhaseChange(moment=moment, instance=instance, phase=phase)
                for moment, instance, phase in sorted(self._phases)
            ],
        )

    def uses(self, sources: Iterable[Source]) -> Iterator[dict[str, Any]]:
        """Yield each use once, as ``Use.as_dict`` gives it, in the order of the sources."""
        for record in self.records(sources):
            if record["event"] == USE_EVENT:
                values = {name: record.get(name) for name in _USE_FIELDS}
                yield without_defaults(values)

    def records(self, sources: Iterable[Source]) -> Iterator[dict[str, Any]]:
        """Yield each use and each near miss once, as it was logged."""
        for source in sources:
            for record in self._records(source):
                if record["event"] != REPLACEMENT_EVENT:
                    yield record

    def _records(self, source: Source) -> Iterator[dict[str, Any]]:
        """Yield the records that are new, and note the shims' signs of life."""
        unframer = Unframer()
        number = 0
        try:
            for number, line in enumerate(raw_lines(source.stream), 1):
                if record := self._take(unframer, line, f"{source.name}:{number}"):
                    yield record
        except (OSError, EOFError) as error:
            self.lost += 1
            self._problem(f"{source.name}: ends early, after line {number}: {error}")
        if record := self._take(unframer, None, f"{source.name}:{number}"):
            yield record

    def _take(self, unframer: Unframer, line: bytes | None, where: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = None
        try:
            value = unframer.finish() if line is None else unframer.feed(line)
            return None if value is None else self._sort(value)
        except BrokenLineError as error:
            self.broken += 1
            is_use = value.get("event") == USE_EVENT if value else USE_EVENT.encode() in error.line
            self.lost += is_use
            self._problem(f"{where}: {error}")
            return None

    def _sort(self, value: dict[str, Any]) -> dict[str, Any] | None:
        event = value.get("event")
        if event in _KINDS:
            return self._record(value, _KINDS[event])
        if event == _DROPPED and self._is_wanted(_moment(value)):
            self.lost += value["lines"] if isinstance(value.get("lines"), int) else 1
        elif event in _LIFE and isinstance(instance := value.get("instance"), str):
            moment = _moment(value)
            self._life[instance].add((moment, _LIFE[event]))
        if event in (_LISTENING, _PHASE):
            self._note_phase(value)
        return None

    def _note_phase(self, value: dict[str, Any]) -> None:
        instance, phase = value.get("instance"), value.get("phases") or value.get("phase")
        if isinstance(instance, str) and isinstance(phase, str):
            self._phases.add((_moment(value), instance, phase))

    def _record(self, value: dict[str, Any], kind: Kind) -> dict[str, Any] | None:
        key = _id(value)
        moment = _moment(value)
        for name in ("caller", "caller_source", _TEXTS[kind]):
            _text(value, name)
        if kind is Kind.REPLACEMENT_CALL:
            _number(value, "count")
        if kind is Kind.USE:
            _optional(value, "mode", str)
            _optional(value, "user_agent", str)
            _optional(value, "replacement", str)
            _optional(value, "upstream_status", int)
        if key in self._seen or not self._is_wanted(moment):
            return None
        self._seen.add(key)
        return value

    def _count(self, record: dict[str, Any]) -> None:
        moment = _moment(record)
        caller: str = record["caller"]
        kind = _KINDS[record["event"]]
        is_use = kind is Kind.USE
        number = record["count"] if kind is Kind.REPLACEMENT_CALL else 1
        key = (
            caller,
            record["caller_source"],
            kind,
            record["kind"] if kind is Kind.NEAR_MISS else record.get("mode"),
            record["decision"] if is_use else None,
            record.get("upstream_status") if is_use else None,
            is_use and record.get("masked") is True,
        )
        count, first, last = self._sums.get(key, (0, moment, moment))
        self._sums[key] = count + number, min(first, moment), max(last, moment)
        self._days[moment.date(), caller, kind] += number
        known = self._facts.get(caller)
        if is_use and (known is None or known[:2] < (moment, record["id"])):
            facts = CallerFacts(
                user_agent=record.get("user_agent"), replacement=record.get("replacement")
            )
            self._facts[caller] = moment, record["id"], facts

    def _is_wanted(self, moment: datetime) -> bool:
        return self._since is None or moment >= self._since

    def _problem(self, text: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(text)


def _spans(instance: str, marks: Iterable[tuple[datetime, int]]) -> Iterator[Span]:
    """Join signs of life that are at most two minutes, two heartbeats, apart."""
    start: datetime | None = None
    last = datetime.min.replace(tzinfo=UTC)
    for moment, what in sorted(marks):
        begins = what == _LIFE[_LISTENING]
        if start is not None and (begins or moment - last > HEARTBEAT_SLACK):
            yield Span(instance=instance, start=start, end=last)
            start = None
        start = start or moment
        last = moment
        if what == _LIFE[_STOPPED]:
            yield Span(instance=instance, start=start, end=last, stopped=True)
            start = None
    if start is not None:
        yield Span(instance=instance, start=start, end=last)


def _id(value: dict[str, Any]) -> bytes | str:
    text = _text(value, "id")
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return text


def _moment(value: dict[str, Any]) -> datetime:
    text = _text(value, "timestamp")
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise BrokenLineError(
            f"timestamp is no RFC 3339 time with an offset: {text[:40]!r}"
        ) from None


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise BrokenLineError(f"{name} is {'missing' if text is None else 'not a string'}")
    return text


def _number(value: dict[str, Any], name: str) -> int:
    number = value.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BrokenLineError(f"{name} is not a number of calls")
    return number


def _optional(value: dict[str, Any], name: str, kind: type) -> None:
    found = value.get(name)
    if found is not None and (not isinstance(found, kind) or isinstance(found, bool)):
        raise BrokenLineError(f"{name} is not {'a string' if kind is str else 'a whole number'}")
