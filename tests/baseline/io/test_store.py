"""The store, on a real Redis."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import redis

from support.baselines import small_baseline
from support.processes import free_port
from support.redis_server import RedisServer
from tidegauge.baseline.io.pointers import Pointer, earlier_version
from tidegauge.baseline.io.store import (
    BaselineNotFound,
    BaselineStore,
    CorruptBaseline,
    PromotionRefused,
    RefusedBaseline,
    StoreUnavailable,
)
from tidegauge.baseline.validation import MAX_DOCUMENT_BYTES


@pytest.fixture
def store(empty_redis_url: str) -> Iterator[BaselineStore]:
    store = BaselineStore(empty_redis_url, clock=lambda: 1000.0)
    yield store
    store.close()


@pytest.fixture
def client(empty_redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(empty_redis_url) as client:
        yield client


def test_what_is_put_is_got_under_its_hash(store: BaselineStore) -> None:
    baseline = small_baseline()
    assert store.put(baseline) == baseline.id
    assert store.get(baseline.id) == baseline


def test_putting_again_changes_nothing(store: BaselineStore, empty_redis_url: str) -> None:
    store.put(small_baseline())
    later = BaselineStore(empty_redis_url, clock=lambda: 2000.0)
    later.put(small_baseline())
    later.close()
    assert [(entry.id, entry.created_at) for entry in store.list()] == [
        (small_baseline().id, 1000.0)
    ]


def test_putting_again_mends_a_damaged_document(store: BaselineStore, client: redis.Redis) -> None:
    id = store.put(small_baseline())
    client.set(f"tidegauge:baseline:doc:{id}", b"{}")
    with pytest.raises(CorruptBaseline, match=f"baseline {id} is damaged"):
        store.get(id)
    store.put(small_baseline())
    assert store.get(id) == small_baseline()


def test_an_unknown_id_is_not_found(store: BaselineStore) -> None:
    with pytest.raises(BaselineNotFound, match="there is no baseline 00"):
        store.get("00")
    with pytest.raises(BaselineNotFound):
        store.promote("credit", "1", "00", now=1.0)


def test_a_document_of_another_format_is_reported(
    store: BaselineStore, client: redis.Redis
) -> None:
    document = b'{"model": "credit"}'
    id = hashlib.sha256(document).hexdigest()
    client.set(f"tidegauge:baseline:doc:{id}", document)
    with pytest.raises(CorruptBaseline, match="missing required field `version`"):
        store.get(id)


def _put_by_hand(client: redis.Redis, document: bytes) -> str:
    id = hashlib.sha256(document).hexdigest()
    client.set(f"tidegauge:baseline:doc:{id}", document)
    client.zadd("tidegauge:baselines", {id: 1.0})
    return id


def test_a_document_that_cant_be_used_is_neither_stored_nor_promoted_and_is_listed_with_why(
    store: BaselineStore, client: redis.Redis
) -> None:
    wrong = small_baseline()
    wrong.rows = 1
    with pytest.raises(RefusedBaseline, match="'amount': its counts add up to 10, more than the 1"):
        store.put(wrong)
    id = _put_by_hand(client, wrong.to_json())
    for act in (lambda: store.get(id), lambda: store.promote("credit", "1", id, now=1.0)):
        with pytest.raises(RefusedBaseline, match=f"baseline {id[:12]} can't be used: signal"):
            act()
    [entry] = store.list()
    assert entry.baseline is None and "can't be used" in (entry.problem or "")
    assert store.promoted() == {}


def test_a_document_that_is_too_large_is_not_even_read(
    store: BaselineStore, client: redis.Redis
) -> None:
    id = _put_by_hand(client, b" " * (MAX_DOCUMENT_BYTES + 1))
    before = client.info("stats")["total_net_output_bytes"]
    with pytest.raises(RefusedBaseline, match="has 8,388,609 bytes, expected at most 8,388,608"):
        store.get(id)
    assert client.info("stats")["total_net_output_bytes"] - before < 100_000


def test_an_id_is_found_by_a_beginning_that_is_unique(store: BaselineStore) -> None:
    ids = [store.put(small_baseline(rows=rows)) for rows in range(10, 60)]
    assert store.find(ids[0][:20]) == ids[0]
    first = next(id[0] for id in ids if sum(other[0] == id[0] for other in ids) > 1)
    with pytest.raises(BaselineNotFound, match="give more of it"):
        store.find(first)
    for unknown in ("xyz", ""):
        with pytest.raises(BaselineNotFound, match="there are 50"):
            store.find(unknown)


def test_promotion_points_to_the_baseline_and_remembers_the_one_before(
    store: BaselineStore,
) -> None:
    old, new = (store.put(small_baseline(rows=rows)) for rows in (10, 20))
    store.promote("credit", "1", old, now=1.0)
    pointer = store.promote("credit", "1", new, now=2.0)
    assert pointer == Pointer(id=new, promoted_at=2.0, previous=old, first_promoted_at=1.0)
    assert store.promoted() == {("credit", "1"): pointer}
    assert store.generation() == 2


def test_the_version_to_go_back_to_goes_by_the_first_baseline_that_each_had(
    store: BaselineStore,
) -> None:
    for at, (version, rows) in enumerate((("1", 10), ("2", 10), ("1", 20), ("3", 10), ("2", 20))):
        baseline = small_baseline(version=version, rows=rows)
        store.promote("credit", version, store.put(baseline), now=float(at))
    other = small_baseline("shop", version="2", rows=30)
    store.promote("shop", "2", store.put(other), now=1.5)
    found = store.promoted()
    # That 1 and 2 got new baselines since makes neither of them a later release.
    assert earlier_version(found, "credit", "3") == "2"
    assert earlier_version(found, "credit", "2") == "1"
    assert earlier_version(found, "credit", "1") is None
    assert earlier_version(found, "credit", "9") == "3"
    assert earlier_version(found, "shop", "2") is None


def test_promoting_the_promoted_one_again_changes_nothing(store: BaselineStore) -> None:
    id = store.put(small_baseline())
    first = store.promote("credit", "1", id, now=1.0)
    assert store.promote("credit", "1", id, now=2.0) == first
    assert store.generation() == 1


@pytest.mark.parametrize(("model", "version"), [("credit", "2"), ("fraud", "1")])
def test_a_baseline_of_another_model_or_version_is_refused(
    store: BaselineStore, model: str, version: str
) -> None:
    id = store.put(small_baseline())
    with pytest.raises(PromotionRefused, match="was made for model 'credit' version '1'"):
        store.promote(model, version, id, now=1.0)
    assert store.promoted() == {}


def test_promotions_at_the_same_time_all_count(store: BaselineStore) -> None:
    ids = [store.put(small_baseline(rows=rows)) for rows in range(10, 18)]
    with ThreadPoolExecutor(8) as pool:
        pointers = list(pool.map(lambda id: store.promote("credit", "1", id, now=1.0), ids))
    assert store.generation() == len(ids)
    # Each took the place of another: the chain of "previous" loses none of them.
    last = store.promoted()["credit", "1"].id
    assert {p.previous for p in pointers} == {None, *ids} - {last}


def test_a_promotion_is_announced(store: BaselineStore) -> None:
    id = store.put(small_baseline())
    changes = store.follow()
    try:
        store.promote("credit", "1", id, now=1.0)
        assert any(changes.wait(1.0) for _ in range(10))
    finally:
        changes.close()


def test_a_damaged_pointer_is_reported_and_the_others_are_read(
    store: BaselineStore, client: redis.Redis
) -> None:
    id = store.put(small_baseline())
    store.promote("credit", "1", id, now=1.0)
    client.hset("tidegauge:baseline:promoted", '["fraud","1"]', b"{]")
    snapshot = store.snapshot()
    assert list(snapshot.promoted) == [("credit", "1")]
    assert '["fraud","1"]' in snapshot.problems[0]
    with pytest.raises(CorruptBaseline):
        store.promoted()
    fraud = store.put(small_baseline("fraud"))
    store.promote("fraud", "1", fraud, now=2.0)
    assert store.promoted()["fraud", "1"].id == fraud


def test_the_list_shows_damaged_documents_beside_whole_ones(
    store: BaselineStore, client: redis.Redis
) -> None:
    whole, damaged, gone = (store.put(small_baseline(rows=rows)) for rows in (10, 20, 30))
    client.set(f"tidegauge:baseline:doc:{damaged}", msgspec.json.encode(1))
    client.delete(f"tidegauge:baseline:doc:{gone}")
    entries = {entry.id: entry for entry in store.list()}
    assert entries[whole].problem is None
    assert "is damaged" in (entries[damaged].problem or "")
    assert "there is no baseline" in (entries[gone].problem or "")


def test_an_index_with_what_is_no_id_is_listed_and_searched(
    store: BaselineStore, client: redis.Redis
) -> None:
    id = store.put(small_baseline())
    client.zadd("tidegauge:baselines", {b"\xff\xfe": float("inf"), b"": float("-inf")})
    nothing, whole, damaged = store.list()
    assert whole.problem is None and whole.id == id
    assert nothing.problem and damaged.problem and "no baseline" in damaged.problem
    assert store.find(id[:12]) == id


def test_stores_with_different_prefixes_do_not_meet(
    store: BaselineStore, empty_redis_url: str
) -> None:
    other = BaselineStore(empty_redis_url, prefix="other")
    other.promote("credit", "1", other.put(small_baseline()), now=1.0)
    other.close()
    assert store.list() == []
    assert store.promoted() == {}


def test_an_unreachable_redis_is_named_without_its_password() -> None:
    port = free_port()
    store = BaselineStore(f"redis://user:secret@127.0.0.1:{port}/0", timeout_seconds=0.5)
    with pytest.raises(StoreUnavailable, match=f"redis://127.0.0.1:{port}/0") as error:
        store.list()
    store.close()
    assert "secret" not in str(error.value)


def test_a_url_of_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="http://redis:6379"):
        BaselineStore("http://:secret@redis:6379")


def test_the_password_is_used_and_a_wrong_one_is_reported(tmp_path: Path) -> None:
    right, wrong = "right", "wrong"
    server = RedisServer(tmp_path, password=right)
    server.start()
    try:
        store = BaselineStore(server.url, password=right)
        assert store.list() == []
        store.close()
        store = BaselineStore(server.url, password=wrong)
        with pytest.raises(StoreUnavailable, match="password"):
            store.list()
        store.close()
    finally:
        server.stop()
