"""Where to listen and where upstream is: TCP, TLS or a Unix socket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urlsplit

DEFAULT_ADMIN_PORT: Final = 9070
# sockaddr_un holds 108 bytes with the closing NUL (unix(7)).
_MAX_SOCKET_PATH: Final = 107


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP or Unix socket address; ``tls`` tells an ``https`` upstream from an ``http`` one."""

    host: str | None = None
    port: int = 0
    path: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as ``--upstream`` takes it."""
        return str(self) if self.path else f"{'https' if self.tls else 'http'}://{self}"


def parse_upstreams(text: str) -> tuple[Address, ...]:
    """Parse comma-separated ``http://``, ``https://`` and ``unix:`` addresses."""
    return tuple(_parse_upstream(part.strip()) for part in text.split(","))


def _parse_upstream(text: str) -> Address:
    wanted = ValueError("http://HOST:PORT, https://HOST:PORT or unix:/path, without path or user")
    if text.startswith("unix:"):
        return _unix_address(text)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise wanted from None
    extras = url.path.strip("/") or url.query or url.fragment or "@" in url.netloc
    if url.scheme not in ("http", "https") or not url.hostname or extras or port == 0:
        raise wanted
    if not re.fullmatch(r"[!-~]+", url.netloc):
        raise wanted
    _check_host(url.hostname)
    return Address(url.hostname, port or DEFAULT_ADMIN_PORT, tls=url.scheme == "https")


def parse_listen(text: str) -> Address:
    """Parse ``HOST:PORT``, ``[V6]:PORT`` or ``unix:/path``; port 0 lets the system choose."""
    if text.startswith("unix:"):
        return _unix_address(text)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]/]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError("HOST:PORT, [::1]:PORT or unix:/path")
    _check_host(match[1] or match[2])
    return Address(match[1] or match[2], int(match[3]))


def _check_host(host: str) -> None:
    """Refuse what cannot be looked up at all: it would fail at each connection."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(
            "a host whose parts between dots have 1 to 63 characters, such as admin.restate.svc"
        ) from None


def _unix_address(text: str) -> Address:
    path = text.removeprefix("unix:").removeprefix("//")
    if not path.startswith("/"):
        raise ValueError("unix: and an absolute path, such as unix:/restate-data/n1/admin.sock")
    if len(path.encode()) > _MAX_SOCKET_PATH:
        raise ValueError("a socket path of at most 107 bytes")
    return Address(path=path)


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return an address of IPv4 as such, where a socket of both families took it in as IPv6."""
    return getattr(address, "ipv4_mapped", None) or address
