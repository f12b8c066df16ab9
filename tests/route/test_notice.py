"""The fields about the retirement, read back by parsers that are not ours."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import http_sf
import pytest
from httplint import HttpResponseLinter
from httplint.note import levels
from httptools import HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from shim.http1.fields import Field, field
from shim.route.notice import make_notice, uri

SINCE = datetime(2025, 6, 23, tzinfo=UTC)
SUNSET = datetime(2027, 1, 31, 12, 30, 5, tzinfo=UTC)
DOCS = "https://docs.example/retired"
TARGET = b"/v2/invocations/inv_1abc/kill"
# RFC 9112 section 3.2: whatever framing lets through of a target, and RFC 3986 may not.
TARGETS = st.lists(st.integers(0x21, 0xFF).filter(lambda octet: octet != 0x7F), max_size=60).map(
    lambda octets: b"/invocations/" + bytes(octets) + b"/kill"
)


def fields(target: bytes = TARGET, **more: Any) -> CIMultiDict[str]:
    """The field lines as a client's parser (llhttp) reads them."""
    given: dict[str, Any] = {"since": SINCE, "sunset": None, "docs_url": DOCS, "warning": False}
    made = make_notice(**{**given, **more}).fields(target)
    lines = b"".join(line for _, _, line in made)
    found: CIMultiDict[str] = CIMultiDict()

    class Reader:
        def on_header(self, name: bytes, value: bytes) -> None:
            found.add(name.decode(), value.decode("ascii"))

        def on_message_complete(self) -> None:
            found.add("complete", "yes")

    HttpResponseParser(Reader()).feed_data(
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n" + lines + b"\r\n"
    )
    assert found.pop("complete") == "yes"
    del found["content-length"]
    return found


def links(value: str) -> dict[str, str]:
    """The targets of a Link field by relation (RFC 8288 section 3)."""
    link = re.compile(r'<([^<>"\s]*)>((?:; [a-z]+="[^"]*")*)(?:, |\Z)')
    found = {}
    at = 0
    while at < len(value):
        match = link.match(value, at)
        assert match, value[at:]
        parameters = dict(re.findall(r'([a-z]+)="([^"]*)"', match[2]))
        assert parameters["rel"] not in found
        found[parameters["rel"]] = match[1]
        at = match.end()
    return found


@pytest.mark.parametrize(
    "since",
    [SINCE, datetime(1969, 7, 20, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)],
    ids=["today's", "before 1970", "to come"],
)
def test_deprecation_is_a_structured_date(since: datetime) -> None:
    value = fields(since=since)["deprecation"].encode()
    assert http_sf.parse(value, tltype="item") == (since, {})


def test_sunset_is_an_http_date() -> None:
    value = fields(sunset=SUNSET)["sunset"]
    assert value == "Sun, 31 Jan 2027 12:30:05 GMT"
    assert parsedate_to_datetime(value) == SUNSET


def test_sunset_is_in_gmt_wherever_it_was_set() -> None:
    moment = datetime.fromisoformat("2027-01-31T13:30:05+01:00")
    assert fields(sunset=moment.astimezone(UTC))["sunset"] == fields(sunset=SUNSET)["sunset"]


def test_without_a_sunset_nothing_is_said_of_one() -> None:
    found = fields()
    assert "sunset" not in found
    assert "warning" not in found
    assert links(found["link"]) == {"deprecation": DOCS, "successor-version": TARGET.decode()}


def test_links_lead_to_the_page_and_to_the_exact_replacement() -> None:
    found = fields(sunset=SUNSET)
    assert len(found.getall("link")) == 1
    assert links(found["link"]) == {
        "deprecation": DOCS,
        "sunset": DOCS,
        "successor-version": "/v2/invocations/inv_1abc/kill",
    }


def test_a_warning_is_sent_where_it_is_wanted() -> None:
    assert fields(warning=True)["warning"] == (
        '299 - "DELETE /invocations/{invocation_id} is deprecated, '
        'use PATCH /v2/invocations/inv_1abc/kill instead"'
    )


