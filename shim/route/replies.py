"""What the callers of the deprecated route get for what the new endpoints answer.

Pure functions over the answers, by what real servers 1.6.2 and 1.7.12 showed.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from typing import NamedTuple


class Replies(StrEnum):
    """Whose answers a caller of the old route gets."""

    LEGACY = "legacy"
    DOCUMENTED = "documented"
    NATIVE = "native"


class Mapped(NamedTuple):
    """What the caller gets for upstream's answer: a status, with or without upstream's body."""

    status: int
    with_body: bool
    masked: bool


@cache
def map_reply(replies: Replies, status: int) -> Mapped:
    """Map the ``status`` of a new endpoint's answer to the reply that the caller gets.

    400, 429 and 5xx pass as they are, as does whatever nobody has seen yet.  The answer must have
    come from a handler: see :func:`reached_handler`.
    """
    as_it_is = Mapped(status, with_body=True, masked=False)
    if replies is Replies.NATIVE:
        return as_it_is
    if status in (200, 202):
        return Mapped(202, with_body=False, masked=False)
    if replies is Replies.LEGACY and status in (404, 409):
        return Mapped(202, with_body=False, masked=True)
    return as_it_is


def reached_handler(status: int, body: bytes) -> bool:
    """Tell a handler's answer from the router's: a 404 or 405 of the router has no JSON error.

    Source: Restate's one error shape, ``{"message": string, "restate_code": string|null}``; a
    server before 1.4 has no new endpoints and its router answers with an empty body.
    """
    if status not in (404, 405):
        return True
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(error, dict) and isinstance(error.get("message"), str)


def reached_new_endpoint(status: int, content_type: bytes | None) -> bool:
    """Tell whether a handler took a call that somebody made to a new endpoint by itself.

    The status says it, or that the invocation is not there (404): a router's 404 has no JSON.
    """
    if status == 404:
        return content_type is not None and content_type.lower().startswith(b"application/json")
    return took(status)


def took(status: int) -> bool:
    """Tell whether the ``status`` of a new endpoint alone shows that a handler took the call.

    It worked, or the invocation is not in a state for it (409).  All else says nothing of whether
    the call would do without the old route.
    """
    return 200 <= status < 300 or status == 409


def error_body(message: str) -> bytes:
    """Return an error in Restate's shape, as JSON bytes."""
    error = {"message": message, "restate_code": None}
    return json.dumps(error, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
