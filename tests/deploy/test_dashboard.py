"""The Grafana dashboard: fields that Grafana knows, and queries that a real Prometheus answers."""

import copy
import itertools
import json
import math
import re

import prometheus_client
import pytest
import yaml

from support.deployment import ROOT, promtool, read_yaml, run, tool
from support.metric_names import METRICS, series_names
from support.processes import wait_until
from support.prometheus import Prometheus

FILE = ROOT / "deploy" / "grafana" / "dashboards" / "tidegauge.json"
DASHBOARD = json.loads(FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
TARGET_IDS = [f"{panel['title']}: {target['refId']}" for panel, target in TARGETS]

LABEL_VALUES = {
    "model": "credit",
    "version": "1",
    "variant": "champion",
    "signal": "income",
    "statistic": "kl_current_reference_nats",
    "partition": "0",
}

# Grafana's own classes, generated from its schemas, read the dashboard and write it again: what
# they don't know is gone afterwards.
_ROUND_TRIP = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
register_default_plugins()
print(json.dumps(Dashboard.from_json(json.load(open(sys.argv[1]))), cls=JSONEncoder))
"""


def _unknown(before, after, at=""):
    """Paths of what is in ``before`` and not the same in ``after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from _unknown(value, after[key], f"{at}.{key}")
            else:
                yield f"{at}.{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _unknown(one, other, f"{at}[{index}]")
    elif before != after:
        yield at


def _unknown_to_grafana(dashboard, directory):
    path = directory / "dashboard.json"
    path.write_text(json.dumps(dashboard))
    made = run(tool("python"), "-c", _ROUND_TRIP, path)
    assert made.returncode == 0, made.stderr
    return list(_unknown(dashboard, json.loads(made.stdout)))


def _expression(target):
    """Return the query as Grafana sends it, its variables filled in."""
    expression = target["expr"].replace("$__rate_interval", "1m")
    expression = expression.replace("$model", LABEL_VALUES["model"])
    expression = expression.replace("$direction", VARIABLES["direction"]["current"]["value"])
    for name in ("version", "variant"):
        assert VARIABLES[name]["allValue"] == ".*"
        expression = expression.replace(f"${name}", ".*")
    assert "$" not in expression.replace('"$1"', ""), f"unknown variable in {expression}"
    return expression


def test_every_field_is_one_that_grafana_knows(tmp_path):
    assert _unknown_to_grafana(DASHBOARD, tmp_path) == []


@pytest.mark.parametrize("place", ["panel", "options", "target"])
def test_that_check_finds_a_misspelt_field(tmp_path, place):
    wrong = copy.deepcopy(DASHBOARD)
    panel = wrong["panels"][0]
    {"panel": panel, "options": panel["options"], "target": panel["targets"][0]}[place]["oops"] = 1
    (found,) = _unknown_to_grafana(wrong, tmp_path)
    assert found.endswith(".oops")


def test_the_first_row_is_mean_score_kl_and_the_latency_histogram():
    first = [panel for panel in PANELS if panel["gridPos"]["y"] == 0]
    first.sort(key=lambda panel: panel["gridPos"]["x"])
    assert [panel["type"] for panel in first] == ["timeseries", "timeseries", "heatmap"]
    for panel, name in zip(
        first,
        ["tidegauge_prediction_mean_5m", "tidegauge_drift", "tidegauge_latency_ms_bucket"],
        strict=True,
    ):
        assert name in panel["targets"][0]["expr"]


@pytest.mark.parametrize(
    ("title", "lines"),
    [("KL against baseline, by signal", [0.05, 0.07]), ("Latency quantiles and mean", [200])],
)
def test_the_lines_in_a_panel_are_the_thresholds_of_the_default_rules(title, lines):
    (panel,) = [panel for panel in PANELS if panel["title"] == title]
    defaults = panel["fieldConfig"]["defaults"]
    drawn = [step["value"] for step in defaults["thresholds"]["steps"] if step["value"] is not None]
    assert drawn == lines
    assert defaults["custom"]["thresholdsStyle"]["mode"] == "line"
    shipped = yaml.safe_load((ROOT / "app/tidegauge/alerting/default.yaml").read_text())["rules"]
    assert set(lines) <= {rule.get("above") for rule in shipped}


def test_the_line_in_the_panel_of_surprise_is_the_threshold_of_the_budget():
    (panel,) = [panel for panel in PANELS if panel["title"] == "Surprise by signal"]
    defaults = panel["fieldConfig"]["defaults"]
    assert [step["value"] for step in defaults["thresholds"]["steps"]] == [None, 1]
    assert defaults["custom"]["thresholdsStyle"]["mode"] == "line"
    assert "tidegauge_surprise{" in panel["targets"][0]["expr"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_means_and_takes_its_data_from_the_variable(panel):
    assert len(panel["description"]) > 80
    for one in (panel, *panel["targets"]):
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_manual_names_every_panel():
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert [panel["title"] for panel in PANELS if f"**{panel['title']}**" not in manual] == []


def test_panels_fill_their_rows_and_none_lies_on_another():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = set(
            itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        )
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert taken == set(itertools.product(range(24), range(height)))


def test_ids_are_unique_and_it_refreshes_as_often_as_grafana_is_told_to_allow():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert DASHBOARD["refresh"] in ("5s", "10s")
    grafana = read_yaml("docker-compose.yml")["services"]["grafana"]
    assert grafana["environment"]["GF_DASHBOARDS_MIN_REFRESH_INTERVAL"] == "5s"


def test_the_provisioning_finds_the_dashboard_and_prometheus():
    compose = read_yaml("docker-compose.yml")["services"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    (provider,) = read_yaml("deploy/grafana/provisioning/dashboards/tidegauge.yml")["providers"]
    assert provider["options"]["path"] == mounts["./deploy/grafana/dashboards"]
    home = compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{mounts['./deploy/grafana/dashboards']}/{FILE.name}"
    (source,) = read_yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    scraped = read_yaml("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


def test_it_asks_only_for_metrics_that_are_exposed():
    asked = set(re.findall(r"\btidegauge_\w+", json.dumps([t["expr"] for _, t in TARGETS])))
    for name in ("model", "version", "variant"):
        asked |= set(re.findall(r"\btidegauge_\w+", VARIABLES[name]["query"]["query"]))
    assert asked <= series_names()


def test_promtool_parses_every_query(tmp_path):
    rules = [
        {"record": f"query_{number}", "expr": _expression(target)}
        for number, (_, target) in enumerate(TARGETS)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(TARGETS)} rules found" in checked.stdout


class _Exporter:
    """Serves every metric that tidegauge exposes; each ``tick`` counts one more of everything."""

    def __init__(self):
        registry = prometheus_client.CollectorRegistry()
        makers = {
            "counter": prometheus_client.Counter,
            "gauge": prometheus_client.Gauge,
            "histogram": prometheus_client.Histogram,
        }
        self._metrics = []
        for name, metric in METRICS.items():
            made = makers[metric.kind](name, name, metric.labels, registry=registry)
            if metric.labels:
                made = made.labels(*(LABEL_VALUES.get(label, "x") for label in metric.labels))
            self._metrics.append((metric.kind, made))
        self._server, self._thread = prometheus_client.start_http_server(
            0, addr="127.0.0.1", registry=registry
        )
        self.port = self._server.server_port

    def tick(self):
        for kind, metric in self._metrics:
            if kind == "counter":
                metric.inc()
            elif kind == "gauge":
                metric.set(1)
            else:
                metric.observe(1)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Ask a real Prometheus every query, once it has seen all metrics grow."""
    exporter = _Exporter()
    try:
        prometheus = Prometheus(
            tmp_path_factory.mktemp("prometheus"), [f"127.0.0.1:{exporter.port}"]
        )
        try:
            prometheus.wait_ready()

            found = {}

            def complete():
                exporter.tick()
                for name, (_, target) in zip(TARGET_IDS, TARGETS, strict=True):
                    found[name] = prometheus.query(_expression(target))
                return all(
                    series and all(math.isfinite(value) for _, value in series)
                    for series in found.values()
                )

            wait_until(complete, seconds=60, what=lambda: f"a figure for every query: {found}")
        finally:
            prometheus.stop()
    finally:
        exporter.stop()
    return found


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=TARGET_IDS)
def test_a_query_brings_the_labels_that_its_legend_names(answers, panel, target):
    series = answers[f"{panel['title']}: {target['refId']}"]
    legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    for labels, _ in series:
        assert legend <= labels.keys()
    assert len({tuple(sorted(labels.items())) for labels, _ in series}) == len(series)


def test_what_fires_is_listed_with_model_segment_signal_rule_and_severity(answers):
    ((labels, _),) = answers["Firing now, all models: A"]
    assert labels.keys() == {
        "model", "version", "variant", "segment", "signal", "rule", "severity",
    }  # fmt: skip
    (panel,) = [panel for panel in PANELS if panel["type"] == "table"]
    (arranged,) = panel["transformations"]
    assert arranged["options"]["indexByName"].keys() == labels.keys()
