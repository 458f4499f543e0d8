"""Settings: where they come from, which wins, and what is refused."""

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tidegauge.config.files import FileError
from tidegauge.config.sections import KafkaSettings, WindowSettings
from tidegauge.config.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, with nothing set."""
    import os

    for name in list(os.environ):
        if name.startswith("TIDEGAUGE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_anything_the_defaults_suit_a_laptop() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.windows == WindowSettings(seconds=60, grace_seconds=10, late_seconds=900)
    assert settings.transactional_id == f"tidegauge-ingest-{socket.gethostname()}-8000"


def test_environment_variables_set_nested_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS", "kafka:1")
    monkeypatch.setenv("TIDEGAUGE_WINDOWS__SECONDS", "30")
    monkeypatch.setenv("TIDEGAUGE_LOG_LEVEL", "DEBUG")
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "kafka:1"
    assert settings.windows == WindowSettings(seconds=30)
    assert settings.log_level == "DEBUG"


def test_a_file_in_the_working_directory_is_read(folder: Path) -> None:
    (folder / "tidegauge.yaml").write_text("http: {port: 9000}\nmodel_windows: {m: {seconds: 5}}\n")
    settings = load_settings()
    assert settings.http.port == 9000
    assert settings.window_of("m") == WindowSettings(seconds=5)
    assert settings.window_of("another") == settings.windows


def test_another_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidegauge.yaml").write_text("http: {port: 9000}\n")
    other = folder / "other.yaml"
    other.write_text("http: {port: 9001}\n")
    monkeypatch.setenv("TIDEGAUGE_CONFIG", str(other))
    assert load_settings().http.port == 9001


def test_a_named_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_CONFIG", "nowhere.yaml")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_settings()


def test_secrets_win_over_the_environment_and_that_over_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tidegauge.yaml").write_text(
        "redis: {url: 'redis://file', password: file, prefix: file}\n"
    )
    monkeypatch.setenv("TIDEGAUGE_REDIS__URL", "redis://env")
    monkeypatch.setenv("TIDEGAUGE_REDIS__PASSWORD", "env")
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "tidegauge_redis__password").write_text("secret\n")
    monkeypatch.setenv("TIDEGAUGE_SECRETS_DIR", str(secrets))
    redis = load_settings().redis
    assert (redis.prefix, redis.url, redis.plain_password) == ("file", "redis://env", "secret")


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_REDIS__PASSWORD", "tide-and-gauge")
    settings = load_settings()
    assert settings.redis.plain_password == "tide-and-gauge"  # noqa: S105 - no secret
    assert "tide-and-gauge" not in repr(settings)


@pytest.mark.parametrize(
    "name", ["TIDEGAUGE_KAFKA_BOOTSTRAP_SERVERS", "TIDEGAUGE_WINDOW__SECONDS", "TIDEGAUGE_PORTS"]
)
def test_a_misspelt_variable_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "5")
    with pytest.raises(ValueError, match=name) as refused:
        load_settings()
    assert "WINDOWS" in str(refused.value)


def test_a_misspelt_part_of_a_section_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_WINDOWS__SECOND", "5")
    with pytest.raises(FileError) as refused:
        load_settings()
    assert refused.value.problems == [
        "environment variable TIDEGAUGE_WINDOWS__SECOND: windows.second: unknown key; "
        "did you mean 'seconds'?"
    ]


def test_a_misspelt_key_of_the_file_is_refused_by_name(folder: Path) -> None:
    (folder / "tidegauge.yaml").write_text("kafka: {bootstrap: 'x:1'}\n")
    with pytest.raises(FileError, match=r"tidegauge.yaml:1:9: kafka.bootstrap: unknown key"):
        load_settings()


def test_what_kubernetes_sets_for_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "TIDEGAUGE_DETECT_SERVICE_HOST", "TIDEGAUGE_INGEST_SERVICE_PORT_HTTP", "TIDEGAUGE_PORT",
        "TIDEGAUGE_DETECT_PORT_8000_TCP_ADDR",
    ):  # fmt: skip
        monkeypatch.setenv(name, "10.0.0.1")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("windows", {"seconds": 0}),
        ("windows", {"grace_seconds": -1}),
        ("ingest", {"flush_seconds": 0}),
        ("ingest", {"session_timeout_seconds": 5}),
        ("topics", {"detect_partitions": 0}),
        ("http", {"port": 70_000}),
        ("redis", {"refresh_seconds": 5}),
        ("kafka", {"security_protocol": "TLS"}),
    ],
)
def test_values_out_of_range_are_refused(section: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        Settings(**{section: values})


@pytest.mark.parametrize(
    "credentials", [{}, {"sasl_username": "u"}, {"sasl_password": "p"}, {"sasl_username": ""}]
)
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_without_its_credentials_is_refused(
    protocol: str, credentials: dict[str, str]
) -> None:
    with pytest.raises(ValidationError, match="sasl_username and sasl_password"):
        Settings(kafka={"security_protocol": protocol, **credentials})


def test_librdkafka_gets_just_what_was_set() -> None:
    assert KafkaSettings(bootstrap_servers="a:1,b:2").librdkafka() == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "PLAINTEXT",
    }


def test_librdkafka_gets_credentials_and_certificates_in_its_own_names() -> None:
    found = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="gauge",
        sasl_password="tide",  # type: ignore[arg-type]  # noqa: S106 - no secret
        ssl_ca_file=Path("/ca.pem"),
        ssl_certificate_file=Path("/c.pem"),
        ssl_key_file=Path("/c.key"),
    ).librdkafka()
    assert found == {
        "bootstrap.servers": "localhost:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "gauge",
        "sasl.password": "tide",
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": "/c.pem",
        "ssl.key.location": "/c.key",
    }


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings().windows.seconds = 5  # type: ignore[misc]


def test_topics_that_could_never_be_written_are_refused() -> None:
    with pytest.raises(ValidationError, match="min_insync_replicas 2 is more than"):
        Settings(topics={"min_insync_replicas": 2})


MISTAKES = """\
kafka:
  bootstrap_server: x:9092
  security_protocol: sasl_sll
