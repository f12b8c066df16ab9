"""Fields on their way through."""

from __future__ import annotations

import pytest

from shim.http1.fields import end_to_end, field, forwarded_request

Fields = list[tuple[bytes, bytes]]


def sent_on(
    fields: Fields, *, trusted: bool = False, host: bytes | None = None, without: bytes = b""
) -> list[bytes]:
    lines = forwarded_request(
        [field(name, value) for name, value in fields],
        peer=b"192.0.2.1",
        proto=b"http",
        version=b"1.1",
        host=host,
        trusted=trusted,
        without=frozenset((without,)),
    )
    raw = b"".join(lines)
    assert raw.endswith(b"\r\n")
    return raw[:-2].split(b"\r\n")


ADDED = [
    b"X-Forwarded-For: 192.0.2.1",
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Host: a",
    b"Via: 1.1 restate-shim",
]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        pytest.param([(b"hOsT", b"a")], [b"hOsT: a"], id="casing"),
        pytest.param(
            [(b"Host", b"a"), (b"X", b"1"), (b"x", b"2"), (b"X", b"1")],
            [b"Host: a", b"X: 1", b"x: 2", b"X: 1"],
            id="order and duplicates",
        ),
        pytest.param(
            [(b"Host", b"a"), (b"Connection", b"x-hop, close"), (b"X-Hop", b"1"), (b"Y", b"2")],
            [b"Host: a", b"Y: 2"],
            id="nominated",
        ),
        pytest.param(
            [(b"Host", b"a"), (b"TE", b"trailers"), (b"Upgrade", b"h2c"), (b"Keep-Alive", b"5")],
            [b"Host: a"],
            id="hop by hop",
        ),
        pytest.param(
            [(b"Host", b"a"), (b"Connection", b"host, content-length"), (b"Content-Length", b"3")],
            [b"Host: a", b"Content-Length: 3"],
            id="what frames cannot be nominated",
        ),
        pytest.param(
            [(b"Host", b"a"), (b"X-Forwarded-For", b"1.2.3.4")],
            [b"Host: a", b"X-Forwarded-For: 1.2.3.4"],
            id="a chain is kept",
        ),
        pytest.param(
            [(b"Host", b"a"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"evil")],
            [b"Host: a"],
            id="what a stranger says of proto and host is not",
        ),
        pytest.param(
            [(b"Host", b"a"), (b"Connection", b"x-forwarded-for, via")],
            [b"Host: a"],
            id="what is added cannot be nominated",
        ),
    ],
)
def test_a_request_goes_on_with_its_own_fields_and_four_more(
    fields: Fields, kept: list[bytes]
) -> None:
    assert sent_on(fields) == kept + ADDED


def test_a_trusted_proxy_may_say_what_it_terminated() -> None:
    fields = [(b"Host", b"a"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"public")]
    assert sent_on(fields, trusted=True) == [
        b"Host: a",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: public",
        b"X-Forwarded-For: 192.0.2.1",
        b"Via: 1.1 restate-shim",
    ]


def test_the_target_s_authority_replaces_the_host_in_its_place() -> None:
    lines = sent_on([(b"A", b"1"), (b"Host", b"other"), (b"B", b"2")], host=b"named")
    assert lines[:3] == [b"A: 1", b"Host: named", b"B: 2"]


# An empty Host counted as none, and upstream got two.
def test_an_empty_host_is_replaced_by_the_target_s_authority_too() -> None:
    lines = sent_on([(b"Host", b""), (b"A", b"1")], host=b"named")
    assert [line for line in lines if line.startswith(b"Host:")] == [b"Host: named"]


def test_a_host_is_made_where_http_1_0_sent_none() -> None:
    assert sent_on([(b"A", b"1")], host=b"upstream:9070")[0] == b"Host: upstream:9070"


def test_an_answer_loses_only_what_belongs_to_the_hop() -> None:
    fields = [
        field(b"Server", b"x"),
        field(b"Connection", b"keep-alive, x-hop"),
        field(b"X-Hop", b"1"),
        field(b"Set-Cookie", b"a=1"),
        field(b"Transfer-Encoding", b"chunked"),
        field(b"Set-Cookie", b"b=2"),
    ]
    assert end_to_end(fields) == [fields[0], fields[3], fields[5]]
