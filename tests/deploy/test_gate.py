"""The gate: an upgrade of Restate goes on where it is safe, and on no other verdict."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.records import record_of_a_fortnight
from tests.support.kubernetes import Resource, only, render, sidecar_of
from tests.support.origin import Origin, reply
from tests.support.paths import DEPLOY
from tests.support.running import restate_shim
from tests.support.tools import run, tool

pytestmark = pytest.mark.deploy

_GATE: Final = DEPLOY / "gate"
_HOOKS: Final = {
    "argocd": {
        "argocd.argoproj.io/hook": "PreSync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
    },
    "helm": {
        "helm.sh/hook": "pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation",
        "helm.sh/hook-weight": "-5",
    },
}


def _job(name: str = "job") -> Resource:
    job = only(render(_GATE / name), "Job", "restate-shim-gate")
    assert isinstance(job, dict)
    return job


def _container() -> Resource:
    (container,) = _job()["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


# The Job


@pytest.mark.parametrize("name", ["job", *_HOOKS])
def test_kubernetes_takes_it(name: str) -> None:
    validate = tool("kubernetes-validate", "PyPI kubernetes-validate")
    run(validate, "--strict", "-", stdin=yaml.safe_dump(_job(name)))


@pytest.mark.parametrize("name", _HOOKS)
def test_a_hook_is_the_job_with_its_annotations(name: str) -> None:
    job, hook = _job(), _job(name)
    assert hook["metadata"].pop("annotations") == _HOOKS[name]
    assert hook["spec"] == job["spec"]
    assert ("namespace" in hook["metadata"]) == (name == "argocd")


def test_it_asks_once_and_says_so_by_failing() -> None:
    spec = _job()["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"]


def test_it_reads_what_the_weekly_report_reads() -> None:
    rendered = render(DEPLOY / "kubernetes/example")
    weekly = only(rendered, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    gate = _job()["spec"]["template"]["spec"]
    (ours,), (theirs,) = gate["containers"], weekly["containers"]
    differs = {"name", "args", "image"}
    assert {key: ours[key] for key in ours.keys() - differs} == {
        key: theirs[key] for key in theirs.keys() - differs
    }
    assert {key: gate[key] for key in gate.keys() - {"containers"}} == {
        key: weekly[key] for key in weekly.keys() - {"containers"}
    }
    assert ours["image"] == sidecar_of(rendered)["image"]


# What its command says


@pytest.mark.parametrize(
    ("record", "settings", "code"),
    [
        ({}, "instances = 1", 0),
        ({"used": True}, "instances = 1", 3),
        ({"gap": True}, "instances = 1", 4),
        # The record of one replica said nothing of the two others.
        ({}, "instances = 3", 4),
        (
            {"used": True},
            'instances = 1\n[[caller]]\nmatch = "*"\nacknowledged_until = 2099-12-31',
            5,
        ),
    ],
    ids=["safe", "in use", "a gap", "one of three", "acknowledged"],
)
def test_its_command_succeeds_on_safe_alone(
    record: dict[str, bool], settings: str, code: int, tmp_path: Path
) -> None:
    config = tmp_path / "shim.toml"
    config.write_text(settings)
    lines = record_of_a_fortnight(tmp_path, **record)
    done = restate_shim(*_container()["args"], lines, SHIM_CONFIG=str(config))
    assert done.returncode == code, done.stdout + done.stderr


# What asks it

_KUBECTL: Final = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *"get job"*) cat "$CONDITIONS" ;;
    *logs*) echo "the report" ;;
esac
"""


@pytest.mark.parametrize(
    ("conditions", "code"),
    [("SuccessCriteriaMet Complete", 0), ("FailureTarget Failed", 1), ("Failed", 1)],
)
def test_who_asks_before_an_upgrade_is_stopped(conditions: str, code: int, tmp_path: Path) -> None:
    # In place of a cluster: what of it the script sees.
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(_KUBECTL)
    kubectl.chmod(0o755)
    (tmp_path / "conditions").write_text(conditions)
    calls = tmp_path / "calls"
    environ = {"KUBECTL": str(kubectl), "CALLS": str(calls), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["sh", str(_GATE / "ask.sh")],
        env={**environ, "CONDITIONS": str(tmp_path / "conditions")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "the report" in done.stdout, "why it is stopped"
    said = calls.read_text().splitlines()
    assert all(line.startswith("--namespace restate ") for line in said)
    assert "delete job" in said[0], "an answer of last week is none"


# GitHub


def _steps() -> dict[str, Any]:
    workflow = yaml.safe_load((_GATE / "github.yaml").read_text())
    return {step["name"]: step for step in workflow["jobs"]["upgrade"]["steps"]}


def test_github_takes_the_workflow() -> None:
    checker = tool("check-jsonschema", "PyPI check-jsonschema")
    run(checker, "--builtin-schema", "vendor.github-workflows", str(_GATE / "github.yaml"))


@pytest.mark.parametrize(
    ("status", "code"), [("200 OK", 0), ("409 Conflict", 22), ("425 Too Early", 22)]
)
def test_the_step_that_asks_by_http_ends_on_any_other_verdict(status: str, code: int) -> None:
    body = b'{"status": "x", "reason": "somebody uses it"}'
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    origin = Origin()
    origin.script = reply(head + body)
    try:
        done = subprocess.run(
            # As GitHub runs it.
            ["bash", "-e", "-c", _steps()["Nobody uses the old route"]["run"]],
            env={"PATH": os.environ["PATH"], "SHIM": origin.url},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        (asked,) = origin.requests
        assert asked.target == b"/verdict?within=14d"
    finally:
        origin.close()
    assert done.returncode == code, done.stderr
    assert "somebody uses it" in done.stdout, "why it is stopped"


def test_the_step_that_asks_the_fleet_runs_the_jobs_command() -> None:
    words = shlex.split(_steps()["Nobody uses the old route, by the fleet"]["run"])
    assert words[-3:] == _container()["args"]
    assert words[: words.index("$IMAGE")] == ["docker", "run", "--rm", "--env", "SHIM_FLEET"]
