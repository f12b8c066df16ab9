"""Checkov's rules for pods, on the containers that are ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kubernetes import pods, render
from tests.support.paths import DEPLOY, ROOT
from tests.support.tools import run
from tests.support.wanting import missing

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(400)]

_NOT_WANTED = {
    "CKV_K8S_11": "a limit on CPU would only make calls wait",
    "CKV_K8S_15": "whether to pull is the cluster's policy",
    "CKV_K8S_21": "a pod out of its resource has no namespace",
    "CKV_K8S_35": "the shim reads its one secret from the environment, and shows it nowhere",
    "CKV_K8S_43": "who pushes the image knows its digest",
    "CKV2_K8S_6": "it looks for a NetworkPolicy in the same file; the component policy has it",
    "CKV_K8S_8": "a job that ends has no liveness",
    "CKV_K8S_9": "a job that ends has no readiness",
}


@pytest.fixture(scope="module")
def checkov() -> str:
    """Checkov, which pins too much to share an environment."""
    program = ROOT / ".demo/checkov/bin/checkov"
    if not program.exists():
        if found := shutil.which("checkov"):
            return found
        if not os.environ.get("CI"):
            missing("checkov (PyPI; only CI installs it by itself)")
        run(sys.executable, "-m", "venv", str(program.parents[1]))
        pip = str(program.parent / "pip")
        run(pip, "install", "--quiet", "checkov>=3.3.30,<4", timeout=300)
    return str(program)


def _failed(checkov: str, pod: dict[str, Any], folder: Path) -> list[str]:
    file = folder / "pod.yaml"
    file.write_text(yaml.safe_dump(pod))
    options = ("--quiet", "--compact", "--skip-download", "--framework", "kubernetes", "-o", "json")
    command = [checkov, *options, "--skip-check", ",".join(_NOT_WANTED), "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    result = json.loads(done.stdout)
    assert result["summary"]["passed"] > 30, done.stdout[:2000]
    return [one["check_name"] for one in result["results"]["failed_checks"]]


def _pod(name: str) -> dict[str, Any]:
    ((whole, container),) = [
        (pod, one)
        for which, pod, one in pods(render(DEPLOY / "kubernetes/example"))
        if which == name
    ]
    kept = {key: whole[key] for key in ("securityContext", "volumes")}
    spec = {**kept, "automountServiceAccountToken": False, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("name", ["sidecar", "verdict"])
def test_checkov_finds_nothing(name: str, checkov: str, tmp_path: Path) -> None:
    assert _failed(checkov, _pod(name), tmp_path) == []


def test_a_container_that_may_gain_privileges_would_be_noticed(
    checkov: str, tmp_path: Path
) -> None:
    pod = _pod("sidecar")
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert any("Escalation" in name for name in _failed(checkov, pod, tmp_path))
