"""Tokens whose signature nobody looks at."""

from __future__ import annotations

import base64
import json
from typing import Final

SIGNATURE: Final = b"SIGNATURESECRET"


def jwt(claims: object) -> bytes:
    """A JSON Web Token (RFC 7519) without an algorithm."""
    parts = [json.dumps({"alg": "none"}), json.dumps(claims)]
    coded = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in parts]
    return b".".join([*coded, SIGNATURE])
