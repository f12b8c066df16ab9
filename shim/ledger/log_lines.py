"""The record read back from JSON lines: the log of one shim, of many, in any order, with repeats.

What is counted is known by its id, so that the same line in two files counts once.  Ids of all
uses are held in memory (about 100 bytes each); lines are not.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, BinaryIO, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from shim.clocks import LONGEST_SILENCE
from shim.ledger import events
from shim.ledger.counting import Count
from shim.ledger.evidence import LOG_BEAT, Evidence, Span
from shim.ledger.log_frames import BrokenLineError, Event, Unframer, raw_lines
from shim.ledger.records import Moment, Record, Use, decode_record
from shim.route.replies import took

# At one moment a shim begins before it beats, and beats before it ends.
_LIFE: Final = {events.LISTENING: 0, events.HEARTBEAT: 1, events.STOPPED: 2}
_SIGNS: Final = (*_LIFE, events.LINES_DROPPED, events.PHASE)
# A line that speaks of one of these and cannot be read is a use less, or more than one.
_TELLING: Final = (events.USE.encode(), events.LINES_DROPPED.encode())
# What a collector of logs has put into an object of its own, where nobody can tell who wrote it.
_WRAPPED_USE: Final = re.compile(rb'event\\*"\s*:\s*\\*"' + events.USE.encode())
_MOST_PROBLEMS: Final = 20


class _Timed(Struct, frozen=True):
    timestamp: Moment

    def __post_init__(self) -> None:
        force_setattr(self, "timestamp", self.timestamp.astimezone(UTC))


class _Calls(_Timed, frozen=True):
    """How often a caller has called a new endpoint since the line before."""

    id: str
    caller: str
    caller_source: str
    mode: str
    count: Annotated[int, Meta(gt=0)]
    status: int | None = None
    reached: bool | None = None

    @property
    def did_reach(self) -> bool:
        """Whether a handler took them; lines that do not say so tell by their status."""
        if self.reached is not None:
            return self.reached
        return self.status is not None and took(self.status)


class _Refused(_Timed, frozen=True):
    """How often a request from one address was refused since the line before."""

    client_address: str
    status: int
    count: Annotated[int, Meta(gt=0)] = 1
    instance: str | None = None
    unreadable: bool = False

    @property
    def id(self) -> str:
        """What tells it from other lines: one line in two files counts once."""
        return f"{self.timestamp} {self.instance} {self.status} {self.count} {self.client_address}"


class _Sign(_Timed, frozen=True):
    """What else is read of a shim: that it lives, is in a phase, has dropped lines."""

    event: str
    instance: str | None = None
    phase: str | None = None
    phases: str | None = None
    lines: Annotated[int, Meta(gt=0)] = 1
    requests: Annotated[int, Meta(ge=0)] | None = None
    run: str = ""


_Counted = Record | _Calls | _Refused
_refused: Final = msgspec.json.Decoder(_Refused)
_calls: Final = msgspec.json.Decoder(_Calls)
_signs: Final = msgspec.json.Decoder(_Sign)


@dataclass(frozen=True, slots=True)
class Source:
    """A stream of lines and what to call it."""

    name: str
    stream: BinaryIO


class Lines:
    """Reads sources one after the other.  Broken lines are counted and named, never fatal.

    ``broken`` is the number of lines without a record in them, ``lost`` the number of records
    known to be missing: lines that the shim dropped, ``lost_since`` then, uses that cannot be read,
    files that end too early.  ``problems`` names the first of them.  ``silent`` are sources in
    which no shim shows; ``cut_short`` tells that one ended early.  ``shown`` is the evidence from
    ``since`` on, once all has been read.
    """

    def __init__(
        self, since: datetime | None = None, *, lost_since: datetime | None = None
    ) -> None:
        self.broken = 0
        self.lost = 0
        self.problems: list[str] = []
        self.shown: Evidence | None = None
        self.silent: list[str] = []
        self.cut_short = False
        self._since = since
        self._lost_since = lost_since
        self._seen: set[bytes | str] = set()
        self._count = Count()
        # By instance, moment and what it is: a line in two files tells one thing.
        self._carried: dict[tuple[str, datetime, str], int] = {}
        # By instance and process: two of one name are two.
        self._life: defaultdict[tuple[str, str], set[tuple[datetime, int]]] = defaultdict(set)

    def evidence(self, sources: Iterable[Source]) -> Evidence:
        """Read everything and return the sums."""
        shown = None if self._since is None else Count()
        number = 0
        for number, source in enumerate(sources, 1):  # noqa: B007 - how many there are
            for record in self._records(source):
                _add(self._count, record)
                if shown is not None and self._is_wanted(record):
                    _add(shown, record)
        for (instance, _), marks in self._life.items():
            self._count.spans.extend(_spans(instance, marks))
        for (instance, moment, _), requests in self._carried.items():
            self._count.add_carried(instance, requests, moment)
        self.shown = None if shown is None else shown.evidence()
        silent = self.silent if len(self.silent) < number else []
        return replace(self._count.evidence(), beat=LOG_BEAT, silent_sources=silent)

    def uses(self, sources: Iterable[Source]) -> Iterator[dict[str, Any]]:
        """Yield each use once, as ``Use.as_dict`` gives it, in the order of the sources."""
        for record in self.records(sources):
            if isinstance(record, Use) and self._is_wanted(record):
                yield record.as_dict()

    def records(self, sources: Iterable[Source]) -> Iterator[Record]:
        """Yield each use and each near miss once, in the order of the sources."""
        for source in sources:
            for record in self._records(source):
                if not isinstance(record, _Calls | _Refused):
                    yield record

    def _records(self, source: Source) -> Iterator[_Counted]:
        """Yield the records that are new, and note the shims' signs of life."""
        unframer = Unframer()
        number = 0
        self._shows_a_shim = False
        try:
            for number, line in enumerate(raw_lines(source.stream), 1):
                if record := self._take(unframer, line, f"{source.name}:{number}"):
                    yield record
        except (OSError, EOFError) as error:
            self.lost += 1
            self.cut_short = True
            self._problem(f"{source.name}: ends early, after line {number}: {error}")
        if record := self._take(unframer, None, f"{source.name}:{number}"):
            yield record
        if not self._shows_a_shim:
            self.silent.append(source.name)

    def _take(self, unframer: Unframer, line: bytes | None, where: str) -> _Counted | None:
        try:
            event = unframer.finish() if line is None else unframer.feed(line)
            return None if event is None else self._read(event)
        except BrokenLineError as error:
            self.broken += 1
            self.lost += any(event in error.line for event in _TELLING)
            self._problem(f"{where}: {error}")
            return None

    def _read(self, event: Event) -> _Counted | None:
        """Return the record in ``event`` if it is new, or note what else it tells."""
        record: _Counted
        try:
            if event.name in (events.USE, events.NEAR_MISS):
                record = decode_record(event.line)
            elif event.name == events.REPLACEMENT:
                record = _calls.decode(event.line)
            elif event.name == events.REFUSED:
                record = _refused.decode(event.line)
                if not record.unreadable or record.instance is None:
                    return None
            else:
                if event.name in _SIGNS:
                    self._note(_signs.decode(event.line))
                elif not event.name and _WRAPPED_USE.search(event.line):
                    raise BrokenLineError("a use within something else", event.line)
                return None
        except (ValueError, OverflowError, RecursionError) as error:
            raise BrokenLineError(str(error), event.line) from None
        self._shows_a_shim = True
        key = _key(record.id)
        if key in self._seen:
            return None
        self._seen.add(key)
        return record

    def _note(self, sign: _Sign) -> None:
        moment = sign.timestamp
        if sign.event == events.LINES_DROPPED and (
            self._lost_since is None or moment >= self._lost_since
        ):
            self.lost += sign.lines
        if sign.instance is None:
            return
        self._shows_a_shim = True
        if sign.event in _LIFE:
            self._life[sign.instance, sign.run].add((moment, _LIFE[sign.event]))
            if sign.requests is not None:
                self._carried[sign.instance, moment, sign.event] = sign.requests
        phase = sign.phases or sign.phase
        if sign.event in (events.LISTENING, events.PHASE) and phase is not None:
            self._count.phase_changes.add((moment, sign.instance, phase))

    def _is_wanted(self, record: _Counted) -> bool:
        return self._since is None or record.timestamp >= self._since

    def _problem(self, text: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(text)


def _add(count: Count, record: _Counted) -> None:
    moment = record.timestamp
    if isinstance(record, _Calls):
        count.add_replacements(
            record.caller,
            record.caller_source,
            record.mode,
            record.count,
            moment,
            reached=record.did_reach,
        )
    elif isinstance(record, _Refused):
        count.add_unreadable(record.client_address, record.count, moment)
    else:
        count.add(record)


def _spans(instance: str, marks: Iterable[tuple[datetime, int]]) -> Iterator[Span]:
    """Join signs of life that are at most two minutes, two heartbeats, apart."""
    start: datetime | None = None
    last = datetime.min.replace(tzinfo=UTC)
    for moment, what in sorted(marks):
        begins = what == _LIFE[events.LISTENING]
        if start is not None and (begins or moment - last > LONGEST_SILENCE):
            yield Span(instance=instance, start=start, end=last)
            start = None
        start = start or moment
        last = moment
        if what == _LIFE[events.STOPPED]:
            yield Span(instance=instance, start=start, end=last, stopped=True)
            start = None
    if start is not None:
        yield Span(instance=instance, start=start, end=last)


def _key(text: str) -> bytes | str:
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return text
