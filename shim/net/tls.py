"""The TLS contexts of both sides."""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateError(Exception):
    """A certificate, key or CA file that cannot be used; the message names the ``settings``."""

    def __init__(self, problem: str, *settings: str) -> None:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in settings)
        super().__init__(f"{flags}: {problem}")
        self.settings = settings


def server_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the TLS context of the proxy's listener, or ``None`` for plain text."""
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    _load_chain(context, cert, key, "tls_cert", "tls_key")
    return context


def upstream_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return the TLS context towards ``https`` upstreams; without ``ca`` the system's CAs count."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"{ca} is no PEM: {error}", "upstream_ca") from None
    if ca is not None:
        # Python 3.13 asks of a CA what plain `openssl req -x509` does not write into one; whoever
        # names a CA has chosen whom to trust.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    if cert is not None:
        _load_chain(context, cert, key, "upstream_cert", "upstream_key")
    return context


def _load_chain(context: ssl.SSLContext, cert: Path, key: Path | None, *settings: str) -> None:
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        problem = f"{cert} and {key} are no chain and key: {error}"
        raise CertificateError(problem, *settings) from None
