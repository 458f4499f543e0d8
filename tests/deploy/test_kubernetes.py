"""k8s/: built by the real kustomize, valid by Kubernetes's schemas, and locked up."""

import pytest
import yaml

from support.deployment import run, tool
from tidegauge.notify import load_receivers
from tidegauge.rules import load_rules
from tidegauge.settings import Settings, load_settings

#: The schemas that the pinned kubernetes-validate ships last; older clusters know all that is used.
VERSIONS = ["1.29", "1.37"]


@pytest.fixture(scope="module")
def built():
    made = run(tool("kubectl"), "kustomize", "k8s")
    assert made.returncode == 0, made.stderr
    assert not made.stderr, made.stderr  # warnings of what is deprecated
    return made.stdout


@pytest.fixture(scope="module")
def resources(built):
    return list(yaml.safe_load_all(built))


def _of_kind(resources, *kinds):
    return [one for one in resources if one["kind"] in kinds]


@pytest.fixture(scope="module")
def pods(resources):
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in _of_kind(resources, "Deployment", "Job")
    }


@pytest.fixture(scope="module")
def config(resources):
    (one,) = _of_kind(resources, "ConfigMap")
    return one


def _validate(version, path):
    return run(tool("kubernetes-validate"), "--strict", "-k", version, path)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_is_valid_by_the_schema_of_kubernetes(built, resources, tmp_path, version):
    path = tmp_path / "built.yaml"
    path.write_text(built)
    checked = _validate(version, path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert (checked.stdout + checked.stderr).count(" passed ") == len(resources)


def test_the_validation_finds_a_misspelt_field(built, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(built.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"))
    assert _validate(VERSIONS[-1], path).returncode != 0


def test_there_is_a_deployment_a_service_and_a_budget_for_each_role(resources):
    kinds = {(one["kind"], one["metadata"]["name"]) for one in resources}
    for role in ("ingest", "detect", "notify", "ledger"):
        for kind in ("Deployment", "Service", "PodDisruptionBudget"):
            assert (kind, f"tidegauge-{role}") in kinds
    assert ("Job", "tidegauge-topics") in kinds
    assert {one["metadata"].get("namespace") for one in resources} == {None, "tidegauge"}


def test_services_and_budgets_select_the_pods_of_their_role_alone(resources):
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in _of_kind(resources, "Deployment", "Job")
    }
    for one in _of_kind(resources, "Service", "PodDisruptionBudget"):
        selector = one["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        selected = [name for name, labels in pods.items() if selector.items() <= labels.items()]
        assert selected == [one["metadata"]["name"]]


def test_the_probes_and_the_scraped_port_are_those_that_every_role_serves(resources, pods):
    for name in ("tidegauge-ingest", "tidegauge-detect", "tidegauge-notify", "tidegauge-ledger"):
        (container,) = pods[name]["containers"]
        assert container["ports"] == [{"name": "http", "containerPort": Settings().http.port}]
        for probe, path in (
            ("liveness", "/healthz"),
            ("startup", "/healthz"),
            ("readiness", "/readyz"),
        ):
            assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
        assert pods[name]["terminationGracePeriodSeconds"] == 30
    for service in _of_kind(resources, "Service"):
        scraped = service["metadata"]["annotations"]
        assert scraped["prometheus.io/port"] == str(Settings().http.port)
        assert scraped["prometheus.io/scrape"] == "true"


def test_every_pod_meets_the_restricted_standard_and_can_write_to_tmp_only(pods):
    for pod in pods.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        written = [one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")]
        assert written == ["/tmp"]  # noqa: S108
        for limit in ("requests", "limits"):
            assert container["resources"][limit].keys() == {"cpu", "memory"}


def test_no_service_of_the_namespace_becomes_an_unknown_setting(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT", "PORT_8000_TCP_ADDR"):
        monkeypatch.setenv(f"TIDEGAUGE_INGEST_{name}", "10.0.0.1")
    load_settings()
    monkeypatch.setenv("TIDEGAUGE_INGEST_SERVICES", "10.0.0.1")
    with pytest.raises(ValueError, match="TIDEGAUGE_INGEST_SERVICES"):
        load_settings()


def test_the_configuration_is_accepted_and_says_where_rules_and_receivers_are(
    config, pods, monkeypatch, tmp_path
):
    for name, content in config["data"].items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGAUGE_CONFIG", str(tmp_path / "tidegauge.yaml"))
    settings = load_settings()
    assert settings.topics.replication_factor == 3
    assert settings.topics.min_insync_replicas == 2
    load_rules(tmp_path / settings.detect.rules_file.name)
    load_receivers(tmp_path / settings.notify.receivers_file.name)
    for pod in pods.values():
        (container,) = pod["containers"]
        environment = {one["name"]: one["value"] for one in container["env"]}
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert environment["TIDEGAUGE_CONFIG"] == f"{mounts['config']}/tidegauge.yaml"
        assert str(settings.detect.rules_file) == f"{mounts['config']}/rules.yaml"
        assert str(settings.notify.receivers_file) == f"{mounts['config']}/receivers.yaml"
        assert environment["TIDEGAUGE_SECRETS_DIR"] == mounts["secrets"]


def test_a_change_of_the_configuration_rolls_the_pods(config, pods):
    assert config["metadata"]["name"] != "tidegauge", "the name carries no hash"
    for pod in pods.values():
        assert config["metadata"]["name"] in [
            volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume
        ]


def test_a_password_comes_from_a_secret_mounted_the_way_kubernetes_does_it(monkeypatch, tmp_path):
    # Files are links through `..data` into a directory with a date as its name.
    dated = tmp_path / "..2026_01_01_00_00_00.123"
    dated.mkdir()
    (dated / "tidegauge_kafka__sasl_password").write_text("hunter2")
    (tmp_path / "..data").symlink_to(dated.name)
    link = tmp_path / "tidegauge_kafka__sasl_password"
    link.symlink_to("..data/tidegauge_kafka__sasl_password")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("TIDEGAUGE_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("TIDEGAUGE_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("TIDEGAUGE_KAFKA__SASL_USERNAME", "tidegauge")
    settings = load_settings()
    assert settings.kafka.sasl_password.get_secret_value() == "hunter2"


def test_no_secret_is_committed(resources):
    assert not _of_kind(resources, "Secret")
