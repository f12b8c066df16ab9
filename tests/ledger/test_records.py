from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from shim.ledger import events
from shim.ledger.records import (
    Decision,
    Moment,
    NearMiss,
    Real,
    Record,
    RecordError,
    Use,
    Whole,
    decode,
    encode,
)
from shim.ledger.tables.schema import from_row, to_row
from shim.moments import rfc3339
from tests.support.ledger_records import NOON, a_near_miss, a_use
from tests.support.samples import HOSTILE

TEXTS = st.text(max_size=20)
WHOLES = st.integers(-(2**31) + 1, 2**31 - 1)
VALUES: dict[object, st.SearchStrategy[Any]] = {
    str: TEXTS,
    str | None: st.none() | TEXTS,
    Whole: WHOLES,
    Whole | None: st.none() | WHOLES,
    Real: st.floats(-1e14, 1e14),
    bool: st.booleans(),
    Decision: st.sampled_from(Decision),
    # An offset would take the first and the last of all days beyond the calendar.
    Moment: st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()),  # noqa: DTZ001
}


def any_of(kind: type[Use | NearMiss]) -> st.SearchStrategy[Record]:
    return st.builds(kind, **{field.name: VALUES[field.type] for field in structs.fields(kind)})


RECORDS = any_of(Use) | any_of(NearMiss)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def line_of(record: Record, **changes: object) -> bytes:
    return json.dumps(json.loads(encode(record)) | changes).encode()


@given(RECORDS)
def test_any_record_is_read_as_it_was_written(record: Record) -> None:
    assert decode(encode(record)) == record


@given(RECORDS)
def test_any_record_comes_out_of_its_table_as_it_was_put_in(record: Record) -> None:
    seq = 1
    assert from_row(type(record), (seq, *to_row(record))) == record


@given(RECORDS)
def test_a_line_is_of_ascii_and_holds_all_fields_in_order(record: Record) -> None:
    line = encode(record)
    assert line.isascii()
    assert len(line.decode().splitlines()) == 1
    fields = record.as_dict()
    event = events.USE if isinstance(record, Use) else events.NEAR_MISS
    head = {"event": event, "level": "info", "timestamp": fields.pop("timestamp")}
    assert list(json.loads(line).items()) == list((head | fields).items())


@given(st.binary() | st.text().map(str.encode) | JSON.map(json.dumps).map(str.encode))
def test_what_is_no_record_is_refused_whatever_it_is(junk: bytes) -> None:
    with pytest.raises(RecordError):
        decode(junk)


@given(RECORDS, st.data())
def test_a_line_with_any_field_changed_or_byte_added_is_refused_or_a_record(
    record: Record, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(record.__struct_fields__))
    line = line_of(record, **{name: data.draw(JSON)})
    at = data.draw(st.integers(0, len(line)))
    for changed in (line, line[:at] + data.draw(st.binary(min_size=1, max_size=1)) + line[at:]):
        try:
            found = decode(changed)
        except RecordError:
            continue
        assert decode(encode(found)) == found


WRONG: dict[object, list[object]] = {
    str: [7, True, ["x"], {"a": 1}, None],
    str | None: [7, True, ["x"], {"a": 1}],
    Whole: ["200", True, 1.5, 2**31, -(2**31), 2**70, [1], None],
    Whole | None: ["200", True, 1.5, 2**31, -(2**31), 2**70, [1]],
    Real: ["1", True, 1e15, -1e15, 2**70, {}, None],
    bool: ["true", 1, 0, [], None],
    Decision: ["Translated", "", 1, ["translated"], None],
    Moment: ["today", "2026-11-23", "2026-11-23T14:30:00", "2026-11-23T25:00:00Z", 1.5, None],
}


@pytest.mark.parametrize(
    ("record", "name", "wrong"),
    [
        pytest.param(record, field.name, wrong, id=f"{field.name} {wrong}")
        for record in (a_use(), a_near_miss())
        for field in structs.fields(record)
        for wrong in WRONG[field.type]
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_its_name(
    record: Record, name: str, wrong: object
) -> None:
    with pytest.raises(RecordError, match=rf"`\$\.{name}`"):
        decode(line_of(record, **{name: wrong}))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        encode(a_use())[:-1],
        encode(a_use()) * 2,
        b'{"event": ["x"]}',
        b'{"event": "heartbeat"}',
        b'{"event": "deprecated_route_used"}',
        b'{"event": "deprecated_route_used", "id": "\xff"}',
        b'{"event": "deprecated_route_used", "a":' * 100_000,
        line_of(a_use(), id="\ud800"),
        line_of(a_use(), duration_ms=float("nan")),
        line_of(a_use(), timestamp="0001-01-01T00:00:00+10:00"),
    ],
)
def test_lines_without_a_record_are_refused(line: bytes) -> None:
    with pytest.raises(RecordError):
        decode(line)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T12:00:00Z", NOON),
        ("2026-11-20T12:00:00.000999+00:00", NOON),
        ("2026-11-20T13:30:00.123456789+01:30", NOON + timedelta(milliseconds=123)),
        ("1969-12-31T23:59:59.9999Z", datetime(1969, 12, 31, 23, 59, 59, 999000, UTC)),
    ],
)
def test_times_of_any_offset_and_precision_are_whole_milliseconds_in_utc(
    text: str, moment: datetime
) -> None:
    found = decode(line_of(a_use(), timestamp=text)).timestamp
    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize("microseconds", [0, 1, 999, 1000, 123_456, 999_999])
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
def test_times_are_written_as_all_others_are(microseconds: int, zone: timezone) -> None:
    moment = (NOON + timedelta(microseconds=microseconds)).astimezone(zone)
    for record in (a_use(timestamp=moment), a_near_miss(timestamp=moment)):
        assert json.loads(encode(record))["timestamp"] == rfc3339(moment)


def test_fields_that_are_null_may_be_missing_and_others_may_be_there() -> None:
    use = a_use(user_agent=None, trace_id=None, upstream_status=None)
    fields = json.loads(line_of(use, of_a_later_version={"a": [1]}))
    assert "trace_id" in fields
    present = {name: value for name, value in fields.items() if value is not None}
    assert decode(json.dumps(present).encode()) == use


def test_what_is_seldom_true_is_in_the_line_only_where_it_is() -> None:
    assert "announced" not in json.loads(encode(a_use()))
    assert json.loads(encode(a_use(announced=True)))["announced"] is True


@pytest.mark.parametrize("name", HOSTILE)
def test_text_that_acts_on_a_terminal_or_ends_a_line_stays_inside_its_field(name: str) -> None:
    line = encode(a_use(HOSTILE[name], user_agent=HOSTILE[name]))
    assert line.decode().isprintable()
    # Lone surrogates cannot be written as UTF-8.
    assert json.loads(line)["caller"] == HOSTILE[name].replace("\ud800", "?")
