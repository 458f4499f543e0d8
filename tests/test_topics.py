"""How each topic must be made."""

import pytest

from tidegauge.settings import Settings
from tidegauge.topics import TopicSpec, _satisfies, topic_specs


def _specs(**settings: object) -> dict[str, TopicSpec]:
    return {spec.name: spec for spec in topic_specs(Settings(**settings))}


def test_every_topic_of_the_settings_is_made_once() -> None:
    settings = Settings()
    names = [spec.name for spec in topic_specs(settings)]
    topics = settings.topics
    assert sorted(names) == sorted(
        [
            topics.predictions, topics.histograms, topics.windows, topics.alerts, topics.actions,
            topics.audit, topics.dead_letters, "tidegauge-detect-windows-changelog",
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


def test_cells_are_routed_by_the_number_of_partitions_so_it_is_exact() -> None:
    exact = {name for name, spec in _specs().items() if spec.exact}
    assert exact == {"tidegauge.histograms", "tidegauge-detect-windows-changelog"}


@pytest.mark.parametrize(
    ("windows", "life"),
    [
        ({}, 60 + 10 + 900),
        ({"windows": {"seconds": 3600, "grace_seconds": 60, "late_seconds": 7200}}, 10_860),
        ({"model_windows": {"m": {"seconds": 86_400, "late_seconds": 0}}}, 86_410),
    ],
)
def test_the_changelog_keeps_every_value_for_longer_than_the_longest_windows_life(
    windows: dict[str, object], life: int
) -> None:
    spec = _specs(**windows)["tidegauge-detect-windows-changelog"]
    assert spec.config["cleanup.policy"] == "compact"
    assert int(spec.config["min.compaction.lag.ms"]) > life * 1000
    assert spec.must == {"cleanup.policy", "min.compaction.lag.ms"}


def test_tombstones_stay_longer_than_a_worker_could_be_away_in_a_recovery() -> None:
    spec = _specs()["tidegauge-detect-windows-changelog"]
    assert int(spec.config["delete.retention.ms"]) >= 24 * 3600 * 1000


def test_the_audit_trail_is_never_deleted() -> None:
    spec = _specs()["tidegauge.audit"]
    assert spec.config["retention.ms"] == "-1"
    assert "retention.ms" in spec.must


def test_the_users_own_topic_is_left_as_the_cluster_makes_it() -> None:
    assert _specs()["predictions"].config == {}


def test_what_must_be_is_a_part_of_what_is_made() -> None:
    for spec in _specs().values():
        assert spec.must <= spec.config.keys()


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
