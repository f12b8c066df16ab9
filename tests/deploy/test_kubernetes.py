"""What Kustomize makes of the components, held to Kubernetes' schemas and to what it is for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from shim.cli import main
from shim.settings.declared import SETTINGS
from shim.settings.loading import load
from tests.support.client import ask, request
from tests.support.kubernetes import Resource, only, pods, render, sidecar_of
from tests.support.layouts import npm, overlay
from tests.support.origin import Origin
from tests.support.paths import DEPLOY, ROOT
from tests.support.running import Shim
from tests.support.tools import run, tool

pytestmark = pytest.mark.deploy

_FOLDER = DEPLOY / "kubernetes"
_ALL = ("sidecar", "names", "swap", "policy")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """Everything that the example can have."""
    return render(overlay(tmp_path_factory.mktemp("all"), "example", *_ALL))


def test_kubernetes_takes_every_resource(rendered: list[Resource]) -> None:
    validate = tool("kubernetes-validate", "PyPI kubernetes-validate")
    core = [one for one in rendered if "." not in one["apiVersion"].split("/")[0].split(".k8s")[0]]
    assert {"StatefulSet", "Service", "NetworkPolicy", "CronJob"} <= {one["kind"] for one in core}
    run(validate, "--strict", "-", stdin=yaml.safe_dump_all(core))


def _foreign() -> Iterator[Resource]:
    for name in ("sidecar/podmonitor.yaml", "sidecar/prometheusrule.yaml"):
        yield yaml.safe_load((_FOLDER / name).read_text())
    yield from yaml.safe_load_all((DEPLOY / "gateway/gateway-api.yaml").read_text())


@pytest.fixture(scope="module")
def models() -> Path:
    """Types that are generated from the definitions of the Prometheus Operator and Gateway API."""
    folder = ROOT / ".demo/kubernetes-models"
    packages = [
        "@kubernetes-models/prometheus-operator@6.0.0",
        "@kubernetes-models/gateway-api@2.0.0",
    ]
    if not (folder / "node_modules/@kubernetes-models/gateway-api").is_dir():
        npm(folder, *packages)
    return folder / "node_modules/@kubernetes-models"


@pytest.mark.parametrize(
    "resource",
    [one for one in _foreign() if one["kind"] != "Service"],
    ids=lambda resource: resource["kind"],
)
def test_the_operators_take_their_resources(resource: Resource, models: Path) -> None:
    package = {"monitoring.coreos.com": "prometheus-operator"}
    group, version = resource["apiVersion"].split("/")
    path = models / package.get(group, "gateway-api") / group / version / resource["kind"]
    script = (
        "const [path, kind, text] = process.argv.slice(1);"
        "new (require(path)[kind])(JSON.parse(text)).validate();"
    )
    run("node", "-e", script, str(path), resource["kind"], json.dumps(resource))


def test_the_rules_are_those_of_the_plain_file() -> None:
    rule = yaml.safe_load((_FOLDER / "sidecar/prometheusrule.yaml").read_text())
    plain = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())
    assert rule["spec"]["groups"] == plain["groups"], "see the head of prometheusrule.yaml"


def test_the_gateway_route_takes_the_old_call_only() -> None:
    route = only(list(_foreign()), "HTTPRoute")
    old, rest = route["spec"]["rules"]
    assert {match["method"] for match in old["matches"]} == {"DELETE"}
    paths = [match["path"]["value"] for match in old["matches"]]
    assert paths == [f"{prefix}/invocations" for prefix in ("", "/v2", "/v3", "/v4")]
    assert "matches" not in rest, "everything else"
    assert [rule["backendRefs"][0]["name"] for rule in (old, rest)] == ["restate-shim", "restate"]


def test_it_is_a_native_sidecar_with_probes(rendered: list[Resource]) -> None:
    sidecar = sidecar_of(rendered)
    assert sidecar["restartPolicy"] == "Always"
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    assert ports == {"shim-ops": 9171}
    for probe in ("livenessProbe", "readinessProbe"):
        assert sidecar[probe]["httpGet"] == {"path": "/live", "port": "shim-ops"}


def test_restate_comes_up_and_takes_calls_without_a_working_shim(rendered: list[Resource]) -> None:
    sidecar = sidecar_of(rendered)
    assert "startupProbe" not in sidecar, "Restate would wait for it"
    assert sidecar["readinessProbe"]["httpGet"]["path"] != "/ready", "it counts for the whole pod"


@pytest.mark.parametrize("name", ["sidecar", "verdict"])
def test_our_containers_are_restricted(name: str, rendered: list[Resource]) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    ((pod, container),) = [(pod, one) for which, pod, one in pods(rendered) if which == name]
    security = {**pod.get("securityContext", {}), **container["securityContext"]}
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    allowed = {"configMap", "persistentVolumeClaim", "emptyDir"}
    assert all(volume.keys() - {"name"} <= allowed for volume in pod["volumes"])
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert not container["image"].endswith(":latest")
    assert ":" in container["image"]


def test_what_the_readme_applies_first_is_the_first_step(rendered: list[Resource]) -> None:
    # The first `apply` took the riskiest step, for both components were listed.
    first = render(_FOLDER / "example")
    assert "9072" not in yaml.safe_dump(only(first, "StatefulSet"))
    assert all(one["kind"] != "NetworkPolicy" for one in first)
    assert "9072" in yaml.safe_dump(only(rendered, "StatefulSet"))
    for name in ("example", "argocd"):
        text = (_FOLDER / name / "kustomization.yaml").read_text()
        commented = set(re.findall(r"^  # - \.\./(\w+)$", text, re.MULTILINE))
        assert commented == {"swap", "policy"}


def test_without_the_components_everything_is_as_it_was(tmp_path: Path) -> None:
    without = render(overlay(tmp_path, "example"))
    before = [
        one for one in yaml.safe_load_all((_FOLDER / "example/restate.yaml").read_text()) if one
    ]
    for resource in before:
        resource["metadata"]["namespace"] = "restate"

    def key(resource: Resource) -> tuple[str, str]:
        return resource["kind"], resource["metadata"]["name"]

    assert sorted(without, key=key) == sorted(before, key=key)


def test_one_label_finds_all_that_is_to_be_deleted(
    rendered: list[Resource], tmp_path: Path
) -> None:
    before = {
        (one["kind"], one["metadata"]["name"]) for one in render(overlay(tmp_path, "example"))
    }
    for resource in rendered:
        added = (resource["kind"], resource["metadata"]["name"]) not in before
        labels = resource["metadata"].get("labels", {})
        assert (labels.get("app.kubernetes.io/part-of") == "restate-shim") == added, resource


def test_other_init_containers_stay(tmp_path: Path) -> None:
    place = overlay(tmp_path, "example", *_ALL)
    file = place / "restate.yaml"
    extra = "      initContainers: [{name: warm-up, image: busybox:1.37}]\n      containers:\n"
    text = file.read_text()
    assert text.count("      containers:\n") == 1
    file.write_text(text.replace("      containers:\n", extra))
    containers = only(render(place), "StatefulSet")["spec"]["template"]["spec"]["initContainers"]
    assert sorted(one["name"] for one in containers) == ["restate-shim", "warm-up"]


def _plain_environment(container: Resource) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def test_the_shim_takes_its_settings(rendered: list[Resource], tmp_path: Path) -> None:
    environment = _plain_environment(sidecar_of(rendered))
    assert {one["name"] for one in sidecar_of(rendered)["env"]} <= {
        "SHIM_CONFIG",
        *(setting.variable for setting in SETTINGS),
    }
    config = tmp_path / "shim.toml"
    config.write_text(only(rendered, "ConfigMap")["data"]["shim.toml"])
    settings = load({}, {**environment, "SHIM_CONFIG": str(config)})
    assert settings.sunset is None, "nobody has announced a day yet"
    assert settings.upstream[0].port == 9072


def test_the_callers_in_the_example_are_taken_once_they_are_uncommented(tmp_path: Path) -> None:
    text = (_FOLDER / "example/shim.toml").read_text()
    config = tmp_path / "shim.toml"
    config.write_text(re.sub(r"^# (?=\[\[|\w+ = )", "", text, flags=re.MULTILINE))
    (caller,) = load({}, {}, config).callers
    assert caller.match == "ci-*"


def test_a_shim_takes_less_memory_than_is_set_aside_for_it(rendered: list[Resource]) -> None:
    asked = sidecar_of(rendered)["resources"]["requests"]["memory"]
    origin = Origin()
    shim = Shim(upstream=origin.url)
    try:
        for number in range(500):
            ask(shim.proxy, request("DELETE", f"/invocations/inv_{number}"))
        ask(shim.ops, request("GET", "/usage"))
        assert shim.memory() < int(asked.removesuffix("Mi")) * 2**20
    finally:
        shim.stop()
        origin.close()


def test_the_verdicts_command_is_one(
    rendered: list[Resource],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = only(rendered, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    monkeypatch.setenv("SHIM_LEDGER", str(tmp_path / "none.db"))
    assert main(job["containers"][0]["args"]) == 2
    assert "there is no ledger" in capsys.readouterr().err


def test_a_weekly_report_that_failed_once_does_not_stay(rendered: list[Resource]) -> None:
    # Four more had to fail until it went, and KubeJobFailed with it.
    spec = only(rendered, "CronJob")["spec"]
    week = timedelta(days=7).total_seconds()
    assert week / 2 < spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] < week
