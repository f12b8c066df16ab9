"""Every setting, once: a flag, an environment variable ``SHIM_<NAME>``, a key in a TOML file.

Flags win over the environment, which wins over the file, which wins over the default.  Each value
is text until its one parser has read it; a parser raises ``ValueError`` with what it would take.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from shim.moments import parse_duration, parse_moment
from shim.net.addresses import DEFAULT_ADMIN_PORT, Address, parse_listen, parse_upstreams
from shim.net.tls import server_context, upstream_context
from shim.route.caller import Network
from shim.route.notice import NO_NOTICE, Notice, make_notice
from shim.route.policy import CallerEntry, Phase, Terms
from shim.route.replies import Replies
from shim.route.windows import Spec, parse_share, parse_window
from shim.settings.parsers import (
    Instances,
    parse_count,
    parse_file,
    parse_fleet,
    parse_glob,
    parse_host,
    parse_instances,
    parse_jitter,
    parse_ledger,
    parse_limit,
    parse_name,
    parse_networks,
    parse_one_of,
    parse_positive,
    parse_size,
    parse_sources,
    parse_switch,
    parse_token,
    parse_url,
)

DOCS_URL: Final = "https://docs.restate.dev/admin-api/invocation/delete-an-invocation"


_T = TypeVar("_T")


class SettingError(Exception):
    """A value that cannot be used: its message names the setting, what it got, what it takes.

    What it is about, where that may stand in the file: ``settings``, the likeliest culprit first;
    or the ``key`` of the ``[[caller]]`` entry of that number; or the ``line`` that is no TOML.
    """

    def __init__(
        self,
        message: str,
        *,
        settings: Sequence[str] = (),
        entry: int | None = None,
        key: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.settings = tuple(settings)
        self.entry = entry
        self.key = key
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How one field of :class:`Settings` gets its value.

    ``key`` is the field's name, and the key in the TOML file.  ``default`` is text for ``parse``,
    or makes the value.  A ``live`` setting changes without a restart; a ``secret`` one is never
    shown.
    """

    key: str
    parse: Callable[[str], Any]
    default: str | Callable[[], Any]
    metavar: str
    help: str
    live: bool = False
    secret: bool = False
    repeatable: bool = False

    @property
    def name(self) -> str:
        """The flag, without its dashes."""
        return self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"SHIM_{self.key.upper()}"

    @property
    def switch(self) -> bool:
        """Whether the flag needs no value."""
        return self.parse is parse_switch


# Each of these returns a dataclass field; to the type checker it is what the parser returns, so
# that a field cannot be declared with the parser of another type.


def _setting(
    parse: Callable[[str], _T],
    default: str | Callable[[], _T],
    metavar: str,
    text: str,
    *,
    live: bool = False,
) -> _T:
    declared: _T = _field(parse=parse, default=default, metavar=metavar, help=text, live=live)
    return declared


def _optional(
    parse: Callable[[str], _T],
    metavar: str,
    text: str,
    *,
    live: bool = False,
    secret: bool = False,
) -> _T | None:
    declared: _T | None = _field(
        parse=parse, default=lambda: None, metavar=metavar, help=text, live=live, secret=secret
    )
    return declared


def _any_number(
    parse: Callable[[str], _T], metavar: str, text: str, *, live: bool = False
) -> tuple[_T, ...]:
    declared: tuple[_T, ...] = _field(
        parse=parse, default=tuple, metavar=metavar, help=text, live=live, repeatable=True
    )
    return declared


def _switch(text: str, *, live: bool = False) -> bool:
    declared: bool = _field(
        parse=parse_switch, default="false", metavar="true|false", help=text, live=live
    )
    return declared


