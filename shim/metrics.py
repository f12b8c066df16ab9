"""Placeholder until the metrics land."""

from __future__ import annotations

from prometheus_client import CollectorRegistry


class Metrics:
    """Takes every count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def request(self, route: str, method: str, code: int, overhead: float, up: float) -> None:
        """Count a request."""

    def deprecated(self, mode: str, decision: str, upstream_status: int | None, at: float) -> None:
        """Count a use."""

    def upstream_error(self, kind: str) -> None:
        """Count an error."""
