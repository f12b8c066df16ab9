"""The gate: an upgrade of Restate goes on where it is safe, and on no other verdict."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.records import record_of_a_fortnight
from tests.support.kubernetes import Resource, only, render, sidecar_of
from tests.support.origin import Origin, reply
from tests.support.paths import DEPLOY, ROOT
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
    ours["env"] = [one for one in ours["env"] if one["name"] != "ACCEPT"]
    differs = {"name", "command", "args", "image"}
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
def test_its_command_succeeds_on_safe_alone_or_on_what_is_accepted(
    record: dict[str, bool], settings: str, code: int, tmp_path: Path
) -> None:
    config = tmp_path / "shim.toml"
    config.write_text(settings)
    lines = record_of_a_fortnight(tmp_path, **record)
    container = _container()
    program = tmp_path / "restate-shim"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m shim "$@"\n')
    program.chmod(0o755)

    def ends(accept: str) -> int:
        done = subprocess.run(
            [*container["command"], *container["args"], lines],
            cwd=ROOT,
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "ACCEPT": accept,
                "SHIM_CONFIG": str(config),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Last use" in done.stdout, done.stdout + done.stderr
        return done.returncode

    (accept,) = [one["value"] for one in container["env"] if one["name"] == "ACCEPT"]
    assert ends(accept) == code
    assert ends("0 5") == (0 if code in (0, 5) else code)


# What asks it

_KUBECTL: Final = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *create*) cat > "$CALLS.created" ;;
    *"get job"*) cat "$CONDITIONS" ;;
    *logs*) echo "the report" ;;
esac
"""


def _ask(folder: Path, conditions: str | None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the script; in place of a cluster is what of it the script sees."""
    kubectl = folder / "kubectl"
    kubectl.write_text(_KUBECTL)
    kubectl.chmod(0o755)
    if conditions is not None:
        (folder / "conditions").write_text(conditions)
    given = {
        "KUBECTL": str(kubectl),
        "CALLS": str(folder / "calls"),
        "CONDITIONS": str(folder / "conditions"),
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(
        ["sh", str(_GATE / "ask.sh")],
        env={**given, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("conditions", "code"),
    [("SuccessCriteriaMet Complete", 0), ("FailureTarget Failed", 1), ("Failed", 1)],
)
def test_who_asks_before_an_upgrade_is_stopped(conditions: str, code: int, tmp_path: Path) -> None:
    done = _ask(tmp_path, conditions)
    assert done.returncode == code, done.stderr
    assert "the report" in done.stdout, "why it is stopped"
    said = (tmp_path / "calls").read_text().splitlines()
    assert all(line.startswith("--namespace restate ") for line in said)
    assert "delete job" in said[0], "an answer of last week is none"


def test_who_asks_is_stopped_where_the_job_cannot_be_looked_at(tmp_path: Path) -> None:
    # It looked for ever: a login had expired, or the Job was deleted.
    assert _ask(tmp_path, None).returncode != 0


def test_who_asks_is_stopped_by_a_job_that_does_not_end(tmp_path: Path) -> None:
    done = _ask(tmp_path, "", PATIENCE="2")
    assert done.returncode == 1
    assert "does not end" in done.stderr


@pytest.mark.parametrize("accept", [None, "0 5"])
def test_who_asks_says_what_is_accepted(accept: str | None, tmp_path: Path) -> None:
    given = {} if accept is None else {"ACCEPT": accept}
    assert _ask(tmp_path, "Complete", **given).returncode == 0
    created = yaml.safe_load((tmp_path / "calls.created").read_text())
    (container,) = created["spec"]["template"]["spec"]["containers"]
    values = [one.get("value") for one in container["env"] if one["name"] == "ACCEPT"]
    assert values == [accept or "0"]
    written = yaml.safe_load((_GATE / "job/job.yaml").read_text())
    (other,) = written["spec"]["template"]["spec"]["containers"]
    assert {**container, "env": None} == {**other, "env": None}


# Argo CD


def test_a_hook_is_not_in_what_first_brings_the_shim() -> None:
    # It comes before the sync, and would wait for a ConfigMap that the sync brings.
    folder = DEPLOY / "kubernetes/argocd"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert not [one for one in listed.get("resources", ()) if "gate" in one]
    said = (_GATE / "argocd/kustomization.yaml").read_text()
    assert "Not before the shim is there" in said
    assert "only changes the phase" in said


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
            env={"PATH": os.environ["PATH"], "SHIM": origin.url, "TOKEN": "secret"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        (asked,) = origin.requests
        assert asked.target == b"/verdict?within=14d"
        assert asked.values(b"authorization") == [b"Bearer secret"], "401 to who has none"
    finally:
        origin.close()
    assert done.returncode == code, done.stderr
    assert "somebody uses it" in done.stdout, "why it is stopped"


def test_the_step_that_asks_the_fleet_runs_the_jobs_command(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)

    def words(**environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", _steps()["Nobody uses the old route, by the fleet"]["run"]],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "IMAGE": "shim:1", **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    said = words(REPLICAS="3").stdout.split()
    container = ["docker", "run", "--rm", "--env", "SHIM_FLEET", "--env", "SHIM_INSTANCES=3"]
    assert said == [*container[1:], "shim:1", *_container()["args"]]
    # Without shim.toml the record of one of three would do.
    assert words(REPLICAS="").returncode != 0
