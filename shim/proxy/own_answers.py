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

WholeAnswer = tuple[AnswerHead, bytes]
"""A whole answer: its head and its content."""


def whole_answer(status: int, reason: bytes, fields: list[Field], content: bytes) -> WholeAnswer:
    """Return a whole answer with its length at its place, before all other fields."""
    length = field(b"content-length", b"%d" % len(content))
    head = AnswerHead(status, reason, [length, *fields], Framing.LENGTH, len(content))
    return head, content


def error_answer(status: int, message: str) -> WholeAnswer:
    """Return an answer in Restate's error shape."""
    reason = HTTPStatus(status).phrase.encode()
    kind = field(b"content-type", b"application/json")
    return whole_answer(status, reason, [kind], error_body(message))


def answer_to(error: Exception) -> WholeAnswer:
    """Return the answer to a request that ``error`` came of: what it says, or that we failed."""
    if isinstance(error, FramingError | UpstreamError):
        return error_answer(error.status, str(error))
    return _CRASHED


_CRASHED: Final = error_answer(500, "The shim failed; its log says how")
