"""What callers of the old route get, against what real servers answered."""

from __future__ import annotations

from typing import Any

import pytest

from shim.route.meaning import Miss, OldCall, interpret
from shim.route.replies import Replies, map_reply, reached_handler, reached_new_endpoint
from tests.support.contract import observed


@pytest.mark.parametrize("case", list(observed("states")))
def test_a_legacy_reply_is_what_the_old_route_said(case: dict[str, Any]) -> None:
    patch, delete = case["patch"], case["delete"]
    body = patch["body"].encode()
    assert reached_handler(patch["status"], body)
    mapped = map_reply(Replies.LEGACY, patch["status"])
    assert mapped.status == delete["status"]
    assert (body.decode() if mapped.with_body else "") == delete["body"]
    assert mapped.masked == (patch["status"] in (404, 409))


@pytest.mark.parametrize("case", list(observed("versions")))
def test_a_version_nobody_serves_never_becomes_202(case: dict[str, Any]) -> None:
    target = case["prefix"].encode() + b"/invocations/inv_1"
    meaning = interpret(b"DELETE", target)
    if case["prefix"] == "/v1":
        assert isinstance(meaning, Miss)
        assert meaning.kind == "removed_version"
        return
    assert isinstance(meaning, OldCall)
    assert meaning.new_target == target + b"/cancel"
    handled = reached_handler(case["patch"]["status"], case["patch"]["body"].encode())
    assert handled == (case["delete"]["status"] != 404)


@pytest.mark.parametrize(
    ("status", "content_type", "reached"),
    [
        *((status, None, True) for status in (200, 202, 204, 409)),
        (404, b"application/json", True),
        (404, b"Application/JSON; charset=utf-8", True),
        (404, None, False),
        (404, b"text/plain", False),
        *((status, b"application/json", False) for status in (400, 401, 405, 429, 500, 503)),
    ],
)
def test_a_new_call_has_reached_a_handler_where_one_took_it(
    status: int, content_type: bytes | None, *, reached: bool
) -> None:
    assert reached_new_endpoint(status, content_type) is reached


@pytest.mark.parametrize(
    ("replies", "status", "expected", "with_body", "masked"),
    [
        (Replies.LEGACY, 200, 202, False, False),
        (Replies.LEGACY, 202, 202, False, False),
        (Replies.LEGACY, 404, 202, False, True),
        (Replies.LEGACY, 409, 202, False, True),
        (Replies.DOCUMENTED, 200, 202, False, False),
        (Replies.DOCUMENTED, 404, 404, True, False),
        (Replies.DOCUMENTED, 409, 409, True, False),
        (Replies.NATIVE, 200, 200, True, False),
        (Replies.NATIVE, 404, 404, True, False),
        *(
            (replies, status, status, True, False)
            for replies in Replies
            for status in (400, 405, 429, 500, 503)
        ),
    ],
)
def test_each_kind_of_replies_maps_each_status(
    replies: Replies, status: int, expected: int, *, with_body: bool, masked: bool
) -> None:
    mapped = map_reply(replies, status)
    assert (mapped.status, mapped.with_body, mapped.masked) == (expected, with_body, masked)


@pytest.mark.parametrize(
    ("status", "body", "reached"),
    [
        (404, b"", False),
        (405, b"", False),
        (404, b"not found", False),
        (404, b"[]", False),
        (404, b'{"error": "x"}', False),
        (404, b'{"message": 1}', False),
        (404, b"\xff", False),
        (404, b'{"message": "gone", "restate_code": null}', True),
        (405, b'{"message": "deprecated, use PATCH", "restate_code": null}', True),
        (400, b"", True),
        (500, b"", True),
    ],
)
def test_only_a_json_error_shows_that_a_handler_answered(
    status: int, body: bytes, *, reached: bool
) -> None:
    assert reached_handler(status, body) is reached
