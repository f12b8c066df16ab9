"""The report in each of its forms."""

from __future__ import annotations

from typing import Final

FORMATS: Final = ("table", "json", "csv", "markdown", "html")
"""By the names that they are asked for."""
