"""JSON lines into evidence: any order, repeats, framing, damage."""

from __future__ import annotations

import gzip
import io
import json
import random
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shim.ledger import events
from shim.ledger.evidence import REACHED, Evidence, Kind
from shim.ledger.log_lines import Lines, Source
from shim.ledger.records import Use
from shim.report.model import State, Status
from tests.support.samples import DAY, HOUR, NOW, as_lines, beats, life_line, report_of, use_line


def read(*contents: bytes) -> tuple[Evidence, Lines]:
    lines = Lines()
    sources = [Source(f"log{n}", io.BytesIO(content)) for n, content in enumerate(contents)]
    return lines.evidence(sources), lines


def comparable(evidence: Evidence) -> tuple[Any, ...]:
    """Return the evidence without its order."""
    return (
        Counter(evidence.sums),
        Counter(evidence.days),
        evidence.callers,
        Counter(evidence.spans),
        evidence.phase_changes,
    )


CALLERS = st.sampled_from(["ci-7", "ops", "é\n"])
LINES = st.lists(
    st.one_of(
        st.builds(
            lambda minutes, caller, mode, masked: use_line(
                NOW - minutes * timedelta(minutes=1), caller=caller, mode=mode, masked=masked
            ),
            st.integers(0, 30 * 24 * 60),
            CALLERS,
            st.sampled_from(["cancel", "kill", None]),
            st.booleans(),
        ),
        st.builds(
            lambda event, minutes, instance: life_line(
                event, NOW - minutes * timedelta(seconds=30), instance
            ),
            st.sampled_from(["listening", "heartbeat", "stopped"]),
            st.integers(0, 20),
            st.sampled_from(["a", "b"]),
        ),
    ),
    max_size=30,
)


@given(LINES, st.randoms(use_true_random=False), st.integers(1, 4))
def test_order_repeats_and_replicas_change_no_sum(
    values: list[dict[str, Any]], chance: random.Random, files: int
) -> None:
    for number, value in enumerate(values):
        if "id" in value:
            value["id"] = use_line(NOW, number)["id"]
    once, lines = read(as_lines(values))
    scattered: list[list[Any]] = [[] for _ in range(files)]
    for value in values + [value for value in values if chance.random() < 0.5]:
        chance.choice(scattered).append(value)
    for part in scattered:
        chance.shuffle(part)
    again, _ = read(*(as_lines(part) for part in scattered))
    assert comparable(again) == comparable(once)
    assert not lines.problems
    uses = [value for value in values if "id" in value]
    assert sum(sum_.count for sum_ in once.sums) == len(uses)
    assert sum(day.count for day in once.days) == len(uses)


@given(st.binary(max_size=300), st.integers(0, 5))
def test_no_bytes_break_the_reading(junk: bytes, at: int) -> None:
    # What begins so is a gzip file, with whatever is in it.
    assume(at > 0 or not junk.startswith(b"\x1f\x8b"))
    good = as_lines([use_line(NOW, n) for n in range(5)]).splitlines(keepends=True)
    evidence, _ = read(b"".join([*good[:at], junk + b"\n", *good[at:]]))
    assert sum(sum_.count for sum_ in evidence.sums) == 5