@given(target=TARGETS)
def test_no_id_breaks_a_field_or_gets_out_of_its_quotes(target: bytes) -> None:
    found = fields(target, warning=True)
    assert set(map(str.lower, found)) == {"deprecation", "link", "warning"}
    successor = links(found["link"])["successor-version"]
    assert urlsplit(successor).scheme == ""
    assert re.fullmatch(r"\d{3} - \"[^\"\\]*\"", found["warning"])


def linted(fields: list[Field]) -> HttpResponseLinter:
    """An answer with these fields, as a linter that knows each field's syntax has read it."""
    linter = HttpResponseLinter()
    linter.process_response_topline(b"HTTP/1.1", b"202", b"Accepted")
    pairs = [(b"content-length", b"0"), (b"date", b"Mon, 23 Nov 2026 15:00:00 GMT")]
    pairs += ((name, value) for name, value, _ in fields)
    linter.process_headers(pairs)
    linter.finish_content(complete=True)
    return linter


def complaints(linter: HttpResponseLinter) -> set[str]:
    return {note.summary for note in linter.notes if note.level in (levels.WARN, levels.BAD)}


@pytest.mark.parametrize(
    ("target", "successor"),
    [
        (TARGET, "/v2/invocations/inv_1abc/kill"),
        (
            b'/invocations/a>b"c, <d;e\xc3\xa9%/purge',
            "/invocations/a%3Eb%22c,%20%3Cd;e%C3%A9%25/purge",
        ),
    ],
    ids=["plain", "hostile"],
)
def test_a_linter_reads_every_field_as_it_was_meant(target: bytes, successor: str) -> None:
    notice = make_notice(since=SINCE, sunset=SUNSET, docs_url=DOCS, warning=True)
    linter = linted(notice.fields(target))
    parsed = linter.headers.parsed
    assert parsed["deprecation"] == (SINCE, {})
    assert parsed["sunset"] == SUNSET.timestamp()
    assert parsed["link"] == [
        (DOCS, {"rel": "deprecation", "type": "text/html"}),
        (DOCS, {"rel": "sunset", "type": "text/html"}),
        (successor, {"rel": "successor-version"}),
    ]
    # RFC 9111 section 5.5 made it so; it is off unless asked for.
    assert complaints(linter) == {"The Warning header is deprecated."}


@pytest.mark.parametrize(
    "line",
    [
        b"deprecation: true",
        b"deprecation: Mon, 23 Jun 2025 00:00:00 GMT",
        b"sunset: 2027-01-31",
        b"sunset: @1801353600",
        b'link: <https://docs.example/a b>; rel="sunset"',
        b'link: /x; rel="successor-version"',
    ],
)
def test_the_linter_would_have_noticed_a_bad_field(line: bytes) -> None:
    name, _, value = line.partition(b": ")
    assert complaints(linted([field(name, value)]))


@given(target=TARGETS)
def test_encoding_what_no_uri_holds_changes_nothing_of_what_is_encoded(target: bytes) -> None:
    assert uri(uri(target)) == uri(target)


@pytest.mark.parametrize(
    ("target", "encoded"),
    [
        (b"/invocations/a%2Fb/kill", b"/invocations/a%2Fb/kill"),
        (b"/invocations/a>b/kill", b"/invocations/a%3Eb/kill"),
        (b'/invocations/a"b\\/kill', b"/invocations/a%22b%5C/kill"),
        (b"/invocations/\xc3\xa9/kill", b"/invocations/%C3%A9/kill"),
        (b"/invocations/100%/kill", b"/invocations/100%25/kill"),
        (b"/invocations/a:@!$&'()*+,;=-._~/kill", b"/invocations/a:@!$&'()*+,;=-._~/kill"),
    ],
)
def test_what_no_uri_holds_is_percent_encoded(target: bytes, encoded: bytes) -> None:
    assert uri(target) == encoded


def test_an_id_too_long_for_a_field_is_left_out() -> None:
    found = fields(b"/invocations/" + b"x" * 8000 + b"/kill", warning=True)
    assert "successor-version" not in found["link"]
    assert all(len(value) < 1000 for value in found.values())
