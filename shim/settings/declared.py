"""Every setting, once: a flag, an environment variable ``SHIM_<NAME>``, a key in a TOML file.

Flags win over the environment, which wins over the file, which wins over the default.  Each value
is text until its one parser has read it; a parser raises ``ValueError`` with what it would take.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from shim.moments import parse_duration, parse_moment
from shim.net.addresses import DEFAULT_ADMIN_PORT, Address, parse_listen, parse_upstreams
from shim.net.tls import server_context, upstream_context
from shim.route.caller import Network
from shim.route.policy import CallerRule, Phase, Terms
from shim.route.translation import Replies
from shim.route.windows import Spec, parse_share, parse_window
from shim.settings.parsers import (
    parse_choice,
    parse_count,
    parse_file,
    parse_fleet,
    parse_glob,
    parse_jitter,
    parse_ledger,
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


class SettingError(Exception):
    """A value that cannot be used: its message names the setting, what it got, what it takes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: its flag's name, its parser, its default as text, its help."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    metavar: str
    help: str
    repeatable: bool = False
    secret: bool = False
    switch: bool = False

    @property
    def key(self) -> str:
        """The name as a field of :class:`Settings` and a key of the TOML file."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"SHIM_{self.key.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``serve`` runs with; field names are those of :data:`SETTINGS`."""

    upstream: tuple[Address, ...]
    upstream_ca: Path | None
    upstream_cert: Path | None
    upstream_key: Path | None
    listen: Address
    tls_cert: Path | None
    tls_key: Path | None
    ops_listen: Address
    ops_token: str | None
    phase: Phase
    replies: Replies
    ledger: Path | None
    retain: timedelta
    fleet: str | None
    caller: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    deprecated_since: datetime
    sunset: datetime | None
    docs_url: str
    no_headers: bool
    warning_header: bool
    brownout: tuple[Spec, ...]
    brownout_jitter: timedelta
    brownout_share: float
    freeze_known: tuple[str, ...]
    dry_run: bool
    connect_timeout: timedelta
    upstream_timeout: timedelta
    client_timeout: timedelta
    keepalive_timeout: timedelta
    shutdown_grace: timedelta
    max_body: int | None
    metrics_callers: int
    instance: str
    log_format: str
    log_level: str
    callers: tuple[CallerRule, ...] = field(default=())
    config: Path | None = field(default=None)

    @property
    def terms(self) -> Terms:
        """What the policy is made from."""
        return Terms(**{field.name: getattr(self, field.name) for field in fields(Terms)})

    def server_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context of the proxy's listener, or ``None`` for plain text."""
        return server_context(self.tls_cert, self.tls_key)

    def upstream_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context towards upstream, or ``None`` where no upstream is ``https``."""
        if not any(address.tls for address in self.upstream):
            return None
        return upstream_context(self.upstream_ca, self.upstream_cert, self.upstream_key)


SETTINGS: Final = (
    Setting(
        "upstream",
        parse_upstreams,
        f"http://127.0.0.1:{DEFAULT_ADMIN_PORT}",
        "URL[,URL]",
        "Restate's admin API: http://, https:// or unix:/path/admin.sock",
    ),
    Setting(
        "upstream-ca", parse_file, None, "FILE", "CA certificates (PEM) that upstream is held to"
    ),
    Setting("upstream-cert", parse_file, None, "FILE", "client certificate (PEM) to show upstream"),
    Setting("upstream-key", parse_file, None, "FILE", "the client certificate's key (PEM)"),
    Setting(
        "listen",
        parse_listen,
        "127.0.0.1:9170",
        "ADDRESS",
        "where callers connect: HOST:PORT, [::1]:PORT or unix:/path",
    ),
    Setting("tls-cert", parse_file, None, "FILE", "serve TLS with this certificate chain (PEM)"),
    Setting("tls-key", parse_file, None, "FILE", "the certificate's key (PEM)"),
    Setting(
        "ops-listen",
        parse_listen,
        "127.0.0.1:9171",
        "ADDRESS",
        "the shim's own endpoints: /live /ready /metrics /usage",
    ),
    Setting(
        "ops-token",
        parse_token,
        None,
        "TOKEN",
        "ask for this bearer token on /usage, /metrics and /phase",
        secret=True,
    ),
    Setting("phase", parse_choice(Phase), "translate", "PHASE", "how far the retirement is"),
    Setting(
        "replies",
        parse_choice(Replies),
        "legacy",
        "REPLIES",
        "what old callers get: legacy (always 202), documented (404, 409 too) or native",
    ),
    Setting("ledger", parse_ledger, "./restate-shim.db", "FILE", "where uses are kept, or: memory"),
    Setting(
        "retain", parse_positive, "180d", "DURATION", "how long single uses are kept; sums stay"
    ),
    Setting("fleet", parse_fleet, None, "URL", "postgresql://… shared by many shims", secret=True),
    Setting(
        "caller",
        parse_sources,
        "header:x-client-id,xfcc,jwt:sub,user-agent,address",
        "SOURCES",
        "where a caller's name comes from, the first that is there",
    ),
    Setting(
        "trusted-proxies",
        parse_networks,
        None,
        "CIDR[,CIDR]",
        "peers whose X-Forwarded-For is believed",
    ),
    Setting("deprecated-since", parse_moment, "2025-06-23", "DATE", "for the Deprecation header"),
    Setting("sunset", parse_moment, None, "DATE", "when the old route goes; for the Sunset header"),
    Setting("docs-url", parse_url, DOCS_URL, "URL", "for the Link header"),
    Setting(
        "no-headers",
        parse_switch,
        "false",
        "",
        "send no Deprecation, Sunset and Link headers",
        switch=True,
    ),
    Setting(
        "warning-header",
        parse_switch,
        "false",
        "",
        "send Warning: 299 too, which old client libraries print",
        switch=True,
    ),
    Setting(
        "brownout",
        parse_window,
        None,
        "WINDOW",
        "when to refuse in phase brownout, e.g. 2026-12-01T10:00Z/PT30M or "
        "0 10 * * TUE/PT30M Europe/Berlin (repeatable; with ; between them in the environment)",
        repeatable=True,
    ),
    Setting(
        "brownout-jitter",
        parse_jitter,
        "0s",
        "DURATION",
        "begin windows given by cron up to this much later, at the same moment on every shim",
    ),
    Setting(
        "brownout-share",
        parse_share,
        "100%",
        "PERCENT",
        "how many invocations a window refuses, always the same ones",
    ),
    Setting(
        "freeze-known",
        parse_glob,
        None,
        "GLOB",
        "callers that phase freeze serves besides those in the ledger (repeatable, as above)",
        repeatable=True,
    ),
    Setting(
        "dry-run",
        parse_switch,
        "false",
        "",
        "refuse nothing, and log what would have been refused",
        switch=True,
    ),
    Setting("connect-timeout", parse_positive, "5s", "DURATION", "to connect to upstream"),
    Setting(
        "upstream-timeout", parse_positive, "60s", "DURATION", "for upstream to begin its answer"
    ),
    Setting(
        "client-timeout", parse_positive, "60s", "DURATION", "for a caller that stalls in a message"
    ),
    Setting(
        "keepalive-timeout", parse_positive, "75s", "DURATION", "for an idle caller's connection"
    ),
    Setting(
        "shutdown-grace", parse_duration, "30s", "DURATION", "for requests in flight at the end"
    ),
    Setting("max-body", parse_size, None, "SIZE", "largest request body; without it any size"),
    Setting("metrics-callers", parse_count, "0", "N", "name the N busiest callers in /metrics"),
    Setting(
        "instance", parse_name, None, "NAME", "this shim's name in the record (default: the host's)"
    ),
    Setting("log-format", parse_one_of("json", "console"), "json", "FORMAT", "json, or console"),
    Setting(
        "log-level",
        parse_one_of("debug", "info", "warning", "error"),
        "info",
        "LEVEL",
        "debug, info, warning or error; uses are logged at info",
    ),
)


def settings_keys() -> frozenset[str]:
    """Return the fields that the table must fill."""
    return frozenset(f.name for f in fields(Settings)) - {"callers", "config"}
