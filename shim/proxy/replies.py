"""Answers that the shim makes itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Framing
from shim.http1.fields import Field, field
from shim.http1.grammar import FramingError
from shim.route.replies import error_body
from shim.upstream.errors import UpstreamError

Reply = tuple[AnswerHead, bytes]
"""A whole answer: its head and its content."""


def reply(status: int, reason: bytes, fields: list[Field], content: bytes) -> Reply:
    """Return a whole answer with its length at its place, before all other fields."""
    length = field(b"content-length", b"%d" % len(content))
    head = AnswerHead(status, reason, [length, *fields], Framing.LENGTH, len(content))
    return head, content


def error_reply(status: int, message: str) -> Reply:
    """Return an answer in Restate's error shape."""
    reason = HTTPStatus(status).phrase.encode()
    kind = field(b"content-type", b"application/json")
    return reply(status, reason, [kind], error_body(message))


def answer_to(error: Exception) -> Reply:
    """Return the answer to a request that ``error`` came of: what it says, or that we failed."""
    if isinstance(error, FramingError | UpstreamError):
        return error_reply(error.status, str(error))
    return _CRASHED


_CRASHED: Final = error_reply(500, "The shim failed; its log says how")
