"""Certificates for one run of the tests."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """An authority and what it signed, as files."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        server = self.authority.issue_cert("localhost", "127.0.0.1")
        self.cert, self.key = str(folder / "cert.pem"), str(folder / "key.pem")
        for blob in server.cert_chain_pems:
            blob.write_to_path(self.cert, append=True)
        server.private_key_pem.write_to_path(self.key)
        client = self.authority.issue_cert("shim@example.test")
        self.client_cert, self.client_key = str(folder / "client.pem"), str(folder / "ckey.pem")
        client.cert_chain_pems[0].write_to_path(self.client_cert)
        client.private_key_pem.write_to_path(self.client_key)
        elsewhere = self.authority.issue_cert("elsewhere.test")
        self.elsewhere = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        elsewhere.configure_cert(self.elsewhere)
        self.other_ca = str(folder / "other.pem")
        trustme.CA().cert_pem.write_to_path(self.other_ca)

    def server(self, *, ask_client: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)
