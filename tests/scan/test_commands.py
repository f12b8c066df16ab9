"""Command lines: how many calls they make, where each stands, and what is said of its mode."""

from __future__ import annotations

import pytest

from shim.scan.documents import find_in_file
from shim.scan.finding import Finding

URL = "http://localhost:9070/invocations"


def found_in(text: str, name: str = "a.sh") -> list[Finding]:
    return list(find_in_file(name, name, text, text.encode()).findings)


# What it did: of the URLs of one command it saw the first only, and knew no --next.
@pytest.mark.parametrize(
    "line",
    [
        f"curl -X DELETE {URL}/a {URL}/b?mode=kill",
        f"curl -X DELETE {URL}/a --next -X DELETE {URL}/b?mode=kill",
        f"curl -X DELETE {URL}/a -: -sX DELETE {URL}/b?mode=kill",
        f"curl -X DELETE {URL}/a && curl -X DELETE {URL}/b?mode=kill",
        f"sh -c 'curl -X DELETE {URL}/a; curl -X DELETE {URL}/b?mode=kill'",
    ],
)
def test_each_call_of_a_line_is_found(line: str) -> None:
    assert [one.mode for one in found_in(line)] == ["cancel", "kill"]


def test_another_request_of_the_same_command_is_none_of_it() -> None:
    line = f"curl -X DELETE {URL}/a --next -X PATCH {URL}/b/kill --next {URL}/c"
    assert [(one.mode, one.code) for one in found_in(line)] == [
        ("cancel", f"curl -X DELETE {URL}/a")
    ]


# What it did: a line of more than 8,000 characters was left out, and nothing said so.
def test_a_long_line_is_read() -> None:
    line = f"echo {'x' * 10_000}; curl -X DELETE {URL}/a?mode=kill"
    (one,) = found_in(line)
    assert (one.mode, one.column) == ("kill", 10_008)


# What it did: it took what holds where nobody says anything else for what is sent.
@pytest.mark.parametrize(
    "text",
    [
        'curl -X DELETE "http://restate:9070/invocations/$1?mode=${2:-kill}"',
        'MODE=${2:-kill}\ncurl -X DELETE "http://restate:9070/invocations/$1?mode=$MODE"',
        'MODE ?= kill\nx:\n\tcurl -X DELETE "http://restate:9070/invocations/x?mode=$(MODE)"',
    ],
)
def test_a_default_is_no_fact_but_is_said(text: str) -> None:
    (one,) = found_in(text)
    assert one.mode is None
    assert "kill unless told otherwise" in one.reason


@pytest.mark.parametrize("query", ["mode", "mode=kill&mode=purge", "mode=KILL"])
def test_what_restate_refuses_is_said(query: str) -> None:
    (one,) = found_in(f"curl -X DELETE '{URL}/x?{query}'")
    assert one.mode is None
    assert "refuses (400)" in one.reason


# What it did: what a quoted id stood in was no part of the code, nor of its replacement.
def test_a_word_of_several_pieces_is_rewritten_where_that_is_sure() -> None:
    (one,) = found_in(f'curl -X DELETE "{URL}/"$id"?mode=kill"')
    assert one.code == f'curl -X DELETE "{URL}/"$id"?mode=kill"'
    assert one.replacement == f'curl -X PATCH "{URL}/"$id"/kill"'
    (one,) = found_in(f'curl -X DELETE "{URL}/inv_"$id')
    assert one.edits == ()


def test_what_make_is_told_of_a_command_is_no_part_of_it() -> None:
    (one,) = found_in(f"x:\n\t@curl -X DELETE {URL}/x?mode=kill\n", "Makefile")
    assert (one.code, one.column) == (f"curl -X DELETE {URL}/x?mode=kill", 3)
