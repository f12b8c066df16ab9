"""The TLS contexts: what they trust, and what they say where a file is none."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shim.net.tls import CertificateError, server_context, upstream_context


def a_plain_authority(path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A CA as `openssl req -x509` makes it: it does not say what its key is for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our own")])
    now = dt.datetime.now(dt.UTC)
    authority = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return authority, key


def signed_by(
    authority: x509.Certificate, key: ec.EllipticCurvePrivateKey, path: Path
) -> ssl.SSLContext:
    """What a server shows whose certificate is signed by `authority`."""
    own = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "restate")]))
        .issuer_name(authority.subject)
        .public_key(own.public_key())
        .serial_number(2)
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(authority.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("restate")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Let two contexts agree, or raise why they do not."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname="restate"),
        server.wrap_bio(up, down, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


# It worked on Python 3.12 and not on 3.13, which checks CAs more strictly unless told otherwise.
def test_a_plain_authority_of_ones_own_is_trusted(tmp_path: Path) -> None:
    server = signed_by(*a_plain_authority(tmp_path / "ca.pem"), tmp_path / "server.pem")
    shake_hands(upstream_context(tmp_path / "ca.pem", None, None), server)


def test_another_authority_is_not(tmp_path: Path) -> None:
    server = signed_by(*a_plain_authority(tmp_path / "ca.pem"), tmp_path / "server.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(upstream_context(tmp_path / "other.pem", None, None), server)


def test_files_that_are_none_are_named_with_their_settings(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(CertificateError, match=r"--upstream-ca: .*none\.pem is no PEM"):
        upstream_context(tmp_path / "none.pem", None, None)
    with pytest.raises(CertificateError, match=r"--tls-cert, --tls-key: .*are no chain and key"):
        server_context(tmp_path / "none.pem", tmp_path / "none.pem")