def _field(**about: Any) -> Any:
    return field(metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``serve`` runs with."""

    upstream: tuple[Address, ...] = _setting(
        parse_upstreams,
        f"http://127.0.0.1:{DEFAULT_ADMIN_PORT}",
        "URL[,URL]",
        "Restate's admin API: http://, https:// or unix:/path/admin.sock",
    )
    upstream_ca: Path | None = _optional(
        parse_file, "FILE", "CA certificates (PEM) that upstream is held to"
    )
    upstream_cert: Path | None = _optional(
        parse_file, "FILE", "client certificate (PEM) to show upstream"
    )
    upstream_key: Path | None = _optional(parse_file, "FILE", "the client certificate's key (PEM)")
    upstream_host: bytes | None = _optional(
        parse_host,
        "HOST[:PORT]",
        "the Host sent upstream (Restate Cloud tells environments apart by it); "
        "without it the caller's",
    )
    listen: Address = _setting(
        parse_listen,
        "127.0.0.1:9170",
        "ADDRESS",
        "where callers connect: HOST:PORT, [::1]:PORT or unix:/path",
    )
    tls_cert: Path | None = _optional(
        parse_file, "FILE", "serve TLS with this certificate chain (PEM)"
    )
    tls_key: Path | None = _optional(parse_file, "FILE", "the certificate's key (PEM)")
    ops_listen: Address = _setting(
        parse_listen,
        "127.0.0.1:9171",
        "ADDRESS",
        "the shim's own endpoints: /live /ready /metrics /usage",
    )
    ops_token: str | None = _optional(
        parse_token,
        "TOKEN",
        "ask for this bearer token on /usage, /metrics and /phase",
        secret=True,
    )
    phase: Phase = _setting(
        parse_one_of(*Phase), "translate", "PHASE", "how far the retirement is", live=True
    )
    replies: Replies = _setting(
        parse_one_of(*Replies),
        "legacy",
        "REPLIES",
        "what old callers get: legacy (always 202), documented (404, 409 too) or native",
        live=True,
    )
    ledger: Path | None = _setting(
        parse_ledger, "./restate-shim.db", "FILE", "where uses are kept, or: memory"
    )
    retain: timedelta = _setting(
        parse_positive, "180d", "DURATION", "how long single uses are kept; sums stay"
    )
    fleet: str | None = _optional(
        parse_fleet, "URL", "postgresql://… shared by many shims", secret=True
    )
    caller: tuple[str, ...] = _setting(
        parse_sources,
        "header:x-client-id,xfcc,jwt:sub,user-agent,address",
        "SOURCES",
        "where a caller's name comes from, the first that is there; xfcc is the client certificate "
        "that Envoy names (X-Forwarded-Client-Cert), jwt:sub a token's subject",
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        parse_networks, tuple, "CIDR[,CIDR]", "peers whose X-Forwarded-For is believed"
    )
    deprecated_since: datetime = _setting(
        parse_moment, "2025-06-23", "DATE", "for the Deprecation header", live=True
    )
    sunset: datetime | None = _optional(
        parse_moment, "DATE", "when the old route goes; for the Sunset header", live=True
    )
    docs_url: str = _setting(parse_url, DOCS_URL, "URL", "for the Link header", live=True)
    no_headers: bool = _switch("send no Deprecation, Sunset and Link headers", live=True)
    warning_header: bool = _switch(
        "send Warning: 299 too, which old client libraries print", live=True
    )
    brownout: tuple[Spec, ...] = _any_number(
        parse_window,
        "WINDOW",
        "when to refuse in phase brownout, e.g. 2026-12-01T10:00Z/PT30M or "
        "0 10 * * TUE/PT30M Europe/Berlin (repeatable; with ; between them in the environment)",
        live=True,
    )
    brownout_jitter: timedelta = _setting(
        parse_jitter,
        "0s",
        "DURATION",
        "begin windows given by cron up to this much later, at the same moment on every shim",
        live=True,
    )
    brownout_share: float = _setting(
        parse_share,
        "100%",
        "PERCENT",
        "how many invocations a window refuses, always the same ones",
        live=True,
    )
    freeze_known: tuple[str, ...] = _any_number(
        parse_glob,
        "GLOB",
        "callers that phase freeze serves besides those in the ledger (repeatable, as above)",
        live=True,
    )
    dry_run: bool = _switch("refuse nothing, and log what would have been refused", live=True)
    connect_timeout: timedelta = _setting(
        parse_positive, "5s", "DURATION", "to connect to upstream"
    )
    upstream_timeout: timedelta = _setting(
        parse_positive, "60s", "DURATION", "for upstream to begin its answer"
    )
    client_timeout: timedelta = _setting(
        parse_positive, "60s", "DURATION", "for a caller that stalls in a message"
    )
    keepalive_timeout: timedelta = _setting(
        parse_positive, "75s", "DURATION", "for an idle caller's connection"
    )
    shutdown_grace: timedelta = _setting(
        parse_duration, "30s", "DURATION", "for requests in flight at the end"
    )
    head_timeout: timedelta = _setting(
        parse_positive, "15s", "DURATION", "for a request's head, from its first byte"
    )
    body_timeout: timedelta = _setting(
        parse_positive, "1h", "DURATION", "for a request's body; Restate's time does not count"
    )
    min_body_rate: int = _setting(
        parse_count,
        "500",
        "BYTES",
        "a second that a caller must send of a body, after 20 s; 0: any",
    )
    max_connections: int = _setting(
        parse_limit, "4096", "N", "callers' connections at a time; others get 503"
    )
    max_connections_per_address: int = _setting(
        parse_limit, "2048", "N", "of these, from one address"
    )
    max_requests_per_connection: int = _setting(
        parse_limit, "100000", "N", "requests after which a caller's connection is closed"
    )
    max_upstream_connections: int = _setting(
        parse_limit, "1024", "N", "requests that Restate gets at a time; others wait"
    )
    max_waiting: int = _setting(
        parse_count, "1024", "N", "requests that wait for one of these to end; others get 503"
    )
    max_body: int | None = _optional(
        parse_size, "SIZE", "largest request body; without it any size"
    )
    metrics_callers: int = _setting(parse_count, "0", "N", "name the N busiest callers in /metrics")
    instance: str = _setting(
        parse_name,
        socket.gethostname,
        "NAME",
        "this shim's name in the record (default: the host's)",
    )
    address_names: Path | None = _optional(
        parse_file,
        "FILE",
        "names for callers' addresses in reports, as /etc/hosts has them",
        live=True,
    )
    instances: Instances | None = _optional(
        parse_instances,
        "N|NAME,NAME",
        "how many shims should record, or their names, for the verdict; "
        "else as many as recorded side by side",
        live=True,
    )
    log_format: str = _setting(
        parse_one_of("json", "console"), "json", "FORMAT", "json, or console"
    )
    log_level: str = _setting(
        parse_one_of("debug", "info", "warning", "error"),
        "info",
        "LEVEL",
        "debug, info, warning or error; uses are logged at info",
    )
    callers: tuple[CallerEntry, ...] = ()
    config: Path | None = None

    @property
    def terms(self) -> Terms:
        """What the policy is made from."""
        return Terms(**{one.name: getattr(self, one.name) for one in fields(Terms)})

    @property
    def notice(self) -> Notice:
        """What the answers to old calls say of the route's retirement."""
        if self.no_headers:
            return NO_NOTICE
        return make_notice(
            since=self.deprecated_since,
            sunset=self.sunset,
            docs_url=self.docs_url,
            warning=self.warning_header,
        )

    @property
    def record(self) -> str | Path | None:
        """What a report reads: the fleet where there is one, or the ledger; ``None`` in memory."""
        return self.fleet or self.ledger

    def server_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context of the proxy's listener, or ``None`` for plain text."""
        return server_context(self.tls_cert, self.tls_key)

    def upstream_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context towards upstream, or ``None`` where no upstream is ``https``."""
        if not any(address.tls for address in self.upstream):
            return None
        return upstream_context(self.upstream_ca, self.upstream_cert, self.upstream_key)


SETTINGS: Final = tuple(Setting(key=f.name, **f.metadata) for f in fields(Settings) if f.metadata)
LIVE: Final = frozenset(setting.key for setting in SETTINGS if setting.live) | {"callers"}
"""The fields that change without a restart."""