windows: {seconds: soon, grace_seconds: -1}
model_windows:
  M-1: {secnds: 5}
nofity: {group_id: g}
http: 8000
topics: {min_insync_replicas: 3}
links:
  runbook: "https://x/{modle}"
"""


def test_every_mistake_of_the_file_is_told_with_its_line_and_what_was_meant(folder: Path) -> None:
    (folder / "tidegauge.yaml").write_text(MISTAKES)
    with pytest.raises(FileError) as refused:
        load_settings()
    found = dict(
        problem.removeprefix("tidegauge.yaml:").split(": ", 1) for problem in refused.value.problems
    )
    assert found["2:3"] == "kafka.bootstrap_server: unknown key; did you mean 'bootstrap_servers'?"
    assert found["3:22"] == (
        "kafka.security_protocol: found 'sasl_sll', expected one of PLAINTEXT, SSL, "
        "SASL_PLAINTEXT, SASL_SSL; did you mean SASL_SSL?"
    )
    assert found["4:20"] == "windows.seconds: expected a whole number"
    assert found["4:41"] == "windows.grace_seconds: expected greater than or equal to 0"
    assert found["6:9"] == "model_windows.….secnds: unknown key; did you mean 'seconds'?"
    assert found["7:1"] == "nofity: unknown key; did you mean 'notify'?"
    assert found["8:7"] == "http: expected a mapping, its keys indented below it"
    assert found["9:9"].startswith("topics: min_insync_replicas 3 is more than")
    assert "{modle}" in found["11:12"] and "{model}" in found["11:12"]
    assert list(found) == sorted(found, key=lambda at: tuple(map(int, at.split(":"))))


def test_text_that_is_no_yaml_and_keys_given_twice_are_told_with_their_line(folder: Path) -> None:
    (folder / "tidegauge.yaml").write_text("kafka:\n  a: 'x\n")
    with pytest.raises(FileError, match=r"tidegauge.yaml:3:1: not YAML: "):
        load_settings()
    (folder / "tidegauge.yaml").write_text("http: {port: 1}\nkafka: {}\nhttp: {host: x}\n")
    with pytest.raises(FileError, match=r"tidegauge.yaml:3:1: http: found the key again"):
        load_settings()


def test_a_mistake_is_told_where_it_was_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidegauge.yaml").write_text("http: {port: 9000}\n")
    monkeypatch.setenv("TIDEGAUGE_HTTP__PORT", "many")
    monkeypatch.setenv("TIDEGAUGE_KAFKA_BOOTSTRAP_SERVERS", "x:1")
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "tidegauge_log_level").write_text("warn")
    monkeypatch.setenv("TIDEGAUGE_SECRETS_DIR", str(secrets))
    with pytest.raises(FileError) as refused:
        load_settings()
    first, *others = refused.value.problems
    assert first.startswith(
        "unknown environment variable TIDEGAUGE_KAFKA_BOOTSTRAP_SERVERS; did you mean "
        "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS? known are"
    )
    assert others == [
        "environment variable TIDEGAUGE_HTTP__PORT: http.port: expected a whole number",
        f"secret {secrets}/tidegauge_log_level: log_level: found 'warn', expected one of DEBUG, "
        "INFO, WARNING, ERROR; did you mean WARNING?",
    ]


def test_joining_of_labels_for_a_model_follows_the_common_settings(folder: Path) -> None:
    (folder / "tidegauge.yaml").write_text(
        "outcomes: {rate: 0.1, cohort_seconds: 86400}\n"
        "model_outcomes: {mortgage: {retention_seconds: 7776000}}\n"
    )
    settings = load_settings()
    mortgage = settings.outcomes_of("mortgage")
    assert (mortgage.rate, mortgage.cohort_seconds, mortgage.retention_seconds) == (
        0.1, 86_400, 7_776_000,
    )  # fmt: skip
    assert settings.outcomes_of("another").retention_seconds == 30 * 24 * 3600
    assert settings.longest_retention_seconds == 7_776_000 + 3_600


def test_performance_is_compared_by_the_segments_unless_groups_are_given() -> None:
    assert Settings(ingest={"segments": ["region"]}).outcome_groups == ("region",)
    assert Settings(ingest={"segments": ["region"]}, outcomes={"groups": []}).outcome_groups == ()
    with pytest.raises(ValidationError, match="named twice"):
        Settings(outcomes={"groups": ["age", "age"]})


def test_keys_of_receipts_are_one_a_line_and_long_and_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tidegauge_outcomes__receipt_key").write_text("0123456789abcdef\nfedcba9876543210\n")
    monkeypatch.setenv("TIDEGAUGE_SECRETS_DIR", str(folder))
    settings = load_settings()
    assert settings.outcomes.receipt_keys == (b"0123456789abcdef", b"fedcba9876543210")
    assert "0123" not in repr(settings)
    (folder / "tidegauge_outcomes__receipt_key").write_text("0123456789abcdef\nshort\n")
    with pytest.raises(FileError, match="fewer than 16") as refused:
        load_settings()
    assert "short" not in str(refused.value)
    assert Settings.model_construct().outcomes.receipt_keys == ()
