"""Alerts and dashboard, judged by promtool, by Grafana's own types, and by a real Prometheus."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from shim.record.metrics import Metrics
from tests.support.client import ask, request
from tests.support.origin import Origin, reply
from tests.support.paths import DEPLOY, ROOT
from tests.support.running import Shim
from tests.support.tools import free_port, needs_module, run, started, tool
from tests.support.waiting import wait_until

pytestmark = pytest.mark.deploy

_ALERTS = DEPLOY / "prometheus/alerts.yaml"
_UNIT_TESTS = DEPLOY / "prometheus/alerts_test.yaml"
_DASHBOARD = DEPLOY / "grafana/dashboards/restate-shim.json"


def _promtool() -> str:
    return tool("promtool", "Debian prometheus")


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(_ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _names_in_code() -> set[str]:
    """Return the names of everything that can be on /metrics."""
    source = (ROOT / "shim/record/exposition.py").read_text()
    names = set(re.findall(r'"(restate_shim_[a-z_]*[a-z])"', source))
    names |= {f"restate_shim_ledger_{name}" for name in re.findall(r'name \+ "(\w+)"', source)}
    return names


def _queries() -> Iterator[tuple[str, str]]:
    for rule in _rules():
        yield rule["alert"], rule["expr"]
    for panel in json.loads(_DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_the_rules_are_valid() -> None:
    run(_promtool(), "check", "rules", str(_ALERTS))


def test_the_configuration_is_valid() -> None:
    run(_promtool(), "check", "config", str(DEPLOY / "prometheus/prometheus.yaml"))


def test_every_alert_fires_and_stays_silent_as_it_should() -> None:
    run(_promtool(), "test", "rules", str(_UNIT_TESTS))


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_an_alert_that_never_fires_would_be_noticed(rule: dict[str, Any], tmp_path: Path) -> None:
    text = _ALERTS.read_text()
    document = yaml.safe_load(text)
    for group in document["groups"]:
        for other in group["rules"]:
            if other["alert"] == rule["alert"]:
                other["expr"] = "vector(0) > 1"
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "alerts_test.yaml").write_text(_UNIT_TESTS.read_text())
    command = [_promtool(), "test", "rules", str(tmp_path / "alerts_test.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0, f"{rule['alert']} has no unit test"


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_happened(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"]
    # Which shim, by its pod where it is in one; or which of several fleets, or whose callers.
    said = rule["annotations"]["description"]
    if rule["alert"] != "RestateShimAbsent":
        assert re.search(r"or \$labels\.pod \$labels\.instance|\$labels\.(owner|job)", said)


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_what_to_do(rule: dict[str, Any]) -> None:
    base, _, anchor = rule["annotations"]["runbook_url"].partition("RUNBOOK.md#")
    assert base == "https://git.example.com/restate-shim/deploy/"
    text = (DEPLOY / "RUNBOOK.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert anchor == rule["alert"].lower(), "as headings are linked to"
    assert "*Means*" in sections[rule["alert"]]
    assert "*Do*" in sections[rule["alert"]]


def test_the_runbook_has_no_alert_that_is_none() -> None:
    text = (DEPLOY / "RUNBOOK.md").read_text()
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == {
        rule["alert"] for rule in _rules()
    }


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_shims_of_a_fleet_tell_of_a_caller_in_one_alert(rule: dict[str, Any]) -> None:
    # Three shims told of one new caller, which was three alerts.
    if re.search(r"deprecated_(callers|last_used)", rule["expr"]):
        assert re.search(r"max by \(namespace, job", rule["expr"])


def test_panels_count_a_caller_once_and_can_be_narrowed_down() -> None:
    dashboard = json.loads(_DASHBOARD.read_text())
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "namespace", "job", "instance"]
    for title, query in _queries():
        if "$instance" not in query:
            continue
        for selector in re.findall(r"\{([^}]*)\}", query):
            for name in names[1:]:
                assert f'{name}=~"${name}"' in selector, f"{title}: {query}"
        if "deprecated_callers" in query:
            assert "max by (namespace, job, owner, state)" in query, title


@pytest.mark.parametrize(("where", "query"), list(_queries()))
def test_every_metric_that_is_asked_for_exists(where: str, query: str) -> None:
    asked = set(re.findall(r"restate_shim_\w+", query))
    known = _names_in_code()
    for name in asked:
        assert re.sub(r"_(total|bucket|sum|count)$", "", name) in known, f"{where}: {name}"


def test_the_names_are_those_of_the_code() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    names = {family.name for family in registry.collect()}
    assert {name for name in names if name.startswith("restate_shim")} <= _names_in_code()


def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, (_, query) in enumerate(_queries())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(_promtool(), "check", "rules", str(file))


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    needs_module("grafana_foundation_sdk", "grafana-foundation-sdk")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415 - may be missing
    from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: PLC0415 - likewise

    ours = json.loads(_DASHBOARD.read_text())
    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    assert list(_lost(ours, theirs)) == []


def _lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    if isinstance(ours, dict):
        for key, value in ours.items():
            if key not in theirs:
                yield f"{path}/{key}"
            else:
                yield from _lost(value, theirs[key], f"{path}/{key}")
    elif isinstance(ours, list):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _lost(one, other, f"{path}/{number}")
    elif ours != theirs:
        yield f"{path}: {ours!r} became {theirs!r}"


def test_no_two_panels_share_a_place_or_a_number() -> None:
    panels = json.loads(_DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def _eventually(url: str, within: float = 20.0) -> list[dict[str, Any]]:
    """Return what a query finds, once it finds something."""

    def found() -> list[dict[str, Any]]:
        # It listens before it is ready, and says 503 meanwhile.
        with contextlib.suppress(urllib.error.HTTPError):
            result: list[dict[str, Any]] = _get(url)["data"]["result"]
            return result
        return []

    return wait_until(found, within, every=0.2, said=lambda: f"nothing at {url}")


def test_a_real_prometheus_scrapes_a_shim_and_its_alert_fires(tmp_path: Path) -> None:
    prometheus = tool("prometheus", "Debian prometheus")
    origin = Origin()
    # An upstream from before 1.4: its router knows no PATCH, and the old call still works.
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    origin.script = lambda connection, got: reply(missing if got.method == b"PATCH" else accepted)(
        connection, got
    )
    shim = Shim(upstream=origin.url)
    try:
        port = free_port()
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
        (scrape,) = config["scrape_configs"]
        scrape["static_configs"][0]["targets"] = [shim.ops.removeprefix("http://")]
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
        (tmp_path / "alerts.yaml").write_text(_ALERTS.read_text())
        command = [
            prometheus,
            f"--config.file={tmp_path}/prometheus.yaml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        query = f"http://127.0.0.1:{port}/api/v1/query?query="
        with started(command, tmp_path / "log", port):
            first = "restate_shim_deprecated_requests_total%7Bdecision=%22fell_back%22%7D"
            assert all(found["value"][1] == "0" for found in _eventually(query + first))
            answer = ask(shim.proxy, request("DELETE", "/invocations/inv_1?mode=kill"))
            assert answer.status == 202
            firing = "ALERTS%7Balertname=%22RestateShimFellBack%22,alertstate=%22firing%22%7D"
            (alert,) = _eventually(query + firing)
            assert alert["metric"]["decision"] == "fell_back"
            targets = _get(f"http://127.0.0.1:{port}/api/v1/targets")["data"]["activeTargets"]
            assert [target["health"] for target in targets] == ["up"], targets
    finally:
        shim.stop()
        origin.close()


def test_promtool_finds_nothing_in_what_a_running_shim_shows() -> None:
    origin = Origin()
    shim = Shim(upstream=origin.url)
    try:
        ask(shim.proxy, request("DELETE", "/invocations/inv_1"))
        ask(shim.proxy, request("GET", "/deployments"))
        shown = ask(shim.ops, request("GET", "/metrics")).body.decode()
        assert 'restate_shim_requests_total{code="200",method="GET",route="pass_through"}' in shown
        run(_promtool(), "check", "metrics", stdin=shown)
    finally:
        shim.stop()
        origin.close()
