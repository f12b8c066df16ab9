"""Sockets on all addresses, also where there is but one family of them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from shim.net.addresses import Address
from shim.net.listening import CannotListenError, open_socket


class WithoutIPv6(socket.socket):
    """What a kernel without IPv6 gives; none such can be had for a test."""

    def __init__(self, family: int = -1, *more: int) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *more)


@pytest.fixture
def no_ipv6(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", WithoutIPv6)
        yield


def test_all_addresses_are_those_of_both_families_whatever_the_machine_s_default_is() -> None:
    with open_socket(Address("::", 0), "--listen") as listener:
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0


# The image listens on [::]: on a kernel without IPv6 it did not start.
def test_all_addresses_are_those_of_ipv4_where_there_are_no_others(no_ipv6: None) -> None:
    with open_socket(Address("::", 0), "--listen") as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_one_address_that_is_not_there_is_said(no_ipv6: None) -> None:
    with pytest.raises(CannotListenError, match=r"--listen: cannot listen on \[::1\]:0: Address f"):
        open_socket(Address("::1", 0), "--listen")
