"""How each topic must be made."""

import pytest

from tidegauge.config.sections import MAX_RECORD_BYTES, DetectSettings
from tidegauge.config.settings import Settings
from tidegauge.kafka.topics import (
    TopicSpec,
    _satisfies,
    config_problems,
    topic_problems,
    topic_specs,
)


def _specs(**settings: object) -> dict[str, TopicSpec]:
    return {spec.name: spec for spec in topic_specs(Settings(**settings))}


def test_every_topic_of_the_settings_is_made_once() -> None:
    settings = Settings()
    names = [spec.name for spec in topic_specs(settings)]
    topics = settings.topics
    assert sorted(names) == sorted(
        [
            topics.predictions, topics.labels, topics.outcomes, topics.histograms, topics.windows,
            topics.performance, topics.alerts,
            topics.alerts_history, topics.actions, topics.acknowledgements, topics.silences,
            topics.withheld, topics.configuration, topics.audit_facts, topics.audit,
            topics.dead_letters,
            "tidegauge-detect-windows-changelog",
        ]
    )  # fmt: skip


def test_names_and_partitions_follow_the_settings() -> None:
    specs = _specs(
        topics={"predictions": "p", "predictions_partitions": 30, "detect_partitions": 5},
        detect={"app_id": "gauge"},
    )
    assert specs["p"].partitions == 30
    assert specs["tidegauge.histograms"].partitions == 5
    assert specs["gauge-windows-changelog"].partitions == 5


def test_a_wrong_number_of_partitions_is_reported_with_the_setting_of_its_topic() -> None:
    specs = topic_specs(Settings())
    there = {spec.name: spec.partitions for spec in specs} | {"tidegauge.outcomes": 3}
    [problem] = topic_problems(specs, there, {})
    assert "set topics.outcomes_partitions to what it has" in problem


def test_cells_are_routed_by_the_number_of_partitions_so_it_is_exact() -> None:
    exact = {name for name, spec in _specs().items() if spec.exact}
    assert exact == {
        "tidegauge.outcomes",
        "tidegauge.histograms",
        "tidegauge-detect-windows-changelog",
    }


def test_nothing_is_compacted_before_a_successor_could_mend_what_others_left() -> None:
    spec = _specs()["tidegauge-detect-windows-changelog"]
    detect = DetectSettings()
    outage_seconds, recovery_seconds = 60, 15
    failed_over = detect.session_timeout_seconds + recovery_seconds
    mended = outage_seconds + failed_over + 3 * detect.checkpoint_seconds
    assert spec.config["cleanup.policy"] == "compact"
    assert int(spec.config["min.compaction.lag.ms"]) > mended * 1000
    assert {"min.compaction.lag.ms", "message.timestamp.type"} < spec.required.keys()


def test_a_recovery_reads_minutes_of_writes_and_no_more() -> None:
    config = _specs()["tidegauge-detect-windows-changelog"].config
    assert int(config["min.compaction.lag.ms"]) + int(config["segment.ms"]) <= 180_000


def test_tombstones_stay_longer_than_a_recovery_takes() -> None:
    spec = _specs()["tidegauge-detect-windows-changelog"]
    assert int(spec.config["delete.retention.ms"]) >= 10 * 60 * 1000


def test_the_audit_trail_is_never_deleted() -> None:
    spec = _specs()["tidegauge.audit"]
    assert spec.config["retention.ms"] == "-1"
    assert spec.config["retention.bytes"] == "-1"
    assert spec.config["cleanup.policy"] == "delete"
    assert {"retention.ms", "retention.bytes", "cleanup.policy"} <= spec.required.keys()


@pytest.mark.parametrize("name", ["silences", "configuration"])
def test_what_is_to_be_audited_is_not_compacted_before_an_outage_of_a_month_is_over(
    name: str,
) -> None:
    spec = _specs()[f"tidegauge.{name}"]
    assert "compact" in spec.config["cleanup.policy"].split(",")
    assert int(spec.config["min.compaction.lag.ms"]) >= int(
        _specs()["tidegauge.audit-facts"].config["retention.ms"]
    )
    assert "cleanup.policy" in spec.required


def test_a_fact_and_its_record_are_in_partitions_of_the_same_number() -> None:
    specs = _specs()
    assert specs["tidegauge.audit-facts"].partitions == specs["tidegauge.audit"].partitions


def test_a_fact_of_the_largest_size_still_fits_with_its_hashes() -> None:
    specs = _specs()
    assert "max.message.bytes" not in specs["tidegauge.audit-facts"].config  # 1 MiB
    assert int(specs["tidegauge.audit"].config["max.message.bytes"]) >= 2 * 1024 * 1024