@pytest.mark.parametrize(
    "frame",
    [
        lambda line: line,
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: b"2026-11-23T14:30:00.123456789Z stdout F " + line,
        lambda line: (
            b"2026-11-23T14:30:00Z stdout P " + line[:40] + b"\n"
            b"2026-11-23T14:30:00Z stdout P " + line[40:90] + b"\n"
            b"2026-11-23T14:30:00Z stdout F " + line[90:]
        ),
        lambda line: json.dumps({"log": line.decode() + "\n", "stream": "stdout"}).encode(),
        lambda line: b"\n".join(
            json.dumps({"log": part, "stream": "stdout", "time": "x"}).encode()
            for part in (line[:50].decode(), line[50:].decode() + "\n")
        ),
        lambda line: b"[pod/shim-0/restate-shim] " + line,
        lambda line: b"restate-shim-1  | " + line,
        lambda line: line + b"\r",
    ],
    ids=[
        "bare",
        "bom",
        "cri",
        "cri in parts",
        "docker",
        "docker in parts",
        "kubectl",
        "compose",
        "crlf",
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_what_container_runtimes_put_around_lines_comes_off(frame: Any, packed: bool) -> None:
    values = [use_line(NOW, n, user_agent="a" * n) for n in range(3)]
    content = b"\n".join(frame(json.dumps(value).encode()) for value in values)
    evidence, lines = read(gzip.compress(content) if packed else content)
    assert sum(sum_.count for sum_ in evidence.sums) == 3
    assert (lines.broken, lines.lost) == (0, 0)


@pytest.mark.parametrize(
    ("line", "lost", "said"),
    [
        (b"Traceback (most recent call last):", 0, "no JSON object"),
        (b'{"event": "deprecated_route_used", "id": "1", "times', 1, "not JSON"),
        (as_lines([use_line(NOW)]).replace(b"ci-7", b"\xff"), 1, "'utf-8' codec can't decode"),
        (b"[1, 2]", 0, "no JSON object"),
        (b'{"a":' * 100_000, 0, "not JSON: maximum recursion depth"),
        (as_lines([use_line(NOW) | {"id": None}]), 1, "Expected `str`, got `null` - at `$.id`"),
        (as_lines([use_line(NOW) | {"timestamp": "today"}]), 1, "Invalid RFC3339"),
        (as_lines([use_line(NOW) | {"timestamp": "2026-11-23T14:30:00"}]), 1, "timezone"),
        (as_lines([use_line(NOW) | {"caller": 7}]), 1, "Expected `str`, got `int` - at `$.caller`"),
        (as_lines([use_line(NOW) | {"mode": ["kill"]}]), 1, "got `array` - at `$.mode`"),
        (
            as_lines([use_line(NOW) | {"upstream_status": "200"}]),
            1,
            "at `$.upstream_status`",
        ),
        (as_lines([life_line("log_lines_dropped", NOW, lines=0)]), 1, "at `$.lines`"),
        (as_lines([life_line("heartbeat", NOW) | {"timestamp": "today"}]), 0, "at `$.timestamp`"),
    ],
)
def test_a_broken_line_is_counted_and_named(line: bytes, lost: int, said: str) -> None:
    content = as_lines([use_line(NOW, 1)]) + line.rstrip() + b"\n" + as_lines([use_line(NOW, 2)])
    evidence, lines = read(content)
    assert sum(sum_.count for sum_ in evidence.sums) == 2
    assert (lines.broken, lines.lost) == (1, lost)
    assert lines.problems[0].startswith("log0:2: ")
    assert said in lines.problems[0]


def test_a_gzip_that_ends_early_gives_what_is_there_and_is_no_proof() -> None:
    chance = random.Random(7)
    values = [use_line(NOW, n, request_id=chance.randbytes(40).hex()) for n in range(2000)]
    whole = gzip.compress(as_lines(values))
    evidence, lines = read(whole[: len(whole) // 2])
    assert 500 < sum(sum_.count for sum_ in evidence.sums) < 2000
    assert lines.lost
    assert "ends early" in lines.problems[-1]


def test_a_line_without_end_takes_bounded_memory() -> None:
    content = b'{"a": "' + b"x" * (9 << 20) + b'"}\n' + as_lines([use_line(NOW)])
    evidence, lines = read(content)
    assert lines.broken == 1
    assert sum(sum_.count for sum_ in evidence.sums) == 1


def test_lines_that_the_shim_dropped_are_no_proof() -> None:
    values = [*beats(NOW - HOUR, NOW)]
    dropped = life_line("log_lines_dropped", NOW, lines=12)
    for extra, status in ([], Status.SAFE), ([dropped], Status.UNPROVEN):
        evidence, lines = read(as_lines([*values, *extra]))
        report = report_of(evidence, window=timedelta(minutes=50), lost=lines.lost)
        assert report.verdict.status is status


def test_heartbeats_prove_that_a_shim_was_up_and_a_stop_that_it_was_meant() -> None:
    begun, ended = NOW - 5 * HOUR, NOW - 3 * HOUR
    values = [*beats(begun, ended), life_line("stopped", ended), *beats(NOW - 2 * HOUR, NOW)]
    evidence, _ = read(as_lines(values))
    first, second = sorted(evidence.spans, key=lambda span: span.start)
    assert (first.start, first.end, first.stopped) == (begun, ended, True)
    assert (second.start, second.end) == (NOW - 2 * HOUR, NOW)
    assert not second.stopped
    assert [change.phase for change in evidence.phase_changes] == ["translate", "translate"]


def test_a_restart_is_a_gap_however_short() -> None:
    restarted = NOW - HOUR + timedelta(seconds=90)
    values = [*beats(NOW - 2 * HOUR, NOW - HOUR), *beats(restarted, NOW)]
    evidence, _ = read(as_lines(values))
    assert [span.start for span in evidence.spans] == [NOW - 2 * HOUR, restarted]


def test_missing_heartbeats_are_a_gap() -> None:
    values = [line for n, line in enumerate(beats(NOW - HOUR, NOW)) if n not in (20, 21, 22)]
    evidence, _ = read(as_lines(values))
    assert len(evidence.spans) == 2
    report = report_of(evidence, window=timedelta(minutes=50))
    assert report.verdict.longest_gap_seconds == 240


def test_uses_without_heartbeats_prove_nothing() -> None:
    evidence, _ = read(as_lines([use_line(NOW - 20 * DAY)]))
    assert report_of(evidence).verdict.status is Status.UNPROVEN


def test_near_misses_count_apart_and_facts_are_those_of_the_latest_use() -> None:
    miss = use_line(
        *(NOW, 9), event=events.NEAR_MISS, kind="wrong_method", method="POST", hint="PATCH it"
    )
    values = [use_line(NOW, 2, user_agent="new"), use_line(NOW - DAY, 1, user_agent="old"), miss]
    evidence, _ = read(as_lines(values))
    assert {sum_.kind for sum_ in evidence.sums} == {Kind.USE, Kind.NEAR_MISS}
    assert evidence.callers["ci-7"].user_agent == "new"
    (caller,) = report_of(evidence).callers
    assert caller.near_miss_kinds == {"wrong_method": 1}


def test_calls_to_the_new_endpoints_count_by_their_sums_and_each_line_once() -> None:
    lines = [
        life_line(
            *(events.REPLACEMENT, NOW - n * DAY),
            id=str(uuid.UUID(int=n)),
            caller="ci-7",
            caller_source="user-agent",
            mode="kill",
            status=200,
            count=5 + n,
        )
        for n in range(3)
    ]
    evidence, _ = read(as_lines([use_line(NOW - 20 * DAY), *lines]), as_lines(lines))
    report = report_of(evidence)
    assert report.totals.replacement_calls == 5 + 6 + 7
    (caller,) = report.callers
    assert (caller.replacement_calls, caller.state) == (18, State.MIGRATED)


@pytest.mark.parametrize("count", [None, 0, -1, "3", True, 1.5])
def test_a_sum_without_a_number_is_broken(count: object) -> None:
    line = life_line(
        *(events.REPLACEMENT, NOW), id="a", caller="b", caller_source="c", mode="kill", count=count
    )
    evidence, lines = read(as_lines([line]))
    assert (evidence.sums, lines.broken, lines.lost) == ([], 1, 0)
    assert "at `$.count`" in lines.problems[0]


@pytest.mark.parametrize(
    ("fields", "reached"),
    [
        *(({"status": status}, True) for status in (200, 202, 409)),
        *(({"status": status}, False) for status in (400, 404, 405, 500)),
        ({}, False),
        ({"status": 404, "reached": True}, True),
        ({"status": 404, "reached": None}, False),
        ({"status": 200, "reached": False}, False),
    ],
)
def test_a_line_tells_whether_new_calls_reached_a_handler_or_its_status_does(
    fields: dict[str, Any], *, reached: bool
) -> None:
    line = life_line(
        *(events.REPLACEMENT, NOW), id="a", caller="b", caller_source="c", mode="kill", count=3
    )
    evidence, _ = read(as_lines([line | fields]))
    assert [one.decision for one in evidence.sums] == [REACHED if reached else None]
    assert [day.count for day in evidence.days] == ([3] if reached else [])


def test_what_a_shim_carried_is_in_its_heartbeats_each_of_them_once() -> None:
    hour = NOW.replace(minute=0)
    lines = [
        life_line("listening", hour),
        life_line("heartbeat", hour + timedelta(minutes=1), requests=4),
        life_line("heartbeat", hour + timedelta(minutes=59), requests=5),
        life_line("heartbeat", hour + timedelta(minutes=60), requests=0),
        life_line("stopped", hour + timedelta(minutes=60), requests=2),
        life_line("heartbeat", hour, "shim-b", requests=0),
        # Of a version that did not count.
        life_line("heartbeat", hour, "shim-c"),
        life_line("heartbeat", hour, "shim-d", requests=None),
    ]
    evidence, _ = read(as_lines(lines), as_lines(lines[2:]))
    assert [(one.instance, one.hour, one.requests) for one in evidence.traffic] == [
        ("shim-a", hour, 9),
        ("shim-b", hour, 0),
        ("shim-a", hour + HOUR, 2),
    ]


def test_what_could_not_be_read_is_counted_by_its_address() -> None:
    refused: dict[str, Any] = {
        "status": 400,
        "error": "no",
        "client_address": "10.0.0.7",
        "count": 1,
    }
    lines = [
        life_line("request_refused", NOW, **refused, unreadable=True),
        life_line("request_refused", NOW + DAY, **(refused | {"count": 7}), unreadable=True),
        life_line("request_refused", NOW, **(refused | {"status": 408}), unreadable=True),
        # Its first line could be read.
        life_line("request_refused", NOW, **(refused | {"client_address": "::1"})),
        # Of a version that did not tell.
        {
            name: value
            for name, value in life_line("request_refused", NOW, **refused).items()
            if name != "instance"
        },
    ]
    evidence, read_lines = read(as_lines(lines), as_lines(lines))
    assert read_lines.broken == 0
    (one,) = evidence.sums
    assert (one.kind, one.caller, one.caller_source, one.count, one.first, one.last) == (
        *(Kind.UNREADABLE, "10.0.0.7", "address", 9),
        *(NOW, NOW + DAY),
    )
    assert [(day.kind, day.count) for day in evidence.days] == [
        (Kind.UNREADABLE, 2),
        (Kind.UNREADABLE, 7),
    ]


def test_a_change_of_the_phase_is_read_too() -> None:
    changed = life_line("phase_changed", NOW - HOUR, phase="reject", before="translate")
    evidence, _ = read(as_lines([*beats(NOW - 2 * HOUR, NOW), changed]))
    assert [change.phase for change in evidence.phase_changes] == ["translate", "reject"]


def test_uses_come_back_once_each_with_the_fields_of_the_specification() -> None:
    values = [use_line(NOW - DAY, 1), use_line(NOW, 2), use_line(NOW, 2)]
    lines = Lines(since=NOW - HOUR)
    (use,) = lines.uses([Source("a", io.BytesIO(as_lines(values)))])
    assert list(use) == [*Use.__struct_fields__[: -len(("would_refuse", "announced"))]]
    assert use["id"] == values[1]["id"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda line: {"message": json.dumps(line)},
        lambda line: {"jsonPayload": line},
        lambda line: {"a": {"b": json.dumps({"c": json.dumps(line)})}},
    ],
    ids=["a string", "an object", "strings in strings"],
)
def test_a_use_within_something_else_is_lost_and_not_passed_over(wrap: Any) -> None:
    # What collectors of logs wrap lines in was no error, and the verdict rested on the others.
    lines = as_lines([*beats(NOW - HOUR, NOW), wrap(use_line(NOW))])
    evidence, read_lines = read(lines)
    assert (read_lines.lost, read_lines.broken) == (1, 1)
    assert evidence.sums == []


def test_what_callers_write_into_our_own_lines_loses_nothing() -> None:
    said = life_line("caller_left", NOW, client_address='"event":"deprecated_route_used"')
    _, lines = read(as_lines([*beats(NOW - HOUR, NOW), said]))
    assert (lines.lost, lines.broken) == (0, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'Error from server (NotFound): pods "b" not found\n',
        b'{"level":"info"}\n',
        b"\xff\xfe",
    ],
)
def test_a_file_in_which_no_shim_shows_is_named_beside_others(content: bytes) -> None:
    evidence, lines = read(as_lines(beats(NOW - HOUR, NOW)), content)
    assert (evidence.silent_sources, lines.silent) == (["log1"], ["log1"])
    # By itself it proves nothing anyway.
    assert read(content)[0].silent_sources == []


def test_two_processes_of_one_name_are_two() -> None:
    # Their lines were joined, and that one of them had gone dark was not seen.
    one = [line | {"run": "1"} for line in beats(NOW - 3 * HOUR, NOW)]
    other = [line | {"run": "2"} for line in beats(NOW - 3 * HOUR, NOW - HOUR)]
    spans = read(as_lines([*one, *other]))[0].spans
    assert sorted((NOW - span.start, NOW - span.end) for span in spans) == [
        (3 * HOUR, 0 * HOUR),
        (3 * HOUR, HOUR),
    ]
