"""What a team calls the addresses that its callers have: pods, hosts, offices."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path


class AddressNamesError(ValueError):
    """A file of names that cannot be used; the message says which line, and what it takes."""


def read_address_names(path: Path | None) -> Mapping[str, str]:
    """Read names by address: lines as hosts(5) has them, of which the first name counts.

    Raise :class:`AddressNamesError`.
    """
    names: dict[str, str] = {}
    if path is None:
        return names
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AddressNamesError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            address = str(ip_address(words[0]))
        except ValueError:
            address = ""
        if not address or len(words) < 2:
            raise AddressNamesError(
                f"{path}, line {number}: takes an address and a name, such as 10.0.0.7 billing/cron"
            )
        names.setdefault(address, words[1])
    return names
