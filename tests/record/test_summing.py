"""What can happen as often as others like is told once, and then in sums."""

from __future__ import annotations

from logging import INFO

import pytest
import structlog
from structlog.typing import EventDict

from shim.record.summing import Summing


@pytest.fixture
def lines() -> list[EventDict]:
    return []


@pytest.fixture
def summing(lines: list[EventDict]) -> Summing:
    def keep(_: object, __: str, event: EventDict) -> EventDict:
        lines.append(dict(event))
        raise structlog.DropEvent

    wrapped = structlog.wrap_logger(
        None,
        processors=[keep],
        wrapper_class=structlog.make_filtering_bound_logger(INFO),
    )
    return Summing(wrapped)


def test_the_first_is_told_at_once_and_the_rest_in_one_line(
    summing: Summing, lines: list[EventDict]
) -> None:
    for port in range(100):
        summing.say(INFO, "caller_left", "a", port=port)
    assert lines == [{"event": "caller_left", "port": 0, "count": 1}]
    summing.tell()
    assert lines[1:] == [{"event": "caller_left", "port": 99, "count": 99}]


def test_as_long_as_they_go_on_they_are_summed_and_then_the_next_is_told_at_once(
    summing: Summing, lines: list[EventDict]
) -> None:
    def counts() -> list[object]:
        return [line["count"] for line in lines]

    summing.say(INFO, "left")
    summing.say(INFO, "left")
    summing.tell()
    summing.say(INFO, "left")
    assert counts() == [1, 1]
    summing.tell()
    assert counts() == [1, 1, 1]
    summing.tell()
    assert counts() == [1, 1, 1]
    summing.say(INFO, "left")
    assert counts() == [1, 1, 1, 1]


def test_what_is_not_alike_is_told_apart(summing: Summing, lines: list[EventDict]) -> None:
    summing.say(INFO, "left", "a")
    summing.say(INFO, "left", "b")
    summing.say(INFO, "failed", "a")
    assert len(lines) == 3


# Addresses are as many as a caller has of them.
def test_what_is_told_apart_is_bounded(summing: Summing, lines: list[EventDict]) -> None:
    for number in range(5000):
        summing.say(INFO, "left", str(number))
    assert len(lines) == 1001
    summing.tell()
    assert sum(int(line["count"]) for line in lines) == 5000


# An upstream that was away was told when it went and when it came back, and not how much it cost.
def test_what_somebody_else_says_at_once_is_in_the_sums(
    summing: Summing, lines: list[EventDict]
) -> None:
    for port in range(3):
        summing.say(INFO, "upstream_failed", "connect", at_once=False, port=port)
    assert lines == []
    summing.tell()
    assert lines == [{"event": "upstream_failed", "port": 2, "count": 3}]
