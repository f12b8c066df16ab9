"""Times and durations as text, one grammar for settings, windows, records and pages."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

_UNITS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])")
_ISO_DURATION: Final = re.compile(r"P(?=.)(?:\d+W)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?")
_LONGEST: Final = timedelta(days=36525)


def rfc3339(moment: datetime) -> str:
    """Format an aware ``moment`` as RFC 3339 in UTC with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Parse an RFC 3339 time with an offset; raise ``ValueError`` where there is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is beyond the calendar") from None


def parse_moment(text: str) -> datetime:
    """Parse a date (midnight UTC) or an RFC 3339 time."""
    try:
        if len(text) == len("2027-01-31"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        return parse_rfc3339(text)
    except ValueError:
        raise ValueError("a date such as 2027-01-31 or a time such as 2027-01-31T10:00Z") from None


def parse_duration(text: str) -> timedelta:
    """Parse ``30s``, ``250ms``, ``1h30m``, ``14d`` or ISO 8601 ``PT30M``, ``P1DT2H``."""
    body = text.strip().lower()
    if body.startswith("p"):
        days, _, clock = body[1:].partition("t")
        # In ISO 8601 an M before the T is a month, whose length nobody knows.
        body = "" if "m" in days else days + clock
    parts = list(_PART.finditer(body))
    if not parts or "".join(part[0] for part in parts) != body:
        raise ValueError("a duration such as 30s, 250ms, 1h30m, 14d or PT30M")
    seconds = sum(float(part[1]) * _UNITS[part[2]] for part in parts)
    if seconds > _LONGEST.total_seconds():
        raise ValueError("a duration of at most 100 years")
    return timedelta(seconds=seconds)


def parse_since(text: str, now: datetime) -> datetime:
    """Parse a moment before ``now``: a duration back such as ``30d``, or a date or a time."""
    try:
        try:
            since = now - parse_duration(text)
        except ValueError:
            since = parse_moment(text)
    except (ValueError, OverflowError):
        raise ValueError("a duration back such as 30d, or a date") from None
    if since >= now:
        raise ValueError("a moment in the past")
    return since


def parse_iso_duration(text: str) -> timedelta:
    """Parse a duration as ISO 8601 writes it, ``PT30M`` or ``P1DT2H``, and in no other spelling."""
    if not _ISO_DURATION.fullmatch(text):
        raise ValueError("a duration such as PT30M or P1DT2H")
    return parse_duration(text)


def length(duration: timedelta | float) -> str:
    """Return a duration for people, to two units: ``3 days 4 h``, ``12 s``."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if 0 < seconds < 1:
        return "less than 1 s"
    left = int(seconds)
    parts = []
    for size, name in ((86400, "day"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}s" if name == "day" and count > 1 else f"{count} {name}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def minute(moment: datetime | None) -> str:
    """Return ``2026-11-07 13:02 UTC``, or a dash."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "–"
