"""A scan as SARIF 2.1.0, which code hosts show beside the lines."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from shim import __version__
from shim.scan.finding import Confidence, Finding
from shim.scan.scan import Scan

_LEVELS: Final = {
    Confidence.CERTAIN: "error",
    Confidence.LIKELY: "warning",
    Confidence.POSSIBLE: "note",
}
_RULES: Final = [
    {
        "id": "old-call",
        "name": "OldCall",
        "shortDescription": {"text": "Makes the deprecated call DELETE /invocations/{id}"},
        "fullDescription": {
            "text": "Restate will remove DELETE /invocations/{id}?mode=cancel|kill|purge. "
            "PATCH /invocations/{id}/cancel|kill|purge replaces it, and answers 404 and 409 "
            "where the old call said 202."
        },
    },
    {
        "id": "old-version",
        "name": "OldVersion",
        "shortDescription": {"text": "Pins a version of Restate that makes the deprecated call"},
        "fullDescription": {
            "text": "The restate CLI before 1.5 makes the call DELETE /invocations/{id}, "
            "and so does the web UI of the server before 1.5."
        },
    },
]


def as_sarif(found: Scan) -> dict[str, Any]:
    """Return the log of one run."""
    notifications = [
        {
            "level": "note",
            "message": {"text": f"skipped: {one.reason}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(one.path)}}}],
        }
        for one in found.skipped
    ]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "restate-shim", "version": __version__, "rules": _RULES}
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": notifications,
                    }
                ],
                "results": [_result(one) for one in found.findings],
            }
        ],
    }


def _result(one: Finding) -> dict[str, Any]:
    pin = "upgrade to" in one.reason
    return {
        "ruleId": "old-version" if pin else "old-call",
        "ruleIndex": 1 if pin else 0,
        "level": _LEVELS[one.confidence],
        "message": {"text": f"{one.reason}. Instead: {one.replacement}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(one.in_repository)},
                    "region": {
                        "startLine": one.line,
                        "startColumn": one.column,
                        "snippet": {"text": one.code},
                    },
                }
            }
        ],
        "properties": {"mode": one.mode, "confidence": str(one.confidence)},
    }


def _uri(path: str) -> str:
    """Return a reference from the root of the repository, or where the file is."""
    posix = PurePath(path).as_posix().encode("utf-8", "surrogateescape")
    return ("file://" if posix.startswith(b"/") else "") + quote(posix)
