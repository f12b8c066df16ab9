"""Where the settings come from: flags, then the environment, then the TOML file, then defaults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from shim.moments import rfc3339
from shim.net.tls import CertificateError
from shim.settings.declared import SETTINGS, Setting, SettingError, Settings
from shim.settings.entries import EntryError, parse_entries

_USERINFO: Final = re.compile(r"//[^/@]*@")
_SOURCES: Final = "caller_sources"
_BY_KEY: Final = {setting.key: setting for setting in SETTINGS}


def load(
    flags: Mapping[str, str | Sequence[str] | None],
    environ: Mapping[str, str],
    config: Path | None = None,
    *,
    needed: Container[str] | None = None,
) -> Settings:
    """Read every setting; raise :class:`SettingError` for the first that cannot be used.

    ``flags`` maps keys of :data:`SETTINGS` to their text, ``None`` where the flag was not given.
    With ``needed``, only those keys and the ``[[caller]]`` entries are read and all others keep
    their defaults: a report is made on machines that lack the certificates of ``serve``.
    """
    if config is None and environ.get("SHIM_CONFIG"):
        config = Path(environ["SHIM_CONFIG"])
    table = _read_toml(config) if config else {}
    try:
        entries = parse_entries(table.pop("caller_entries", ()))
    except EntryError as error:
        raise SettingError(f"{config}: {error}", entry=error.entry, key=error.key) from None
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        given = None
        if needed is None or setting.key in needed:
            given = _find(setting, flags, environ, table, config)
        values[setting.key] = _default(setting) if given is None else _parse(setting, *given)
    settings = Settings(**values, callers=entries, config=config)
    if needed is None:
        _check_together(settings)
    return settings


def _find(
    setting: Setting,
    flags: Mapping[str, str | Sequence[str] | None],
    environ: Mapping[str, str],
    table: Mapping[str, Any],
    config: Path | None,
) -> tuple[str | Sequence[str], str] | None:
    """Return a setting's text and where it comes from; ``None`` where it has its default."""
    flag = flags.get(setting.key)
    if flag is not None:
        return flag, f"--{setting.name}"
    # An empty variable is what compose files and charts leave where a value is not set.
    if text := environ.get(setting.variable):
        return (text.split(";") if setting.repeatable else text), setting.variable
    if setting.key in table:
        return _as_text(setting, table[setting.key], config), f"{setting.name} in {config}"
    return None


def _default(setting: Setting) -> Any:
    default = setting.default
    return setting.parse(default) if isinstance(default, str) else default()


def _parse(setting: Setting, text: str | Sequence[str], origin: str) -> Any:
    if not isinstance(text, str):
        return tuple(_parse(setting, one.strip(), origin) for one in text)
    try:
        return setting.parse(text)
    except ValueError as error:
        # What the environment says stands in no line of the file.
        about = () if origin == setting.variable else (setting.key,)
        raise SettingError(
            f"{origin}: got {_shown(setting, text)}, takes {error}", settings=about
        ) from None


def _as_text(setting: Setting, value: object, config: Path | None) -> str | list[str]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value if setting.repeatable else ",".join(value)
    if isinstance(value, str | int | date):
        text = value.isoformat() if isinstance(value, date) else str(value)
        return [text] if setting.repeatable else text
    got = _shown(setting, value)
    takes = "strings" if setting.repeatable else "a string"
    if setting.key == "caller":
        takes += "; what is known about callers is written [[caller]]"
    raise SettingError(
        f"{setting.name} in {config}: got {got}, takes {takes}", settings=(setting.key,)
    )


def _shown(setting: Setting, value: object) -> str:
    """Return a value as it may be shown: a secret never is."""
    return "a value that is not shown" if setting.secret else _USERINFO.sub("//…@", repr(value))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingError(f"--config: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Before Python 3.14 the text alone tells the line.
        where = re.search(r"\bat line (\d+)", str(error))
        line = int(where[1]) if where else None
        raise SettingError(f"--config: {path} is not TOML: {error}", line=line) from None
    table: dict[str, Any] = {}
    for key, value in raw.items():
        known = key.replace("-", "_")
        if (
            known == "caller"
            and isinstance(value, list)
            and any(isinstance(v, dict) for v in value)
        ):
            table["caller_entries"] = value
        elif known in _BY_KEY:
            table[known] = value
        elif known == _SOURCES:
            # In TOML a key cannot be both a string and a list of tables.
            table["caller"] = value
        else:
            names = ", ".join(sorted(setting.name for setting in SETTINGS))
            raise SettingError(
                f"{path}: {key} is no setting; there are [[caller]] and {names}", settings=(key,)
            )
    return table


def _check_together(settings: Settings) -> None:
    for cert, key in (("tls_cert", "tls_key"), ("upstream_cert", "upstream_key")):
        if (getattr(settings, cert) is None) != (getattr(settings, key) is None):
            names = [f"--{name.replace('_', '-')}" for name in (cert, key)]
            given = names[getattr(settings, cert) is None]
            raise SettingError(
                f"{names[0]} and {names[1]} are needed together: got {given} only",
                settings=(cert, key),
            )
    listen = (settings.listen, settings.ops_listen)
    if listen[0] == listen[1] and (listen[0].port or listen[0].path):
        raise SettingError(
            f"--listen and --ops-listen are both {listen[0]}; they must differ",
            settings=("listen", "ops_listen"),
        )
    if settings.sunset is not None and settings.sunset < settings.deprecated_since:
        # RFC 9745 section 4.
        raise SettingError(
            f"--sunset: got {rfc3339(settings.sunset)}, takes a time after --deprecated-since, "
            f"which is {rfc3339(settings.deprecated_since)}",
            settings=("sunset", "deprecated_since"),
        )
    try:
        settings.server_tls()
        settings.upstream_tls()
    except CertificateError as error:
        raise SettingError(str(error), settings=error.settings) from None
