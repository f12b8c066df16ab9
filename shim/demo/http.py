"""One HTTP call, with its target sent byte for byte as it is given."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    content_type: str | None
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


def call(
    base: str,
    method: str,
    target: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> Response:
    """Make one call to ``base`` (``http://host:port``) on a connection of its own."""
    url = urlsplit(base)
    assert url.hostname is not None
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)
    fields = dict(headers or {})
    content = None
    if body is not None:
        content = json.dumps(body).encode()
        fields.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, target, content, fields)
        response = connection.getresponse()
        return Response(
            response.status,
            response.getheader("content-type"),
            response.read(),
            {name.lower(): value for name, value in response.getheaders()},
        )
    finally:
        connection.close()
