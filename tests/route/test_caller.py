"""Who is calling, by what a request says and where it comes from."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.http1 import fields as lines
from shim.route.caller import MAX_CALLER_LENGTH, Identity, Network, client_address, identify
from shim.route.text import MOST
from tests.support.tokens import jwt

Fields = list[tuple[bytes, bytes]]


def made(fields: Fields) -> list[lines.Field]:
    return [lines.field(name, value) for name, value in fields]


SOURCES = ("header:x-client-id", "xfcc", "jwt:sub", "user-agent", "address")


TEN: tuple[Network, ...] = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


def bearer(claims: object) -> bytes:
    return b"Bearer " + jwt(claims)


@pytest.mark.parametrize(
    ("fields", "caller", "source"),
    [
        ([(b"X-Client-Id", b"ci"), (b"User-Agent", b"curl/8")], "ci", "header:x-client-id"),
        ([(b"X-Client-Id", b""), (b"User-Agent", b"curl/8")], "curl/8", "user-agent"),
        ([(b"Authorization", bearer({"sub": "job"}))], "job", "jwt:sub"),
        ([(b"Authorization", bearer({"sub": 7}))], "192.0.2.1", "address"),
        ([(b"Authorization", bearer([]))], "192.0.2.1", "address"),
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
    identity = identify(made(fields), "192.0.2.1", SOURCES, ())
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
        # A zone may be any text: it was recorded as it came, however long.
        ([b"fe80::1%" + b"\xad" * 60_000], "10.0.0.1", "10.0.0.1"),
        # One header full of addresses took forty milliseconds.
        ([b"6.6.6.6" + b", 10.1.1.1" * 49], "10.0.0.1", "6.6.6.6"),
        ([b"6.6.6.6" + b", 10.1.1.1" * 50], "10.0.0.1", "10.1.1.1"),
        ([b"6.6.6.6" + b", 10.1.1.1" * 5000], "10.0.0.1", "10.1.1.1"),
        ([b"[2001:db8::1]"], "fd00::1", "2001:db8::1"),
        ([b"203.0.113.9:5555"], "10.0.0.1", "203.0.113.9"),
        ([b"[2001:db8::1]:5555"], "fd00::1", "2001:db8::1"),
        ([b"::ffff:203.0.113.9"], "10.0.0.1", "203.0.113.9"),
        ([b"203.0.113.9:a:b"], "10.0.0.1", "10.0.0.1"),
        ([], "10.0.0.1", "10.0.0.1"),
        ([b"203.0.113.9"], "unix", "unix"),
        ([b"203.0.113.9"], "::ffff:10.0.0.1", "203.0.113.9"),
    ],
)
def test_only_trusted_proxies_speak_for_others(
    forwarded: list[bytes], peer: str, address: str
) -> None:
    fields = [(b"X-Forwarded-For", value) for value in forwarded]
    assert client_address(made(fields), peer, TEN) == address


def test_ids_of_request_and_trace_are_taken_along() -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    identity = identify(made([(b"x-request-id", b"r1"), (b"traceparent", trace)]), "a", SOURCES, ())
    assert (identity.request_id, identity.trace_id) == ("r1", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert identify(made([(b"traceparent", b"nonsense")]), "a", SOURCES, ()).trace_id is None


@given(st.binary(max_size=2000))
def test_a_name_is_printable_and_bounded_whatever_is_sent(value: bytes) -> None:
    identity = identify(made([(b"X-Client-Id", value)]), "192.0.2.1", SOURCES, ())
    assert identity.caller.isprintable()
    assert 0 < len(identity.caller) <= MAX_CALLER_LENGTH


@pytest.mark.parametrize(
    "value", [b"x" * 64_000, b'URI="' + b"\\" * 64_000, b'"' * 64_000, b"a=;" * 20_000]
)
def test_a_certificate_field_is_read_once_however_it_was_made(value: bytes) -> None:
    # Letters without a "=" were looked at anew from each of them: ten seconds for 60,000, in which
    # nobody else was served. The limit of the test run is what notices.
    identity = identify(made([(b"X-Forwarded-Client-Cert", value)]), "192.0.2.1", SOURCES, ())
    assert identity.caller


def test_what_only_differs_far_behind_stays_different() -> None:
    # Names were cut off, and callers with long ones counted as one.
    def named(end: bytes) -> Identity:
        value = b"spiffe://cluster/" + b"n" * 60_000 + end
        fields = [(b"X-Client-Id", value), (b"User-Agent", value), (b"X-Request-Id", value)]
        return identify(made(fields), "192.0.2.1", SOURCES, ())

    one, same, other = named(b"1"), named(b"1"), named(b"2")
    assert one == same
    assert one.caller != other.caller
    assert one.request_id != other.request_id
    assert len(one.user_agent or "") == MOST


def test_nobody_has_the_name_of_those_past_the_cap() -> None:
    # Whoever took it kept the verdict unproven for two months.
    fields = made([(b"X-Client-Id", b"(other)")])
    identity = identify(fields, "10.0.0.7", ("header:x-client-id",), ())
    assert identity.caller == '"(other)"'
