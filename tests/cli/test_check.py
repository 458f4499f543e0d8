"""``tidegauge check`` of the baselines, on a real Redis."""

import hashlib
import time
from collections.abc import Iterator

import msgspec
import pytest
import redis

from support.baselines import small_baseline
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.baseline.validation import MAX_DOCUMENT_BYTES
from tidegauge.cli.check import check_actions, check_baselines, check_versions
from tidegauge.config.sections import ActionSettings, RedisSettings
from tidegauge.config.settings import Settings
from tidegauge.counting.decode import native


@pytest.fixture
def store(empty_redis_url: str) -> Iterator[BaselineStore]:
    store = BaselineStore(empty_redis_url)
    yield store
    store.close()


def _promote_by_hand(redis_url: str, model: str, document: bytes, previous: str | None) -> str:
    id = hashlib.sha256(document).hexdigest()
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"tidegauge:baseline:doc:{id}", document)
        pointer = msgspec.json.encode({"id": id, "promoted_at": 1.0, "previous": previous})
        client.hset("tidegauge:baseline:promoted", msgspec.json.encode((model, "1")), pointer)
    return id


def test_every_baseline_that_cant_be_used_is_named_with_what_holds_until_it_is_mended(
    store: BaselineStore, empty_redis_url: str
) -> None:
    settings = Settings(redis=RedisSettings(url=empty_redis_url))
    good = store.put(small_baseline())
    store.promote("credit", "1", good, now=time.time())
    [well] = check_baselines(settings)
    assert (well.detail, well.problems) == ("1 promoted", [])
    wrong = small_baseline("fraud")
    wrong.rows = 1
    _promote_by_hand(empty_redis_url, "fraud", wrong.to_json(), None)
    _promote_by_hand(empty_redis_url, "credit", b" " * (MAX_DOCUMENT_BYTES + 1), good)
    _promote_by_hand(empty_redis_url, "churn", small_baseline("other").to_json(), None)
    [found] = check_baselines(settings)
    assert found.code == 2
    churn, credit, fraud = found.problems
    assert "model 'churn' version '1'" in churn and "made for model 'other' version '1'" in churn
    assert "model 'credit' version '1'" in credit and "has 8,388,609 bytes" in credit
    assert credit.endswith(f"Until then baseline {good[:12]} stays in force")
    assert "can't be used: signal 'amount': its counts add up to 10" in fraud
    assert "make another and promote it" in fraud
    assert fraud.endswith("Until then it is counted without a baseline")


def test_it_says_whether_actions_are_meant_and_which_rules_ask_for_them() -> None:
    [live] = check_actions(Settings())
    assert live.detail == (
        "actions.mode is live; retrain by drift-retrain, rollback by latency-rollback"
    )
    [dry] = check_actions(Settings(actions=ActionSettings(mode="dry_run")))
    assert dry.detail.startswith(
        "actions.mode is dry_run: what is asked for is marked as not to be carried out; retrain"
    )


def test_a_missing_native_decoder_is_a_warning_and_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [found] = check_versions(Settings())
    assert (found.problems, found.warnings) == ([], [])
    monkeypatch.setattr(native, "MODULE", None)
    [found] = check_versions(Settings())
    assert found.problems == [] and "tidegauge_native isn't installed" in found.warnings[0]
