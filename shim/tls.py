"""The TLS contexts of both sides."""

from __future__ import annotations

import ssl
from pathlib import Path

from shim.settings import SettingError, Settings


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
