"""``tidegauge backtest`` goes on without a baseline that the store can't give, and says so."""

import pytest
import redis

from support.baselines import small_baseline
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.baseline.validation import MAX_DOCUMENT_BYTES
from tidegauge.cli.backtest import _baselines
from tidegauge.config.settings import Settings


def test_a_baseline_that_is_damaged_or_refused_is_a_warning(
    empty_redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = BaselineStore(empty_redis_url)
    ids = [store.put(small_baseline(rows=rows)) for rows in (10, 20, 30)]
    store.close()
    with redis.Redis.from_url(empty_redis_url) as client:
        client.set(f"tidegauge:baseline:doc:{ids[0]}", b"garbage")
        client.set(f"tidegauge:baseline:doc:{ids[1]}", b" " * (MAX_DOCUMENT_BYTES + 1))
    with _baselines(Settings(redis={"url": empty_redis_url})) as baseline_of:
        assert [baseline_of(id) for id in (ids[0], ids[1], "none")] == [None, None, None]
        assert baseline_of(ids[2]) == small_baseline(rows=30)
    said = capsys.readouterr().err
    assert f"baseline {ids[0]} is damaged" in said
    assert f"baseline {ids[1][:12]} can't be used" in said
    assert len(said.splitlines()) == 2
