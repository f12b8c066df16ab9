"""The records: one call to the deprecated route, one near miss, one call to a new endpoint.

These are plain frozen values.  They are made once per call by the data plane, and every store,
log line and report is derived from them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from shim.moments import rfc3339

USE_EVENT: Final = "deprecated_route_used"
NEAR_MISS_EVENT: Final = "migration_near_miss"
REPLACEMENT_EVENT: Final = "replacement_endpoint_used"

OTHER: Final = "(other)"
"""The name under which callers past a cap are summed."""


class Decision(StrEnum):
    """What the shim did with a call to the deprecated route."""

    TRANSLATED = "translated"
    OBSERVED = "observed"
    FELL_BACK = "fell_back"
    REFUSED = "refused"
    INVALID = "invalid"
    FAILED = "failed"


def admits(decision: str, phase: str, *, would_refuse: bool) -> bool:
    """Tell whether such a call makes its caller one from before a freeze.

    One that was refused or could not be read does not, nor one that only the dry run of a freeze
    let through: what that freeze would refuse it must go on noting.
    """
    return decision not in (Decision.REFUSED, Decision.INVALID) and not (
        would_refuse and phase == "freeze"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What is known of every call that is kept by itself: which, when, whose."""

    id: str
    timestamp: datetime
    caller: str
    caller_source: str
    user_agent: str | None
    client_address: str
    request_id: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use(_Record):
    """One call to ``DELETE /invocations/{invocation_id}``, as it is logged and stored.

    ``status`` is what the caller got and ``upstream_status`` what Restate said last (``None``:
    it was not asked or did not answer).  ``masked`` is true where the caller was told 202 and the
    new endpoint says 404 or 409, ``would_refuse`` where it was served only because of a dry run,
    ``announced`` where the answer carried ``Deprecation`` and its companions.  ``target`` carries
    no value of any query parameter but ``mode``.
    """

    target: str
    api_version: str | None
    invocation_id: str
    mode: str | None
    mode_given: str | None
    phase: str
    decision: Decision
    replacement: str
    upstream_status: int | None
    status: int
    masked: bool
    duration_ms: float
    error: str | None
    instance: str
    version: str
    would_refuse: bool = False
    announced: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready fields in the order of the specification."""
        return without_defaults(_as_dict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss(_Record):
    """A call that shows somebody migrating to the wrong verb, path or mode."""

    method: str
    target: str
    kind: str
    hint: str
    status: int
    instance: str
    version: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready fields."""
        return _as_dict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementCall:
    """A call that a caller made to one of the new endpoints by itself."""

    timestamp: datetime
    caller: str
    caller_source: str
    mode: str
    status: int
    instance: str


OPTIONAL: Final = ("would_refuse", "announced")
"""Fields of a use that are left out where they are not true."""


def without_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Leave the :data:`OPTIONAL` fields out where they are not true."""
    for name in OPTIONAL:
        if not values[name]:
            del values[name]
    return values


# Looked up once: this is done for every call.
_NAMES: Final = {kind: tuple(field.name for field in fields(kind)) for kind in (Use, NearMiss)}
_VALUES: Final = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


def _as_dict(record: Use | NearMiss) -> dict[str, Any]:
    kind = type(record)
    values = dict(zip(_NAMES[kind], _VALUES[kind](record), strict=True))
    values["timestamp"] = rfc3339(record.timestamp)
    return values
