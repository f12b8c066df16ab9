"""The records: one call to the deprecated route, one near miss, one call to a new endpoint.

These are plain frozen values, made once per call by the data plane.  What a use and a near miss are
is declared here and nowhere else: the line in the log and its reader, the columns of the ledger and
the JSON of the reports follow from the fields of :class:`Use` and :class:`NearMiss`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict, force_setattr, replace

from shim.ledger import events
from shim.moments import rfc3339
from shim.route.policy import Phase
from shim.route.text import OTHER as OTHER  # noqa: PLC0414 - part of what a record is

UNCLEAR: Final = "invalid"
"""What stands for the mode of a use that has none that can be read."""

Moment = Annotated[datetime, Meta(tz=True)]
# What each of the two databases takes: PostgreSQL's integer has 32 bits.
Whole = Annotated[int, Meta(gt=-(2**31), lt=2**31)]
Real = Annotated[float, Meta(gt=-1e15, lt=1e15)]

# Null where a line has no such field: what carries logs on likes to drop nulls.  A plain default
# would be left out of the line itself.
_NULL: Final[Any] = msgspec.field(default_factory=NoneType)


class Decision(StrEnum):
    """What the shim did with a call to the deprecated route."""

    TRANSLATED = "translated"
    OBSERVED = "observed"
    FELL_BACK = "fell_back"
    REFUSED = "refused"
    INVALID = "invalid"
    FAILED = "failed"


def _as_kept(moment: datetime) -> datetime:
    """Return a time in UTC and whole milliseconds, as the log and the ledger hold it."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class _Record(Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """What is known of every call that is kept by itself: which, when, whose."""

    id: str
    timestamp: Moment
    caller: str
    caller_source: str
    user_agent: str | None = _NULL
    client_address: str
    request_id: str | None = _NULL
    trace_id: str | None = _NULL

    def __post_init__(self) -> None:
        force_setattr(self, "timestamp", _as_kept(self.timestamp))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready fields in the order of the specification."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        del fields["event"]
        fields["timestamp"] = rfc3339(self.timestamp)
        return fields


class Use(_Record, frozen=True, kw_only=True, tag=events.USE):
    """One call to ``DELETE /invocations/{invocation_id}``, as it is logged and stored.

    ``status`` is what the caller got and ``upstream_status`` what Restate said last (``None``:
    it was not asked or did not answer).  ``masked`` is true where the caller was told 202 and the
    new endpoint says 404 or 409, ``would_refuse`` where it was served only because of a dry run,
    ``announced`` where the answer carried ``Deprecation`` and its companions; both are left out of
    the line where they are not true.  ``target`` carries no value of any query parameter but
    ``mode``.
    """

    target: str
    api_version: str | None = _NULL
    invocation_id: str
    mode: str | None = _NULL
    mode_given: str | None = _NULL
    phase: str
    decision: Decision
    replacement: str
    upstream_status: Whole | None = _NULL
    status: Whole
    masked: bool
    duration_ms: Real
    error: str | None = _NULL
    instance: str
    version: str
    would_refuse: bool = False
    announced: bool = False

    @property
    def admitted(self) -> bool:
        """Whether it makes its caller one from before a freeze.

        One that was refused or could not be read does not, nor one that only the dry run of a
        freeze let through: what that freeze would refuse it must go on noting.
        """
        let_through = self.decision not in (Decision.REFUSED, Decision.INVALID)
        return let_through and not (self.would_refuse and self.phase == Phase.FREEZE)


class NearMiss(_Record, frozen=True, kw_only=True, tag=events.NEAR_MISS):
    """A call that shows somebody migrating to the wrong verb, path or mode."""

    method: str
    target: str
    kind: str
    hint: str
    status: Whole
    instance: str
    version: str


class PhaseChange(Struct, frozen=True, kw_only=True, tag=events.PHASE, tag_field="event"):
    """The phase that one instance went into, and when."""

    timestamp: Moment
    instance: str
    phase: str

    def __post_init__(self) -> None:
        force_setattr(self, "timestamp", _as_kept(self.timestamp))


Record = Use | NearMiss
Told = Record | PhaseChange
"""What a journal holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementCall:
    """A call that a caller made to one of the new endpoints by itself.

    ``reached`` tells that a handler took it: it would have done without the old route.
    """

    timestamp: datetime
    caller: str
    caller_source: str
    mode: str
    status: int
    reached: bool
    instance: str


_AnyTold = TypeVar("_AnyTold", bound=Told)


class RecordError(ValueError):
    """A line that holds no record; the message says why."""


_encoder: Final = msgspec.json.Encoder()
_records: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)
_told: Final[msgspec.json.Decoder[Told]] = msgspec.json.Decoder(Told)


def encode(record: Told) -> bytes:
    """Return the line of the log that holds ``record``, in ASCII and without the line's end."""
    try:
        line = _encoder.encode(record)
    except UnicodeEncodeError:
        line = _encoder.encode(_without_surrogates(record))
    if not line.isascii() or b"\x7f" in line:
        # What acts on a terminal, or ends a line for some readers, stays out of the log.
        line = json.dumps(json.loads(line), separators=(",", ":")).encode()
    # Event, level and time come first in all lines; and msgspec writes no fraction of a second or
    # six digits of it.  Nothing here can be inside of a field: quotes are escaped there.
    start, _, end = line.partition(b'"timestamp":"')
    event, _, start = start.partition(b",")
    timestamp, _, end = end.partition(b'Z",')
    timestamp = timestamp[:-3] if b"." in timestamp else timestamp + b".000"
    return b'%b,"level":"info","timestamp":"%bZ",%b%b' % (event, timestamp, start, end)


def decode_record(line: bytes) -> Record:
    """Return the record in a line of the log; raise :class:`RecordError` where there is none.

    Fields that no record has are passed over.
    """
    return _decoded(_records, line)


def decode(line: bytes) -> Told:
    """Return what is in a line of the journal, as :func:`decode_record` does."""
    return _decoded(_told, line)


def _decoded(decoder: msgspec.json.Decoder[_AnyTold], line: bytes) -> _AnyTold:
    try:
        return decoder.decode(line)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecordError(str(error)) from None


def _without_surrogates(record: Told) -> Told:
    """Return ``record`` without what is no text in UTF-8; what the shim decodes has none of it."""
    texts = {name: text for name, text in asdict(record).items() if isinstance(text, str)}
    clean = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}
    return replace(record, **clean)
