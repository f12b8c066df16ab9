"""The rules of the deprecated route, against what real servers answered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.report.words import NEAR_MISSES
from shim.route.meaning import (
    BESIDE,
    Miss,
    Mode,
    NewCall,
    OldCall,
    interpret,
    may_concern_us,
    near_miss_of,
    parse_mode,
    redact_target,
)
from tests.support.contract import OBSERVED, observed

ID = b"inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
EXPECTED = "expected one of `Cancel`, `cancel`, `Kill`, `kill`, `Purge`, `purge`"
QUERY = "Failed to deserialize query string: "


def old_call(target: bytes) -> OldCall:
    meaning = interpret(b"DELETE", target)
    assert isinstance(meaning, OldCall)
    return meaning


def test_the_observed_contract_of_both_servers_is_here() -> None:
    assert [path.stem for path in OBSERVED] == ["observed-1.6.2", "observed-1.7.12"]


@pytest.mark.parametrize("case", list(observed("modes")))
def test_a_mode_is_read_as_the_server_read_it(case: dict[str, Any]) -> None:
    call = old_call(b"/invocations/" + ID + case["query"].encode())
    if case["delete"]["status"] == 202:
        assert call.problem is None
    else:
        assert (call.problem, call.mode) == (case["delete"]["body"], None)


@pytest.mark.parametrize(
    ("query", "mode", "given_", "problem"),
    [
        (None, Mode.CANCEL, None, None),
        (b"", Mode.CANCEL, None, None),
        (b"mode=%4bill", Mode.KILL, "Kill", None),
        (b"m%6Fde=purge", Mode.PURGE, "purge", None),
        (b"&&mode=kill&", Mode.KILL, "kill", None),
        (b"x=mode=kill", Mode.CANCEL, None, None),
        (
            b"mode=kill;x=1",
            None,
            "kill;x=1",
            f"{QUERY}mode: unknown variant `kill;x=1`, {EXPECTED}",
        ),
        (b"mode=ki+ll", None, "ki ll", f"{QUERY}mode: unknown variant `ki ll`, {EXPECTED}"),
        (b"+mode=kill", Mode.CANCEL, None, None),
        (b"mode=%ff", None, "\ufffd", f"{QUERY}mode: unknown variant `\ufffd`, {EXPECTED}"),
        (b"mode=%zz", None, "%zz", f"{QUERY}mode: unknown variant `%zz`, {EXPECTED}"),
        (b"mode==kill", None, "=kill", f"{QUERY}mode: unknown variant `=kill`, {EXPECTED}"),
        # serde meets a bad value before a second name, and that name before its value.
        (b"mode=x&mode=kill", None, "x", f"{QUERY}mode: unknown variant `x`, {EXPECTED}"),
        (b"mode=kill&mode=x", None, "kill", f"{QUERY}duplicate field `mode`"),
        (b"mode=kill&m%6fde=kill", None, "kill", f"{QUERY}duplicate field `mode`"),
    ],
)
def test_the_query_is_form_decoded_before_the_mode_is_judged(
    query: bytes | None, mode: Mode | None, given_: str | None, problem: str | None
) -> None:
    assert parse_mode(query) == (mode, given_, problem)


@pytest.mark.parametrize(
    ("target", "new_target", "version", "invocation_id"),
    [
        (b"/invocations/x?mode=kill", b"/invocations/x/kill", None, b"x"),
        (b"/v3/invocations/x", b"/v3/invocations/x/cancel", "v3", b"x"),
        (b"/v22/invocations/x", b"/v22/invocations/x/cancel", "v22", b"x"),
        (b"/invocations/a%2Fb?mode=Purge", b"/invocations/a%2Fb/purge", None, b"a%2Fb"),
        (b"/invocations/a;b=c", b"/invocations/a;b=c/cancel", None, b"a;b=c"),
        (b"/invocations/kill", b"/invocations/kill/cancel", None, b"kill"),
        (b"/invocations/x#f?mode=kill", b"/invocations/x/cancel", None, b"x"),
        (b"/invocations/x?mode=kill#f", b"/invocations/x/kill", None, b"x"),
        (b"/invocations/%C3%BC", b"/invocations/%C3%BC/cancel", None, b"%C3%BC"),
    ],
)
def test_the_id_is_one_segment_and_stays_as_it_was_sent(
    target: bytes, new_target: bytes, version: str | None, invocation_id: bytes
) -> None:
    call = old_call(target)
    assert (call.new_target, call.api_version, call.invocation_id, call.problem) == (
        new_target,
        version,
        invocation_id,
        None,
    )


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"DELETE", b"/invocation%73/x"),
        (b"DELETE", b"/Invocations/x"),
        (b"DELETE", b"/v/invocations/x"),
        (b"DELETE", b"/V2/invocations/x"),
        (b"DELETE", b"/v2x/invocations/x"),
        (b"DELETE", b"/a/invocations/x"),
        (b"DELETE", b"/deployments/x?next=/invocations/y"),
        (b"delete", b"/invocations/x"),
        (b"PATCH", b"/invocations/x/resume"),
        (b"PATCH", b"/v3/invocations/x/restart-as-new"),
        (b"PUT", b"/invocations/x/y/z"),
        (b"POST", b"/invocations"),
        (b"POST", b"/internal/invocations_batch_operations/resume"),
        (b"PATCH", b"/internal/invocations_batch_operations/kill"),
        (b"POST", b"/internal/invocations_batch_operations/kill/"),
        (b"POST", b"/query"),
        # The web UI reads invocations: that is no mistake on anybody's way.
        *(
            (method, path)
            for method in (b"GET", b"HEAD")
            for path in (
                *(b"/invocations/x", b"/invocations/x/kill", b"/invocations/", b"//invocations/x"),
                *(b"/invocation/x", b"/restate/invocations/x/output", b"/v1/invocations/x/kill"),
            )
        ),
    ],
)
def test_what_the_server_does_not_route_there_is_none_of_our_business(
    method: bytes, target: bytes
) -> None:
    assert interpret(method, target) is None


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("prefix", [b"", b"/v2"])
def test_a_migrated_caller_is_seen_by_its_patch(mode: Mode, prefix: bytes) -> None:
    target = prefix + b"/invocations/x/" + mode.encode()
    assert interpret(b"PATCH", target) == NewCall(mode)
    batch = prefix + b"/internal/invocations_batch_operations/" + mode.encode()
    assert interpret(b"POST", batch + b"?x=y") == NewCall(mode)


@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        (b"POST", b"/invocations/x/kill", "wrong_method"),
        (b"DELETE", b"/v3/invocations/x/purge", "wrong_method"),
        (b"FOO", b"/invocations/x/cancel?mode=kill", "wrong_method"),
        (b"DELETE", b"/invocations/a/b", "extra_segment"),
        (b"DELETE", b"/invocations/a/b/c", "extra_segment"),
        (b"DELETE", b"/v1/invocations/x?mode=kill", "removed_version"),
        (b"PATCH", b"/v1/invocations/x/kill", "removed_version"),
        (b"DELETE", b"/v1/invocations/x/y", "removed_version"),
        (b"PATCH", b"/v1/invocation/x/", "removed_version"),
        (b"PATCH", b"/invocations/x", "no_mode_segment"),
        (b"POST", b"/v2/invocations/x?mode=kill", "no_mode_segment"),
        (b"PUT", b"/invocations/x?mode=kill", "no_mode_segment"),
        (b"DELETE", b"/invocations", "no_id"),
        (b"DELETE", b"/invocations?mode=kill", "no_id"),
        (b"DELETE", b"/v3/invocations/", "no_id"),
        (b"PATCH", b"/invocations/x/Kill", "mode_spelling"),
        (b"PATCH", b"/v2/invocations/x/KILL", "mode_spelling"),
        (b"POST", b"/invocations/x/pUrGe", "mode_spelling"),
        (b"PUT", b"/invocations/x/Cancel", "mode_spelling"),
        (b"POST", b"/restate/invocations/x/cancel", "wrong_prefix"),
        (b"DELETE", b"/restate/invocations/x?mode=kill", "wrong_prefix"),
        (b"PATCH", b"/v2/restate/invocations/x", "wrong_prefix"),
        (b"PUT", b"/restate/invocations/x/", "wrong_prefix"),
        (b"DELETE", b"//invocations/x", "double_slash"),
        (b"DELETE", b"/v2//invocations/x", "double_slash"),
        (b"PATCH", b"//v2/invocations/x/kill", "double_slash"),
        (b"PATCH", b"/invocations//x/kill", "double_slash"),
        (b"PATCH", b"/invocations/x//kill", "double_slash"),
        (b"DELETE", b"/invocations/x//", "double_slash"),
        (b"DELETE", b"/invocations/x/", "trailing_slash"),
        (b"DELETE", b"/v2/invocations/x/?mode=kill", "trailing_slash"),
        (b"PATCH", b"/invocations/x/kill/", "trailing_slash"),
        (b"POST", b"/v3/invocations/x/purge/", "trailing_slash"),
        (b"DELETE", b"/invocation/x", "singular"),
        (b"PATCH", b"/v2/invocation/x/kill", "singular"),
        (b"POST", b"/invocation/x/kill", "singular"),
        (b"PUT", b"/invocation/x/", "singular"),
    ],
)
def test_a_wrong_turn_on_the_way_is_a_near_miss(method: bytes, target: bytes, kind: str) -> None:
    meaning = interpret(method, target)
    assert isinstance(meaning, Miss)
    assert meaning.kind == kind
    assert may_concern_us(method + b" " + target + b" HTTP/1.1\r\n")


def test_each_kind_of_near_miss_is_explained_where_people_read_of_it() -> None:
    assert {beside.kind for beside in BESIDE} | {"bad_mode"} == NEAR_MISSES.keys()


@pytest.mark.parametrize(
    ("method", "target", "hint"),
    [
        (
            b"POST",
            b"/v2/invocations/inv_1/kill",
            "use PATCH /v2/invocations/inv_1/kill",
        ),
        (
            b"DELETE",
            b"/v1/invocations/inv_1",
            "/v1 answers 400 for any path: leave it out (/invocations/inv_1)",
        ),
        (
            b"POST",
            b"/restate/invocations/inv_1/cancel",
            "use PATCH /invocations/inv_1/cancel|kill|purge: /restate is not of the admin API",
        ),
        (
            b"PATCH",
            b"//v2//invocations/inv_{x}",
            "use PATCH /invocations/inv_{x}/cancel|kill|purge, with single slashes",
        ),
    ],
)
def test_the_hint_says_what_is_meant(method: bytes, target: bytes, hint: str) -> None:
    meaning = interpret(method, target)
    assert isinstance(meaning, Miss)
    assert meaning.hint == hint


def test_a_bad_mode_is_an_old_call_and_a_near_miss_at_once() -> None:
    bad, good = old_call(b"/invocations/x?mode="), old_call(b"/invocations/x?mode=kill")
    near_miss = near_miss_of(bad)
    assert near_miss is not None
    assert near_miss.kind == "bad_mode"
    assert near_miss_of(good) is None


def test_an_id_that_is_not_utf8_is_judged_before_the_mode() -> None:
    call = old_call(b"/invocations/%ff?mode=bogus")
    assert call.problem == "Invalid URL: Invalid UTF-8 in `invocation_id`"


@pytest.mark.parametrize(
    ("target", "recorded"),
    [
        (b"/invocations/x?mode=kill", "/invocations/x?mode=kill"),
        (b"/invocations/x?token=s3cret&mode=kill", "/invocations/x?token=&mode=kill"),
        (b"/invocations/x?m%6fde=Kill&a=1", "/invocations/x?m%6fde=Kill&a="),
        (b"/invocations/x?s3cret", "/invocations/x?"),
        (b"/invocations/x", "/invocations/x"),
        (b"/invocations/\xff", "/invocations/\\xff"),
    ],
)
def test_no_query_value_but_the_mode_is_recorded(target: bytes, recorded: str) -> None:
    assert redact_target(target) == recorded


@given(st.binary(max_size=60))
def test_no_path_is_ever_rewritten_to_more_than_a_segment_behind_it(tail: bytes) -> None:
    meaning = interpret(b"DELETE", b"/invocations/" + tail)
    if isinstance(meaning, OldCall):
        path = (b"/invocations/" + tail).partition(b"#")[0].partition(b"?")[0]
        assert path.count(b"/") == 2
        assert meaning.new_target in {path + b"/" + mode.encode() for mode in Mode}


@given(st.text(alphabet="modekil=&%6bKP+;", max_size=20))
def test_a_query_has_either_a_mode_or_a_problem(text: str) -> None:
    mode, _, problem = parse_mode(text.encode())
    assert (mode is None) == (problem is not None)


@pytest.mark.parametrize(
    ("line", "concerns"),
    [
        (b"DELETE /invocations/x", True),
        (b"PATCH /v2/invocations/x/Kill", True),
        (b"POST /restate/invocations/x/cancel", True),
        (b"DELETE /invocation/x", True),
        (b"POST /internal/invocations_batch_operations/kill", True),
        (b"POST /query", False),
        (b"GET /services", False),
    ],
)
def test_only_the_first_line_says_whether_a_request_may_concern_us(
    line: bytes, *, concerns: bool
) -> None:
    # The web UI asks "select … from sys_invocation", from a page at /ui/invocations.
    rest = b" HTTP/1.1\r\nReferer: /ui/invocations\r\n\r\nselect id from sys_invocation"
    assert may_concern_us(line + rest) is concerns
