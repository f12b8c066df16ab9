"""The shim in Restate's constructs for AWS: type-checked against them, and synthesized."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from shim.settings.loading import load
from tests.support.layouts import FACTS, npm
from tests.support.paths import DEPLOY, ROOT
from tests.support.tools import run
from tests.support.wanting import missing

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(400)]

_PACKAGES: Final = ("@restatedev/restate-cdk@1.7.0", "typescript@5.9.3", "@types/node@22")
_OPTIONS: Final = (
    *("--strict", "--noImplicitOverride", "--skipLibCheck", "--esModuleInterop"),
    *("--module", "commonjs", "--target", "es2022", "--types", "node"),
)


@pytest.fixture(scope="module")
def modules() -> Path:
    """Restate's constructs and what they need: a quarter of a gigabyte."""
    folder = ROOT / ".demo/restate-cdk"
    found = folder / "node_modules"
    if not (found / "@restatedev/restate-cdk").is_dir():
        if not os.environ.get("CI"):
            missing("@restatedev/restate-cdk (npm; only CI installs it by itself)")
        npm(folder, *_PACKAGES)
    return found


def _compiled(modules: Path, folder: Path) -> Path:
    (folder / "node_modules").symlink_to(modules)
    for file in (*(DEPLOY / "aws").glob("*.ts"), FACTS / "aws.ts"):
        shutil.copy(file, folder)
    compiler = str(modules / "typescript/bin/tsc")
    run("node", compiler, *_OPTIONS, "--outDir", "out", "aws.ts", cwd=folder, timeout=200)
    return folder / "out/aws.js"


@pytest.fixture(scope="module")
def stacks(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("aws")
    program = _compiled(modules, folder)
    # Its warnings, on stderr, are about the constructs themselves.
    done = subprocess.run(
        ["node", str(program)],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _resources(stack: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = stack["Resources"].values()
    return [one["Properties"] for one in found if one["Type"] == kind]


def _containers(stack: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (task,) = _resources(stack, "AWS::ECS::TaskDefinition")
    return {one["Name"]: one for one in task["ContainerDefinitions"]}


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in container["Environment"]}


def test_a_mistake_in_a_property_would_be_noticed(modules: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(modules)
    for file in (*(DEPLOY / "aws").glob("*.ts"), FACTS / "aws.ts"):
        shutil.copy(file, tmp_path)
    file = tmp_path / "fargate.ts"
    file.write_text(file.read_text().replace("readonlyRootFilesystem", "readOnlyRoot"))
    compiler = str(modules / "typescript/bin/tsc")
    with pytest.raises(AssertionError, match="readOnlyRoot"):
        run("node", compiler, *_OPTIONS, "--noEmit", "aws.ts", cwd=tmp_path, timeout=200)


def test_on_fargate_the_first_step_changes_nothing_for_callers(stacks: dict[str, Any]) -> None:
    containers = _containers(stacks["beside"])
    assert "RESTATE_ADMIN__BIND_ADDRESS" not in _environment(containers["restate-runtime"])
    shim = load({}, _environment(containers["restate-shim"]), None)
    assert shim.listen.port == 9170
    assert shim.upstream[0].port == 9070


def test_on_fargate_the_second_swaps_the_ports(stacks: dict[str, Any]) -> None:
    containers = _containers(stacks["swap"])
    moved = _environment(containers["restate-runtime"])["RESTATE_ADMIN__BIND_ADDRESS"]
    shim = load({}, _environment(containers["restate-shim"]), None)
    assert (shim.listen.host, shim.listen.port) == ("::", 9070)
    assert f"{shim.upstream[0].host}:{shim.upstream[0].port}" == moved == "127.0.0.1:9072"
    assert containers["restate-shim"]["Essential"] is False
    assert [one["Name"] for one in containers["restate-shim"]["Secrets"]] == ["SHIM_FLEET"]


@pytest.mark.parametrize(
    "kind",
    ["AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::TargetGroup"],
)
def test_the_load_balancer_stays_as_it_is(stacks: dict[str, Any], kind: str) -> None:
    assert _resources(stacks["beside"], kind) == _resources(stacks["swap"], kind)
    (service,) = _resources(stacks["swap"], "AWS::ECS::Service")
    names = {one["ContainerName"] for one in service["LoadBalancers"]}
    assert names == {"restate-runtime"}, "by address and port, which the shim has now"


def _text(value: Any) -> str:
    """Join what CloudFormation will join."""
    if isinstance(value, dict):
        return "".join(map(_text, value.values()))
    return "".join(map(_text, value)) if isinstance(value, list) else str(value)


def _script(stack: dict[str, Any]) -> str:
    (instance,) = _resources(stack, "AWS::EC2::Instance")
    return _text(instance["UserData"])


@pytest.mark.parametrize(("step", "port"), [("beside", 9170), ("swap", 9070)])
def test_on_one_node_the_shim_is_up_before_the_script_waits_for_9070(
    stacks: dict[str, Any], step: str, port: int
) -> None:
    script = _script(stacks[step])
    assert script.index(f"SHIM_LISTEN='[::]:{port}'") < script.index("http://localhost:9070/health")
    assert ('RESTATE_ADMIN__BIND_ADDRESS="127.0.0.1:9072"' in script) == (step == "swap")
    assert 'RESTATE_LOG_FILTER="warn"' in script, "one's own environment stays"


def test_the_constructs_script_does_not_take_the_shim_for_restate(stacks: dict[str, Any]) -> None:
    # It asks for `name=restate`, which Docker finds in any part of a name, and removes "restate":
    # where that is not there, the script ends.
    script = _script(stacks["swap"])
    assert "-f name=restate)" in script
    assert "--name admin-shim " in script
    assert "--name restate-shim" not in script
