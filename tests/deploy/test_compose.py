"""docker-compose.yml: valid by Compose's own schema, and true to the files it names."""

import re
import shutil

import pytest
import yaml

from support.deployment import ROOT, read_yaml, run, tool
from tidegauge.alerting.ruleset import load_rules
from tidegauge.config.settings import Settings, load_settings
from tidegauge.notify.config import load_receivers

FILE = "docker-compose.yml"
SERVICES = read_yaml(FILE)["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "tidegauge:local"]


def _schema_check(path):
    return run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)


def test_the_file_is_valid_by_the_schema_of_compose():
    checked = _schema_check(FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_schema_check_finds_a_misspelt_key(tmp_path):
    document = read_yaml(FILE)
    document["services"]["kafka"]["imagge"] = "x"
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(yaml.safe_dump(document))
    checked = _schema_check(wrong)
    assert checked.returncode == 1
    assert "imagge" in checked.stdout


ROLES = {"ingest", "outcomes", "detect", "notify", "ledger"}


def test_every_role_the_stores_and_what_shows_them_are_there():
    assert {
        "kafka",
        "redis",
        "topics",
        "ingest",
        "detect",
        "notify",
        "alertmanager",
        "ledger",
        "outcomes",
        "prometheus",
        "grafana",
        "producer",
    } <= (SERVICES.keys())


def test_every_service_that_is_waited_for_can_reach_the_awaited_state():
    for name, service in SERVICES.items():
        for other, wanted in service.get("depends_on", {}).items():
            awaited = SERVICES[other]
            if wanted["condition"] == "service_completed_successfully":
                assert awaited["restart"].startswith("on-failure"), f"{name}: {other} never ends"
            else:
                assert wanted["condition"] == "service_healthy"
                checked = "test" in awaited.get("healthcheck", {}) or "build" in awaited
                assert checked, f"{name}: {other} has no health check"
                assert not awaited.get("healthcheck", {}).get("disable"), f"{name}: {other}"


def test_every_mounted_file_is_in_the_repository_and_read_only():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name} mounts {source}"
                assert rest.endswith(":ro"), f"{name} mounts {source} to be written to"
            else:
                assert source in read_yaml(FILE)["volumes"], f"{name} mounts {source}"


def test_images_of_others_are_pinned_to_a_version():
    for name, service in SERVICES.items():
        if "build" not in service:
            assert re.search(r":v?\d+\.\d+", service["image"]), f"{name}: {service['image']}"


def test_nothing_listens_beyond_this_machine():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_each_service_is_accepted_as_settings(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    environment = SERVICES[name]["environment"]
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.redis.url == "redis://redis:6379/0"
    # Prometheus and the health check of the image look there.
    assert settings.http.port == Settings().http.port == 8000


def test_the_rules_that_detect_is_given_are_valid():
    mounts = dict(volume.split(":")[:2][::-1] for volume in SERVICES["detect"]["volumes"])
    rules = mounts[SERVICES["detect"]["environment"]["TIDEGAUGE_DETECT__RULES_FILE"]]
    load_rules(ROOT / rules)


def test_the_receivers_that_notify_is_given_are_valid():
    mounts = dict(volume.split(":")[:2][::-1] for volume in SERVICES["notify"]["volumes"])
    path = mounts[SERVICES["notify"]["environment"]["TIDEGAUGE_NOTIFY__RECEIVERS_FILE"]]
    (receiver,) = load_receivers(ROOT / path).receivers
    assert receiver.url == "http://alertmanager:9093"
    assert "127.0.0.1:9093:9093" in SERVICES["alertmanager"]["ports"]


def test_the_alertmanagers_own_checker_takes_its_configuration():
    amtool = shutil.which("amtool")
    assert amtool, "no amtool on PATH; run scripts/test-machine (make test does)"
    checked = run(amtool, "check-config", "deploy/alertmanager/alertmanager.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_nothing_but_tmp_and_have_no_capability(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_prometheus_scrapes_the_services_by_their_names():
    (job,) = read_yaml("deploy/prometheus/prometheus.yml")["scrape_configs"]
    (source,) = job["dns_sd_configs"]
    assert set(source["names"]) == ROLES <= SERVICES.keys()
    assert source["port"] == Settings().http.port


def test_prometheus_sends_its_alerts_to_the_alertmanager():
    (one,) = read_yaml("deploy/prometheus/prometheus.yml")["alerting"]["alertmanagers"]
    (static,) = one["static_configs"]
    assert static["targets"] == ["alertmanager:9093"]
    assert "alertmanager" in SERVICES
