"""k8s/: built by the real kustomize, valid by Kubernetes's schemas, and locked up."""

import re
import shutil

import pytest
import yaml
from typer.main import get_command

from support.deployment import ROOT, run, tool
from tidegauge.alerting.ruleset import load_rules
from tidegauge.cli.app import app
from tidegauge.config.files import LOOK_SECONDS, WatchedFile
from tidegauge.config.settings import Settings, load_settings
from tidegauge.notify.config import load_receivers
from tidegauge.roles.active_config import ActiveRules

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
    return {name: template["spec"] for name, template in _templates(resources).items()}


def _templates(resources):
    """Return what pods are made of, by the name of what makes them."""
    found = {}
    for one in _of_kind(resources, "Deployment", "CronJob"):
        spec = one["spec"]
        job = spec["jobTemplate"]["spec"] if one["kind"] == "CronJob" else spec
        found[one["metadata"]["name"]] = job["template"]
    return found


@pytest.fixture(scope="module")
def config_maps(resources):
    return _of_kind(resources, "ConfigMap")


def _mounted(pod):
    """Return the names of the ConfigMaps in the directory of the configuration."""
    (volume,) = [one for one in pod["volumes"] if one["name"] == "config"]
    parts = volume["projected"]["sources"] if "projected" in volume else [volume]
    return [part["configMap"]["name"] for part in parts]


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
    for role in ("ingest", "outcomes", "detect", "notify", "ledger"):
        for kind in ("Deployment", "Service", "PodDisruptionBudget"):
            assert (kind, f"tidegauge-{role}") in kinds
    assert ("CronJob", "tidegauge-topics") in kinds
    assert {one["metadata"].get("namespace") for one in resources} == {None, "tidegauge"}


def test_services_and_budgets_select_the_pods_of_their_role_alone(resources):
    pods = {name: it["metadata"]["labels"] for name, it in _templates(resources).items()}
    for one in _of_kind(resources, "Service", "PodDisruptionBudget"):
        selector = one["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        selected = [name for name, labels in pods.items() if selector.items() <= labels.items()]
        assert selected == [one["metadata"]["name"]]


def test_the_probes_and_the_scraped_port_are_those_that_every_role_serves(resources, pods):
    for role in ("ingest", "outcomes", "detect", "notify", "ledger"):
        name = f"tidegauge-{role}"
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
    config_maps, pods, monkeypatch, tmp_path
):
    for config_map in config_maps:
        for name, content in config_map["data"].items():
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


def test_a_change_of_the_settings_rolls_the_pods_and_one_of_rules_or_receivers_does_not(
    config_maps, pods
):
    names = {one["metadata"]["name"]: set(one["data"]) for one in config_maps}
    (hashed,) = [name for name, files in names.items() if files == {"tidegauge.yaml"}]
    assert hashed != "tidegauge", "the name carries no hash"
    assert names["tidegauge-rules"] == {"rules.yaml"}
    assert names["tidegauge-receivers"] == {"receivers.yaml"}
    for name, pod in pods.items():
        taken_up = [] if name == "tidegauge-topics" else ["tidegauge-rules", "tidegauge-receivers"]
        assert _mounted(pod) == [hashed, *taken_up]
        # What is mounted by subPath is never changed by the kubelet.
        assert all("subPath" not in it for one in pod["containers"] for it in one["volumeMounts"])


def _swap(directory, version, files):
    """Put files into a directory as the kubelet does: by one rename of a link that all go by."""
    dated = directory / f"..2026_01_01_00_00_0{version}.123"
    dated.mkdir()
    for name, content in files.items():
        (dated / name).write_text(content)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    (directory / "..data_tmp").symlink_to(dated.name)
    (directory / "..data_tmp").rename(directory / "..data")
    for old in directory.glob("..2026*"):
        if old != dated:
            shutil.rmtree(old)


