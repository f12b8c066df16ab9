"""The compose file, and what it mounts, in place of the containers that cannot be pulled here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from shim.settings.declared import Settings
from shim.settings.loading import load
from tests.support.paths import DEPLOY
from tests.support.tools import run, tool

pytestmark = pytest.mark.deploy

_FILE = DEPLOY / "compose.yaml"


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load(_FILE.read_text())["services"]
    assert isinstance(found, dict)
    return found


def test_compose_takes_it() -> None:
    checker = tool("check-jsonschema", "PyPI check-jsonschema")
    run(checker, "--builtin-schema", "vendor.compose-spec", str(_FILE))


def test_what_is_mounted_or_built_from_is_there(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_dir(), source
    build = services["shim"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_every_volume_is_declared_and_used(services: dict[str, dict[str, Any]]) -> None:
    declared = set(yaml.safe_load(_FILE.read_text())["volumes"])
    used = {volume.split(":")[0] for one in services.values() for volume in one["volumes"]}
    assert {name for name in used if not name.startswith(".")} == declared


def test_restates_admin_port_is_reached_through_the_shim_only(
    services: dict[str, dict[str, Any]],
) -> None:
    assert services["restate"]["ports"] == ["8080:8080"]
    assert "9070:9170" in services["shim"]["ports"]


def test_only_restates_ports_are_open_to_others(services: dict[str, dict[str, Any]]) -> None:
    open_to_all = {
        port
        for service in services.values()
        for port in service.get("ports", ())
        if not port.startswith("127.0.0.1:")
    }
    assert open_to_all == {"8080:8080", "9070:9170"}


def _settings(shim: dict[str, Any]) -> Settings:
    """Load what the container would, with its mounted file where it is here."""
    environment = dict(shim["environment"])
    assert "./compose:/etc/restate-shim:ro" in shim["volumes"]
    path = environment["SHIM_CONFIG"].replace("/etc/restate-shim", str(DEPLOY / "compose"))
    return load({}, environment | {"SHIM_CONFIG": path})


def test_a_container_made_anew_is_the_same_node(services: dict[str, dict[str, Any]]) -> None:
    # Under another name, which it takes from its container, Restate does not start on its data.
    assert services["restate"]["environment"]["RESTATE_NODE_NAME"]


def test_the_shim_takes_its_settings(services: dict[str, dict[str, Any]]) -> None:
    settings = _settings(services["shim"])
    assert str(settings.upstream[0].host) == "restate"
    assert settings.instance == "compose"
    assert settings.sunset is not None


def test_the_shim_is_given_the_time_it_takes_to_end(services: dict[str, dict[str, Any]]) -> None:
    grace = _settings(services["shim"]).shutdown_grace.total_seconds()
    assert int(services["shim"]["stop_grace_period"].removesuffix("s")) > grace


def test_prometheus_scrapes_the_shims_ops_port(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["shim:9171"]}]
    assert "shim" in services
    assert services["prometheus"]["command"] == ["--config.file=/etc/prometheus/prometheus.yaml"]


def test_grafana_finds_the_dashboard_and_prometheus(services: dict[str, dict[str, Any]]) -> None:
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    provisioning = DEPLOY / "grafana/provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards/restate-shim.yaml").read_text())[
        "providers"
    ]
    path = provider["options"]["path"]
    assert mounts["./grafana/dashboards"] == path
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana/dashboards" / Path(home).name).is_file()
    assert home.startswith(path)
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
