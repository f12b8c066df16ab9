"""Fields on their way through, and who is calling."""

from __future__ import annotations

import base64
import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.http1.fields import end_to_end, forwarded_request
from shim.route.caller import MAX_CALLER_LENGTH, Network, client_address, identify

SOURCES = ("header:x-client-id", "xfcc", "jwt:sub", "user-agent", "address")
TEN: tuple[Network, ...] = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
Fields = list[tuple[bytes, bytes]]


def sent_on(
    fields: Fields, *, trusted: bool = False, host: bytes | None = None, without: bytes = b""
) -> list[bytes]:
    lines = forwarded_request(
        fields,
        peer=b"192.0.2.1",
        proto=b"http",
        version=b"1.1",
        host=host,
        trusted=trusted,
        without=frozenset((without,)),
    )
    assert all(line.endswith(b"\r\n") for line in lines)
    return [line[:-2] for line in lines]


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


def test_a_host_is_made_where_http_1_0_sent_none() -> None:
    assert sent_on([(b"A", b"1")], host=b"upstream:9070")[0] == b"Host: upstream:9070"


def test_an_answer_loses_only_what_belongs_to_the_hop() -> None:
    fields = [
        (b"Server", b"x"),
        (b"Connection", b"keep-alive, x-hop"),
        (b"X-Hop", b"1"),
        (b"Set-Cookie", b"a=1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Set-Cookie", b"b=2"),
    ]
    assert end_to_end(fields) == [b"Server: x\r\n", b"Set-Cookie: a=1\r\n", b"Set-Cookie: b=2\r\n"]


def jwt(payload: object) -> bytes:
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    return b"Bearer eyJhbGciOiJub25lIn0." + body + b".c2ln"


@pytest.mark.parametrize(
    ("fields", "caller", "source"),
    [
        ([(b"X-Client-Id", b"ci"), (b"User-Agent", b"curl/8")], "ci", "header:x-client-id"),
        ([(b"X-Client-Id", b""), (b"User-Agent", b"curl/8")], "curl/8", "user-agent"),
        ([(b"Authorization", jwt({"sub": "job"}))], "job", "jwt:sub"),
        ([(b"Authorization", jwt({"sub": 7}))], "192.0.2.1", "address"),
        ([(b"Authorization", jwt([]))], "192.0.2.1", "address"),
        ([(b"Authorization", b"Bearer opaque-s3cret")], "192.0.2.1", "address"),
        ([(b"Authorization", b"Bearer a.%%%.c")], "192.0.2.1", "address"),
        ([(b"Authorization", b"Basic YTpi")], "192.0.2.1", "address"),
        (
            [
                (
                    b"X-Forwarded-Client-Cert",
                    b'By=spiffe://a;Hash=0a;Subject="CN=x,O=y";URI=spiffe://b',
                )
            ],
            "spiffe://b",
            "xfcc",
        ),
        ([(b"X-Forwarded-Client-Cert", b'Hash=0a;Subject="CN=x,O=y"')], "CN=x,O=y", "xfcc"),
        ([(b"X-Forwarded-Client-Cert", b"Hash=0a1b")], "0a1b", "xfcc"),
        # The second element is the proxy's own: it named every caller behind it alike.
        (
            [
                (
                    b"X-Forwarded-Client-Cert",
                    b'By=spiffe://p1;Hash=aa;Subject="CN=c,O=x",By=spiffe://p2;URI=spiffe://proxy',
                )
            ],
            "CN=c,O=x",
            "xfcc",
        ),
        ([(b"X-Forwarded-Client-Cert", b";;;")], "192.0.2.1", "address"),
        ([], "192.0.2.1", "address"),
    ],
)
def test_a_caller_is_named_by_the_first_source_that_is_there(
    fields: Fields, caller: str, source: str
) -> None:
    identity = identify(fields, "192.0.2.1", SOURCES, ())
    assert (identity.caller, identity.caller_source) == (caller, source)


@pytest.mark.parametrize(
    ("forwarded", "peer", "address"),
    [
        ([b"203.0.113.9"], "192.0.2.1", "192.0.2.1"),
        ([b"203.0.113.9"], "10.0.0.1", "203.0.113.9"),
        ([b"203.0.113.9, 10.1.1.1"], "10.0.0.1", "203.0.113.9"),
        ([b"6.6.6.6, 203.0.113.9", b"10.1.1.1"], "10.0.0.1", "203.0.113.9"),
        ([b"6.6.6.6, unknown, 10.1.1.1"], "10.0.0.1", "10.1.1.1"),
        ([b"garbage"], "10.0.0.1", "10.0.0.1"),
        ([b"[2001:db8::1]"], "fd00::1", "2001:db8::1"),
        ([], "10.0.0.1", "10.0.0.1"),
        ([b"203.0.113.9"], "unix", "unix"),
        ([b"203.0.113.9"], "::ffff:10.0.0.1", "203.0.113.9"),
    ],
)
def test_only_trusted_proxies_speak_for_others(
    forwarded: list[bytes], peer: str, address: str
) -> None:
    fields = [(b"X-Forwarded-For", value) for value in forwarded]
    assert client_address(fields, peer, TEN) == address


def test_ids_of_request_and_trace_are_taken_along() -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    identity = identify([(b"x-request-id", b"r1"), (b"traceparent", trace)], "a", SOURCES, ())
    assert (identity.request_id, identity.trace_id) == ("r1", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert identify([(b"traceparent", b"nonsense")], "a", SOURCES, ()).trace_id is None


@given(st.binary(max_size=2000))
def test_a_name_is_printable_and_bounded_whatever_is_sent(value: bytes) -> None:
    identity = identify([(b"X-Client-Id", value)], "192.0.2.1", SOURCES, ())
    assert identity.caller.isprintable()
    assert 0 < len(identity.caller) <= MAX_CALLER_LENGTH