def test_a_change_of_rules_and_receivers_is_taken_up_where_kubernetes_swaps_the_directory(
    config_maps, tmp_path
):
    files = {name: text for one in config_maps for name, text in one["data"].items()}
    _swap(tmp_path, 1, files)
    now = 0.0
    rules = ActiveRules(tmp_path / "rules.yaml", lambda: now)
    receivers = WatchedFile(
        lambda: load_receivers(tmp_path / "receivers.yaml"), lambda: now, what="receivers"
    )

    def look():
        nonlocal now
        news = False, False
        for _ in range(2):
            now += LOOK_SECONDS
            news = rules.look(), receivers.look()
        return news

    assert look() == (False, False)
    files["rules.yaml"] += "  - {name: new, metric: latency_mean_ms, above: 9, severity: low}\n"
    _swap(tmp_path, 2, files)
    assert look() == (True, False)
    assert "new" in {rule.name for rule in rules.rules.rules}
    _swap(tmp_path, 3, files | {"receivers.yaml": "receivers: nobody"})
    assert look() == (False, False) and receivers.problems
    files["receivers.yaml"] = files["receivers.yaml"].replace("name: alertmanager", "name: pager")
    _swap(tmp_path, 4, files)
    assert look() == (False, True) and not receivers.problems
    assert [one.name for one in receivers.value.receivers] == ["pager"]


def test_no_more_processes_than_partitions_and_their_number_is_the_autoscaler_s(
    resources, config_maps
):
    (text,) = [it["data"]["tidegauge.yaml"] for it in config_maps if "tidegauge.yaml" in it["data"]]
    topics = yaml.safe_load(text)["topics"]
    most = {
        "tidegauge-ingest": topics["predictions_partitions"],
        "tidegauge-detect": topics["detect_partitions"],
    }
    scalers = _of_kind(resources, "HorizontalPodAutoscaler")
    assert {one["metadata"]["name"] for one in scalers} == most.keys()
    for scaler in scalers:
        spec, name = scaler["spec"], scaler["metadata"]["name"]
        assert spec["scaleTargetRef"]["name"] == name
        assert 2 <= spec["minReplicas"] <= spec["maxReplicas"] <= most[name]
        (deployment,) = [
            one for one in _of_kind(resources, "Deployment") if one["metadata"]["name"] == name
        ]
        # Every apply would set it back.
        assert "replicas" not in deployment["spec"]
        (metric,) = spec["metrics"]
        cores = int(metric["resource"]["target"]["averageValue"].removesuffix("m")) / 1000
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        # Below what one process can use, or it would never be reached.
        assert cores < 1 <= float(container["resources"]["limits"]["cpu"])


def test_the_job_of_topics_can_be_applied_again_and_deletes_nothing(resources):
    assert not _of_kind(resources, "Job"), "a Job can't be changed once made"
    (topics,) = _of_kind(resources, "CronJob")
    assert "ttlSecondsAfterFinished" not in topics["spec"]["jobTemplate"]["spec"]
    assert topics["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_job_of_a_baseline_is_valid_and_its_command_is_one(tmp_path):
    text = (ROOT / "k8s" / "examples" / "baseline.yaml").read_text()
    for name, value in {"MODEL": "credit", "VERSION": "3", "TRAINING-DATA": "training"}.items():
        text = text.replace(name, value)
    path = tmp_path / "baseline.yaml"
    path.write_text(text)
    checked = _validate(VERSIONS[0], path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    job = yaml.safe_load(text)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert _parsed(container["args"])["model"] == "credit"
    for one in container["env"]:
        section, _, name = one["name"].removeprefix("TIDEGAUGE_").lower().partition("__")
        assert not name or name in type(getattr(Settings(), section)).model_fields


def _parsed(words):
    """Return the options of a command of ours; one that it doesn't take raises."""
    command, words = get_command(app), list(words)
    while hasattr(command, "resolve_command"):
        context = command.make_context("tidegauge", list(words))
        _, command, words = command.resolve_command(context, words)
    return command.make_context("tidegauge", words).params


def test_the_commands_that_the_manual_gives_for_baselines_are_commands():
    section = (ROOT / "docs" / "operations.md").read_text().partition("### Baselines\n")[2]
    lines = section.partition("```sh\n")[2].partition("```")[0].splitlines()
    ours = [re.search(r"(?:^|-- )tidegauge (.*?)(?:\s+#|$)", line) for line in lines]
    found = [_parsed(one[1].split()) for one in ours if one]
    assert len(found) == 3
    assert (found[0]["model"], found[1]["actor"]) == ("credit", "ann")


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
