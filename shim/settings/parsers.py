"""What a setting may be: one parser a kind, which raises ``ValueError`` with what it would take."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from shim.http1.grammar import HOST
from shim.moments import parse_duration
from shim.route.caller import Network

# A caller's name is written everywhere that the caller is.
_CREDENTIAL: Final = re.compile(
    r"(?i)authorization|cookie|api-?key|token|secret|password|credential|signature"
)
_S = TypeVar("_S", bound=str)

Instances = int | tuple[str, ...]
"""How many shims should record, or their names."""


def parse_sources(text: str) -> tuple[str, ...]:
    """Parse where a caller's name comes from, in order."""
    sources = tuple(part.strip() for part in text.split(","))
    for source in sources:
        kind, _, name = source.partition(":")
        named = kind in ("header", "jwt") and re.fullmatch(r"[!-9;-~]+", name)
        if kind == "header" and _CREDENTIAL.search(name):
            raise ValueError("no header that holds a credential; of a bearer token jwt:CLAIM")
        if not named and source not in ("xfcc", "user-agent", "address"):
            raise ValueError("of header:NAME, xfcc, jwt:CLAIM, user-agent, address, in order")
    return sources


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse comma-separated CIDRs."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"CIDRs such as 10.0.0.0/8,fd00::/8 ({error})") from None


def parse_size(text: str) -> int:
    """Parse a number of bytes such as ``512KiB`` or ``10MB``."""
    match = re.fullmatch(r"(\d+)\s*([kmg]?)(i?)b?", text.strip().lower())
    if match is None:
        raise ValueError("a size such as 1048576, 512KiB or 10MiB")
    base = 1024 if match[3] or not match[2] else 1000
    return int(match[1]) * int(base ** " kmg".index(match[2] or " "))


def parse_one_of(*choices: _S) -> Callable[[str], _S]:
    """Return a parser of ``choices``."""

    def parse(text: str) -> _S:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return choices[choices.index(text)]

    return parse


def parse_file(text: str) -> Path:
    """Parse the path of a file that is there."""
    path = Path(text)
    if not path.is_file():
        raise ValueError("a file that is there")
    return path


def parse_ledger(text: str) -> Path | None:
    """Parse the path of a ledger; ``memory`` is ``None``."""
    if not text or Path(text).is_dir():
        raise ValueError("the path of a file, or memory")
    return None if text == "memory" else Path(text)


def parse_positive(text: str) -> timedelta:
    """Parse a duration above zero."""
    duration = parse_duration(text)
    if not duration:
        raise ValueError("a duration above zero")
    return duration


def parse_jitter(text: str) -> timedelta:
    """Parse a duration of at most a day."""
    takes = "a duration up to 1d, such as 15m"
    try:
        duration = parse_duration(text)
    except ValueError:
        raise ValueError(takes) from None
    if duration > timedelta(days=1):
        raise ValueError(takes)
    return duration


def parse_count(text: str) -> int:
    """Parse a whole number, 0 or more."""
    if not text.isdecimal():
        raise ValueError("a whole number, 0 or more")
    return int(text)


def parse_limit(text: str) -> int:
    """Parse a whole number, 1 or more."""
    if not text.isdecimal() or not int(text):
        raise ValueError("a whole number, 1 or more")
    return int(text)


def parse_switch(text: str) -> bool:
    """Parse true or false."""
    if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError("true or false")
    return text.lower() in ("true", "1", "yes")


def parse_glob(text: str) -> str:
    """Parse a glob over names."""
    if not text:
        raise ValueError("a glob over the caller's name, such as ci-*")
    return text


def parse_url(text: str) -> str:
    """Parse an http or https URL."""
    if not re.fullmatch(r"https?://[!-;=?-~]+", text):
        raise ValueError("an http or https URL")
    return text


def parse_fleet(text: str) -> str:
    """Parse a PostgreSQL URL; what is wrong with it is not repeated."""
    if not re.match(r"postgres(ql)?://", text):
        raise ValueError("postgresql://USER@HOST/DATABASE")
    return text


def parse_host(text: str) -> bytes:
    """Parse what a Host field may say."""
    host = text.encode("utf-8", "replace")
    if not host or not HOST.fullmatch(host):
        raise ValueError("a host with an optional port, such as env.env.us.restate.cloud:9070")
    return host


def parse_name(text: str) -> str:
    """Parse a name of printable ASCII."""
    if not re.fullmatch(r"[!-~]{1,100}", text):
        raise ValueError("a name of printable ASCII without spaces")
    return text


def parse_token(text: str) -> str:
    """Parse a bearer token."""
    if not re.fullmatch(r"[!-~]{8,}", text):
        raise ValueError("8 characters or more of printable ASCII without spaces")
    return text


def parse_instances(text: str) -> Instances:
    """Parse a number of shims, or their names by comma."""
    takes = "how many shims should record, such as 3, or their names, such as admin-0,admin-1"
    if text.isdecimal():
        if not int(text):
            raise ValueError(takes)
        return int(text)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    # What looks like a number was meant as one.
    if not all(re.fullmatch(r"(?![-+.0-9]+\Z)[!-+\--~]{1,100}", name) for name in names):
        raise ValueError(takes)
    return names
