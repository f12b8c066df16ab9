"""Every setting, once: a flag, an environment variable ``SHIM_<NAME>``, a key in a TOML file.

Flags win over the environment, which wins over the file, which wins over the default.  Each value
is text until its one parser has read it; a parser raises ``ValueError`` with what it would take.
"""

from __future__ import annotations

import re
import socket
import ssl
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from shim.addresses import DEFAULT_ADMIN_PORT, Address, parse_listen, parse_upstreams
from shim.headers import Network
from shim.policy import CallerRule, Phase, parse_caller_rules
from shim.translation import Replies
from shim.values import (
    parse_choice,
    parse_count,
    parse_duration,
    parse_file,
    parse_fleet,
    parse_glob,
    parse_jitter,
    parse_ledger,
    parse_moment,
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
from shim.windows import Spec, parse_share, parse_window

DOCS_URL: Final = "https://docs.restate.dev/admin-api/invocation/delete-an-invocation"
_USERINFO: Final = re.compile(r"//[^/@]*@")


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
        "0 10 * * TUE/PT30M Europe/Berlin (repeatable)",
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
        "callers that phase freeze serves besides those in the ledger (repeatable)",
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
_BY_KEY: Final = {setting.key: setting for setting in SETTINGS}


def load(
    flags: Mapping[str, str | Sequence[str] | None],
    environ: Mapping[str, str],
    config: Path | None = None,
) -> Settings:
    """Read every setting; raise :class:`SettingError` for the first that cannot be used.

    ``flags`` maps keys of :data:`SETTINGS` to their text, ``None`` where the flag was not given.
    """
    if config is None and environ.get("SHIM_CONFIG"):
        config = Path(environ["SHIM_CONFIG"])
    table = _read_toml(config) if config else {}
    try:
        rules = parse_caller_rules(table.pop("caller_rules", ()))
    except ValueError as error:
        raise SettingError(f"{config}: {error}") from None
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text, origin = _find(setting, flags, environ, table, config)
        values[setting.key] = _parse(setting, text, origin)
    if values["instance"] is None:
        values["instance"] = socket.gethostname()
    values["trusted_proxies"] = values["trusted_proxies"] or ()
    settings = Settings(**values, callers=rules, config=config)
    _check_together(settings)
    return settings


def _find(
    setting: Setting,
    flags: Mapping[str, str | Sequence[str] | None],
    environ: Mapping[str, str],
    table: Mapping[str, Any],
    config: Path | None,
) -> tuple[str | Sequence[str] | None, str]:
    if flags.get(setting.key) is not None:
        return flags[setting.key], f"--{setting.name}"
    # An empty variable is what compose files and charts leave where a value is not set.
    if text := environ.get(setting.variable):
        return (text.split(";") if setting.repeatable else text), setting.variable
    if setting.key in table:
        return _as_text(setting, table[setting.key], config), f"{setting.name} in {config}"
    return setting.default, setting.name


def _parse(setting: Setting, text: str | Sequence[str] | None, origin: str) -> Any:
    if text is None:
        return () if setting.repeatable else None
    if not isinstance(text, str):
        return tuple(_parse(setting, one.strip(), origin) for one in text)
    try:
        return setting.parse(text)
    except ValueError as error:
        got = "a value that is not shown" if setting.secret else _USERINFO.sub("//…@", repr(text))
        raise SettingError(f"{origin}: got {got}, takes {error}") from None


def _as_text(setting: Setting, value: object, config: Path | None) -> str | list[str]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value if setting.repeatable else ",".join(value)
    if isinstance(value, str | int | date):
        text = value.isoformat() if isinstance(value, date) else str(value)
        return [text] if setting.repeatable else text
    raise SettingError(f"{setting.name} in {config}: got {type(value).__name__}, takes a string")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingError(f"--config: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"--config: {path} is not TOML: {error}") from None
    table: dict[str, Any] = {}
    for key, value in raw.items():
        known = key.replace("-", "_")
        if (
            known == "caller"
            and isinstance(value, list)
            and any(isinstance(v, dict) for v in value)
        ):
            table["caller_rules"] = value
        elif known in _BY_KEY:
            table[known] = value
        else:
            names = ", ".join(sorted(setting.name for setting in SETTINGS))
            raise SettingError(f"{path}: {key} is no setting; there are [[caller]] and {names}")
    return table


def _check_together(settings: Settings) -> None:
    for cert, key in (("tls_cert", "tls_key"), ("upstream_cert", "upstream_key")):
        if (getattr(settings, cert) is None) != (getattr(settings, key) is None):
            names = [f"--{name.replace('_', '-')}" for name in (cert, key)]
            raise SettingError(f"{names[0]} and {names[1]} are needed together")
    listen = (settings.listen, settings.ops_listen)
    if listen[0] == listen[1] and (listen[0].port or listen[0].path):
        raise SettingError(f"--listen and --ops-listen are both {listen[0]}; they must differ")
    if settings.sunset is not None and settings.sunset < settings.deprecated_since:
        # RFC 9745 section 4.
        raise SettingError("--sunset is before --deprecated-since; it must not be")
    server_context(settings)
    upstream_context(settings)


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context of the proxy's listener, or ``None`` for plain text."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load_chain(context, settings.tls_cert, settings.tls_key, "--tls-cert, --tls-key")
    return context


def upstream_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context towards upstream, or ``None`` where no upstream is ``https``."""
    if not any(address.tls for address in settings.upstream):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.upstream_ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"--upstream-ca: {settings.upstream_ca} is no PEM: {error}") from None
    context.set_alpn_protocols(["http/1.1"])
    if settings.upstream_cert is not None:
        names = "--upstream-cert, --upstream-key"
        _load_chain(context, settings.upstream_cert, settings.upstream_key, names)
    return context


def _load_chain(context: ssl.SSLContext, cert: Path, key: Path | None, names: str) -> None:
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"{names}: {cert} and {key} are no chain and key: {error}") from None


def settings_keys() -> frozenset[str]:
    """Return the fields that the table must fill."""
    return frozenset(f.name for f in fields(Settings)) - {"callers", "config"}
