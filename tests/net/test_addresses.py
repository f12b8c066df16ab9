"""Where upstream is and where the shim listens, as text."""

from __future__ import annotations

import pytest

from shim.net.addresses import Address, parse_listen, parse_upstreams


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("http://a", [Address("a", 9070)]),
        ("https://a:1", [Address("a", 1, tls=True)]),
        ("http://[::1]:1/", [Address("::1", 1)]),
        ("unix:/run/x.sock, http://b", [Address(path="/run/x.sock"), Address("b", 9070)]),
    ],
)
def test_upstreams_are_addresses(text: str, addresses: list[Address]) -> None:
    assert list(parse_upstreams(text)) == addresses


@pytest.mark.parametrize("host", ["a..b", ".a", f"{'a' * 64}.b"])
def test_a_host_that_no_name_can_be_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="1 to 63 characters"):
        parse_upstreams(f"http://b,http://{host}:9070")
    with pytest.raises(ValueError, match="1 to 63 characters"):
        parse_listen(f"{host}:9070")


@pytest.mark.parametrize("host", ["a_b.c", "a.b.", "a" * 63, "fe80::1%eth0"])
def test_a_host_that_can_be_looked_up_is_taken(host: str) -> None:
    spelt = f"[{host}]" if ":" in host else host
    assert parse_upstreams(f"http://{spelt}:1") == (Address(host, 1),)
    assert parse_listen(f"{spelt}:1") == Address(host, 1)


@pytest.mark.parametrize(
    "text", ["127.0.0.1:0", "[::1]:9170", "unix:/run/shim.sock", "localhost:80"]
)
def test_an_address_to_listen_on_prints_as_it_was_given(text: str) -> None:
    assert str(parse_listen(text)) == text
