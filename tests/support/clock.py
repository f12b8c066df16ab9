"""A clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime


@dataclass
class Clock:
    """Shows the moment it was set to."""

    moment: datetime

    def __call__(self) -> datetime:
        return self.moment


def http_date(moment: datetime) -> bytes:
    """What stands in a `Date` (RFC 9110 section 5.6.7)."""
    return format_datetime(moment, usegmt=True).encode()