@pytest.mark.parametrize(
    "name",
    [
        "outcomes",
        "histograms",
        "windows",
        "performance",
        "alerts",
        "alerts.history",
        "withheld",
        "detect-windows-changelog",
    ],
)
def test_a_topic_of_large_records_takes_the_largest_and_check_sees_to_it(name: str) -> None:
    prefix = "tidegauge-" if name.startswith("detect") else "tidegauge."
    spec = _specs()[f"{prefix}{name}"]
    assert "max.message.bytes" in spec.required
    assert int(spec.config["max.message.bytes"]) >= MAX_RECORD_BYTES
    assert _satisfies("max.message.bytes", str(2 * MAX_RECORD_BYTES), str(MAX_RECORD_BYTES))
    assert not _satisfies("max.message.bytes", "1048588", str(MAX_RECORD_BYTES))


@pytest.mark.parametrize("name", ["predictions", "labels"])
def test_the_users_own_topics_are_left_as_the_cluster_makes_them(name: str) -> None:
    assert _specs()[name].config == {}


def test_no_writer_chooses_the_time_that_lets_predictions_expire() -> None:
    name = "tidegauge.outcomes"
    assert _specs()[name].required["message.timestamp.type"] == "LogAppendTime"
    assert not _problems(name)
    [problem] = _problems(name, message_timestamp_type="CreateTime")
    assert "--add-config message.timestamp.type=LogAppendTime" in problem


def test_outcomes_are_kept_for_longer_than_the_longest_retention_of_a_model() -> None:
    day = 24 * 3600
    specs = _specs(
        outcomes={"retention_seconds": 2 * day},
        model_outcomes={"mortgage": {"retention_seconds": 90 * day}},
    )
    spec = specs["tidegauge.outcomes"]
    assert int(spec.config["retention.ms"]) > spec.least_kept_ms == (90 * day + 3600) * 1000
    short = _problems("tidegauge.outcomes", retention_ms=str(7 * day * 1000))
    assert len(short) == 1 and "retention.ms" in short[0]


def test_what_must_be_is_a_part_of_what_is_made() -> None:
    for spec in _specs().values():
        assert spec.required.keys() <= spec.config.keys()


@pytest.mark.parametrize(
    ("name", "found", "satisfied"),
    [
        ("min.compaction.lag.ms", "999", False),
        ("min.compaction.lag.ms", "1000", True),
        ("min.compaction.lag.ms", "10000", True),
        ("retention.ms", "10000", False),
        ("retention.ms", "1000", True),
    ],
)
def test_a_longer_compaction_lag_will_do_and_nothing_else_may_differ(
    name: str, found: str, satisfied: bool
) -> None:
    assert _satisfies(name, found, "1000") is satisfied


@pytest.mark.parametrize("given", [{}, {"min_insync_replicas": 2}])
def test_of_three_replicas_two_must_have_a_write(given: dict[str, int]) -> None:
    two = _specs(topics={"replication_factor": 2})
    assert all("min.insync.replicas" not in spec.config for spec in two.values())
    specs = _specs(topics={"replication_factor": 3, **given})
    for spec in specs.values():
        assert spec.config["min.insync.replicas"] == "2"
        assert "min.insync.replicas" in spec.required
    assert _satisfies("min.insync.replicas", "3", "2")
    assert not _satisfies("min.insync.replicas", "1", "2")


def _problems(name: str, **found: str) -> list[str]:
    spec = _specs()[name]
    there = {"cleanup.policy": "delete", "retention.ms": str(7 * 24 * 3600 * 1000), **spec.config}
    return list(config_problems(spec, there | {k.replace("_", "."): v for k, v in found.items()}))


@pytest.mark.parametrize("name", _specs())
def test_topics_as_they_are_made_are_as_they_must_be(name: str) -> None:
    assert _problems(name) == []


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_topic_whose_every_record_counts_may_not_be_compacted(policy: str) -> None:
    compacted = {name for name in _specs() if _problems(name, cleanup_policy=policy)}
    last_words = {"performance", "alerts", "silences", "configuration", "withheld"}
    assert compacted >= {"predictions"} | {
        name for name in _specs() if name.removeprefix("tidegauge.") not in last_words
    } - {"tidegauge-detect-windows-changelog"}
    [problem] = _problems("predictions", cleanup_policy=policy)
    assert f"topic predictions has cleanup.policy={policy}, expected delete" in problem
    assert "--entity-name predictions --add-config cleanup.policy=delete" in problem


def test_what_is_read_once_is_kept_for_as_long_as_its_reader_may_be_away() -> None:
    hour, day = 3600 * 1000, 24 * 3600 * 1000
    assert _problems("predictions", retention_ms=str(hour)) == []
    assert _problems("predictions", retention_ms="-1") == []
    [problem] = _problems("predictions", retention_ms=str(hour - 1))
    assert "retention.ms=3599999, expected 3600000 at least" in problem
    [problem] = _problems("tidegauge.histograms", retention_ms=str(day - 1))
    assert f"--add-config retention.ms={4 * day}" in problem


def test_a_list_is_written_as_kafkas_tool_takes_it() -> None:
    [problem] = _problems("tidegauge.silences", cleanup_policy="delete")
    assert problem.endswith("cleanup.policy=[compact,delete]")
