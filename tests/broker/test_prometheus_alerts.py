"""What Prometheus calls for by the shipped rules, while brokers, Redis, baselines, workers go away.

The rules are loaded as they are shipped, but that each alert waits for two seconds and not for its
own time, and that they are evaluated every second.
"""

import json
from collections.abc import Callable, Iterator

import pytest
import redis

from support.kafka_broker import KafkaBroker, unique
from support.processes import wait_until
from support.product import Installation, told
from support.watched_site import ROLES, WatchedSite, shipped_rules

pytestmark = pytest.mark.timeout(240)

SETTINGS = {
    "TOPICS__PREDICTIONS_PARTITIONS": "2",
    "TOPICS__DETECT_PARTITIONS": "2",
    "WINDOWS__SECONDS": "2",
    "WINDOWS__GRACE_SECONDS": "1",
    "INGEST__IDLE_SECONDS": "2",
    "INGEST__FLUSH_SECONDS": "0.5",
    "REDIS__REFRESH_SECONDS": "0.5",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedSite]:
    directory = tmp_path_factory.mktemp("watched")
    with WatchedSite(directory, SETTINGS, rules=shipped_rules(directory, wait="2s")) as one:
        one.send_events("1")
        yield one


def test_a_version_without_a_baseline_is_called_for_with_the_nearest_one(
    site: WatchedSite,
) -> None:
    wait_until(
        lambda: site.prometheus.query("sum(tidegauge_windows_closed_total) > 2"),
        seconds=40,
        what="windows are closed",
    )
    assert [one for one in site.prometheus.firing() if "NoWindow" not in one["alertname"]] == []
    site.send_events("1", "2")
    (alert,) = site.wait_fires("TidegaugeMissingBaseline")
    assert alert["severity"] == "medium"
    assert "m 2 (nearest: m 1)" in alert["summary"]
    done = site.any.cli("check")
    assert done.returncode == 0, told(done)
    assert "m 2 has no baseline (nearest: m 1, promoted " in done.stdout
    findings = {one["check"]: one for one in json.loads(site.any.succeed("check", "--json"))}
    for role in ("ingest", "detect", "ledger", "receiver nobody"):
        assert findings[role]["detail"].startswith("1 member, "), findings[role]
        assert findings[role]["problems"] == findings[role]["warnings"] == []
    status = json.loads(site.any.succeed("status", "--json"))
    versions = {one["version"]: one for one in status["versions"]}
    assert versions.keys() == {"1", "2"}
    assert all(one["model"] == "m" and one["events_per_second"] > 0 for one in versions.values())
    assert versions["1"]["baseline"] and versions["2"]["nearest_baseline"] == "m 1"
    assert "m 2" in site.any.succeed("status")


def test_a_burst_of_dead_letters_is_called_for(site: WatchedSite) -> None:
    site.send_garbage(17_500)
    (alert,) = site.wait_fires("TidegaugeDeadLetters")
    assert alert["severity"] == "high"
    assert alert["runbook_url"] == "docs/operations.md#tidegaugedeadletters"


def test_an_emptied_redis_is_called_for(site: WatchedSite) -> None:
    with redis.Redis.from_url(site.redis.url) as client:
        client.flushall()
    (alert,) = site.wait_fires("TidegaugeBaselinesLost")
    assert alert["summary"].startswith("Redis has lost 1 of the baselines")
    # What a worker holds is no help to the next one, of which the same is said.
    site.stop("ingest")
    site.start("ingest")
    site.any.wait_ready(site.children["ingest"])
    site.create_baseline("m", "1")
    site.wait_ends("TidegaugeBaselinesLost")


@pytest.mark.parametrize(
    ("goes", "comes"),
    [(KafkaBroker.kill, KafkaBroker.start), (KafkaBroker.freeze, KafkaBroker.thaw)],
    ids=["killed", "frozen"],
)
def test_without_brokers_every_role_is_not_ready_and_alive_and_comes_back(
    site: WatchedSite,
    goes: Callable[[KafkaBroker], None],
    comes: Callable[[KafkaBroker], None],
) -> None:
    together = site.installation("all", unique("all"))
    together.create_topics()
    child = together.start("run")
    workers = [*site.installations.values(), together]

    try:
        together.wait_ready(child)
        goes(site.broker)
        wait_until(
            lambda: all(
                one["state"] == "failed" and "no answer from the brokers" in one["detail"]
                for one in map(kafka_condition, workers)
            ),
            seconds=30,
            what=lambda: f"nobody is ready: {[kafka_condition(one) for one in workers]}",
        )
        assert statuses(workers, "/readyz") == {503}
        away = site.wait_fires("TidegaugeBrokersAway", n=len(ROLES))
        assert {one["role"] for one in away} == set(ROLES)
        assert {one["severity"] for one in away} == {"critical"}
        assert statuses(workers, "/healthz") == {200}
        comes(site.broker)
        wait_until(
            lambda: statuses(workers, "/readyz") == {200},
            seconds=60,
            what=lambda: f"all are ready: {[worker.http('/readyz') for worker in workers]}",
        )
        assert statuses(workers, "/healthz") == {200}
        site.wait_ends("TidegaugeBrokersAway")
    finally:
        child.stop()


def kafka_condition(worker: Installation) -> dict[str, str]:
    answer = worker.http("/readyz")
    assert answer is not None
    condition: dict[str, str] = json.loads(answer[1])["conditions"]["kafka"]
    return condition


def statuses(workers: list[Installation], path: str) -> set[int | None]:
    answers = [worker.http(path) for worker in workers]
    return {None if answer is None else answer[0] for answer in answers}


def test_a_role_of_which_no_worker_runs_is_called_for_and_found_by_check(
    site: WatchedSite,
) -> None:
    site.stop("detect")
    roles = {one["role"] for one in site.wait_fires("TidegaugeRoleMissing")}
    assert roles == {"detect"}
    done = site.any.cli("check", "--json")
    assert done.returncode == 4, told(done)
    findings = {one["check"]: one for one in json.loads(done.stdout)}
    (problem,) = findings["detect"]["problems"]
    assert "no worker of detect runs" in problem
    assert "start one: tidegauge run --role detect" in problem
    assert "no member, " in findings["detect"]["detail"]
    assert findings["ingest"]["problems"] == []
