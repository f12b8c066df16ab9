"""So many connections in all, and so many from one address."""

from __future__ import annotations

import pytest

from shim.proxy.admission import Admission
from shim.record.metrics import MAX_CONNECTIONS, MAX_PER_ADDRESS


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        (["10.0.0.1", "10.0.0.1", "10.0.0.1"], [None, None, MAX_PER_ADDRESS]),
        (["10.0.0.1", "10.0.0.1", "10.0.0.2"], [None, None, None]),
        (["unix", "unix", "unix"], [None, None, None]),
        (["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], [None, None, None, MAX_CONNECTIONS]),
        # Each of the 2**64 addresses of one caller counted by itself.
        (["2001:db8::1", "2001:db8::2", "2001:db8::3"], [None, None, MAX_PER_ADDRESS]),
        (["2001:db8::1", "2001:db8:0:0:1::1", "2001:db8:0:1::1"], [None, None, None]),
        (["fe80::1%eth0", "fe80::2%eth1", "fe80::3"], [None, None, MAX_PER_ADDRESS]),
    ],
)
def test_one_too_many_is_refused_by_the_limit_that_it_meets(
    addresses: list[str], refused: list[str | None]
) -> None:
    admission = Admission(3, 2)
    assert [admission.admit(address) for address in addresses] == refused
    taken = [one for one, limit in zip(addresses, refused, strict=True) if limit is None]
    for address in taken:
        admission.release(address)
    assert admission.open == 0
    assert [admission.admit(address) for address in addresses] == refused
