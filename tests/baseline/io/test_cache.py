"""The cache, on a real Redis that goes away, comes back and loses data."""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import redis

from support.baselines import small_baseline
from support.processes import free_port, wait_until
from support.redis_server import RedisServer
from tidegauge.baseline.io import cache as cache_module
from tidegauge.baseline.io.cache import BaselineCache
from tidegauge.baseline.io.pointers import Snapshot
from tidegauge.baseline.io.store import BaselineStore
from tidegauge.baseline.validation import MAX_DOCUMENT_BYTES
from tidegauge.cli.check import check_baselines
from tidegauge.config.settings import Settings

KEY = ("credit", "1")


@pytest.fixture
def store(empty_redis_url: str) -> Iterator[BaselineStore]:
    store = BaselineStore(empty_redis_url)
    yield store
    store.close()


@contextmanager
def running(store: BaselineStore, refresh_seconds: float = 0.2) -> Iterator[BaselineCache]:
    cache = BaselineCache(store, refresh_seconds)
    cache.start()
    try:
        yield cache
    finally:
        cache.stop()


def promote(store: BaselineStore, rows: int = 10, model: str = "credit") -> str:
    id = store.put(small_baseline(model, rows=rows))
    store.promote(model, "1", id, now=time.time())
    return id


def promoted_id(cache: BaselineCache, key: tuple[str, str] = KEY) -> str | None:
    return cache.promoted[key][0] if key in cache.promoted else None


def test_what_is_promoted_at_the_start_is_loaded(store: BaselineStore) -> None:
    id = promote(store)
    with running(store) as cache:
        assert cache.wait_loaded(5)
        assert dict(cache.promoted) == {KEY: (id, small_baseline())}
        assert (cache.up, cache.error) == (True, None)


def test_when_each_was_promoted_is_known_even_if_redis_forgets_it(
    store: BaselineStore, empty_redis_url: str
) -> None:
    id = promote(store)
    before = store.promoted()
    with running(store) as cache:
        assert cache.wait_loaded(5)
        assert dict(cache.pointers) == before and before[KEY].id == id
        with redis.Redis.from_url(empty_redis_url) as client:
            client.flushdb()
        wait_until(lambda: cache.error is not None, seconds=5, what="that it is gone")
        assert dict(cache.pointers) == before


def test_a_promotion_is_picked_up_at_once_by_its_announcement(store: BaselineStore) -> None:
    with running(store, refresh_seconds=600) as cache:
        assert cache.wait_loaded(5)
        id = promote(store)
        started = time.monotonic()
        wait_until(lambda: promoted_id(cache) == id, seconds=5, what="the promotion")
        assert time.monotonic() - started < 2  # by a poll it would take 2.5 s


def test_a_promotion_whose_announcement_is_lost_is_picked_up_within_five_seconds(
    store: BaselineStore, empty_redis_url: str
) -> None:
    with running(store, refresh_seconds=600) as cache:
        assert cache.wait_loaded(5)
        id = store.put(small_baseline())
        with redis.Redis.from_url(empty_redis_url) as client, client.pipeline() as pipe:
            pipe.hset(
                "tidegauge:baseline:promoted",
                '["credit","1"]',
                f'{{"id": "{id}", "promoted_at": 1.0, "previous": null}}',
            )
            pipe.incr("tidegauge:baseline:generation")
            pipe.execute()
        wait_until(lambda: promoted_id(cache) == id, seconds=5, what="the promotion")


def test_a_snapshot_once_taken_does_not_change(store: BaselineStore) -> None:
    first = promote(store, rows=10)
    with running(store) as cache:
        assert cache.wait_loaded(5)
        taken = cache.promoted
        second = promote(store, rows=20)
        wait_until(lambda: promoted_id(cache) == second, seconds=5, what="the promotion")
        assert taken[KEY][0] == first
        with pytest.raises(TypeError):
            taken[KEY] = (second, small_baseline())  # type: ignore[index]
        assert cache.get(first) == small_baseline(rows=10), "open windows may still need it"


def test_the_mapping_stays_the_same_object_while_nothing_changes(counting: "Counting") -> None:
    promote(counting)
    with running(counting, refresh_seconds=0.05) as cache:
        assert cache.wait_loaded(5)
        taken = cache.promoted
        wait_until(lambda: counting.polled >= 3, seconds=5, what="three refreshes")
        assert cache.promoted is taken


def test_redis_going_away_changes_nothing_but_is_said_and_its_return_is_noticed(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    store = BaselineStore(server.url, timeout_seconds=0.5)
    try:
        first = promote(store)
        with running(store) as cache:
            assert cache.wait_loaded(5)
            server.stop()
            wait_until(lambda: not cache.up, seconds=5, what="the outage")
            assert cache.promoted[KEY] == (first, small_baseline())
            assert server.url in (cache.error or "")
            assert cache.get("0" * 64) is None
            age = cache.age_seconds
            wait_until(lambda: cache.age_seconds > age, seconds=5, what="growing age")
            server.start()
            wait_until(lambda: cache.up, seconds=5, what="the return")
            assert cache.error is None
            second = promote(store, rows=20)
            wait_until(lambda: promoted_id(cache) == second, seconds=5, what="a promotion")
    finally:
        store.close()
        server.stop()


def test_a_redis_that_comes_back_empty_does_not_take_the_baselines_away(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    store = BaselineStore(server.url, timeout_seconds=0.5)
    try:
        id = promote(store)
        with running(store) as cache:
            assert cache.wait_loaded(5)
            server.stop()
            server.lose_data()
            server.start()
            wait_until(
                lambda: "no longer says what is promoted" in (cache.error or ""),
                seconds=5,
                what="the loss to be said",
            )
            assert cache.up
            assert promoted_id(cache) == id
            promote(store)
            wait_until(lambda: cache.error is None, seconds=5, what="recovery")
    finally:
        store.close()
        server.stop()


def test_a_cache_started_before_redis_loads_as_soon_as_it_is_there(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    store = BaselineStore(server.url, timeout_seconds=0.5)
    try:
        with running(store) as cache:
            assert not cache.wait_loaded(0.5)
            assert (cache.up, cache.age_seconds) == (False, math.inf)
            assert cache.get("0" * 64) is None
            server.start()
            assert cache.wait_loaded(5)
            assert cache.up
    finally:
        store.close()
        server.stop()


def test_a_damaged_document_is_reported_and_the_others_load(
    store: BaselineStore, empty_redis_url: str
) -> None:
    damaged, whole = promote(store), promote(store, model="fraud")
    key = f"tidegauge:baseline:doc:{damaged}"
    with redis.Redis.from_url(empty_redis_url) as client:
        client.set(key, b"\xff not a document")
    with running(store) as cache:
        assert cache.wait_loaded(5)
        assert promoted_id(cache) is None
        assert promoted_id(cache, ("fraud", "1")) == whole
        assert f"model 'credit' version '1': baseline {damaged} is damaged" in (cache.error or "")
        assert cache.up
        store.put(small_baseline())  # mends it, without a promotion
        wait_until(lambda: promoted_id(cache) == damaged, seconds=5, what="the mended document")
        wait_until(lambda: cache.error is None, seconds=5, what="the error to go")


def test_a_damaged_successor_leaves_the_previous_baseline_in_force(
    store: BaselineStore, empty_redis_url: str
) -> None:
    first = promote(store)
    with running(store) as cache:
        assert cache.wait_loaded(5)
        second = small_baseline(rows=20)
        with redis.Redis.from_url(empty_redis_url) as client:
            client.hset(
                "tidegauge:baseline:promoted",
                '["credit","1"]',
                f'{{"id": "{second.id}", "promoted_at": 1.0, "previous": "{first}"}}',
            )
            client.incr("tidegauge:baseline:generation")
        wait_until(
            lambda: f"there is no baseline {second.id}" in (cache.error or ""),
            seconds=5,
            what="the missing document to be said",
        )
        assert promoted_id(cache) == first


def _promote_by_hand(redis_url: str, document: bytes, previous: str | None = None) -> str:
    id = hashlib.sha256(document).hexdigest()
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"tidegauge:baseline:doc:{id}", document)
        pointer = msgspec.json.encode({"id": id, "promoted_at": 1.0, "previous": previous})
        client.hset("tidegauge:baseline:promoted", '["credit","1"]', pointer)
        client.incr("tidegauge:baseline:generation")
    return id


def _unusable() -> bytes:
    wrong = small_baseline()
    wrong.rows = 1
    return wrong.to_json()


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (_unusable(), "'amount': its counts add up to 10, more than the 1 rows"),
        (b" " * (MAX_DOCUMENT_BYTES + 1), "the document has 8,388,609 bytes"),
        (b'{"unknown":' * 20_000, "nested too deeply"),
    ],
    ids=["wrong", "too large", "deep"],
)
def test_a_document_that_cant_be_used_leaves_the_one_before_in_force_also_after_a_restart(
    counting: "Counting", empty_redis_url: str, document: bytes, why: str
) -> None:
    first, other = promote(counting), promote(counting, model="fraud")
    with running(counting) as before:
        assert before.wait_loaded(5)
        wrong = _promote_by_hand(empty_redis_url, document, previous=first)
        wait_until(lambda: before.problems, seconds=5, what="the problem to be said")
        with running(counting) as after:
            assert after.wait_loaded(5)
            for cache in (before, after):
                assert promoted_id(cache) == first
                assert promoted_id(cache, ("fraud", "1")) == other
                [problem] = cache.problems
                assert problem.startswith(
                    f"model 'credit' version '1': baseline {wrong[:12]} can't"
                )
                assert why in problem and problem.endswith(f"; {first[:12]} stays in force")
                assert cache.get(wrong) is None and why in (cache.refused(wrong) or "")
    asked = counting.asked
    with running(counting) as cache:
        wait_until(lambda: cache.age_seconds < 1, seconds=5, what="a first look")
        loads = counting.loads
        wait_until(lambda: counting.loads > loads + 3, seconds=5, what="three more looks")
        assert counting.asked == asked + 3, "what can never be used is read once"


def test_a_model_whose_only_baseline_cant_be_used_has_none(
    store: BaselineStore, empty_redis_url: str
) -> None:
    _promote_by_hand(empty_redis_url, _unusable())
    with running(store) as cache:
        assert cache.wait_loaded(5)
        assert promoted_id(cache) is None
        assert (cache.error or "").endswith("it is counted without")
        promote(store)
        wait_until(lambda: promoted_id(cache) is not None, seconds=5, what="a better one")
        wait_until(lambda: cache.error is None, seconds=5, what="the problem to go")


def test_a_pointer_to_a_baseline_of_another_model_is_not_followed(
    store: BaselineStore, empty_redis_url: str
) -> None:
    id = promote(store)
    with redis.Redis.from_url(empty_redis_url) as client:
        pointer = f'{{"id": "{id}", "promoted_at": 1.0, "previous": null}}'
        client.hset("tidegauge:baseline:promoted", '["fraud","1"]', pointer)
    with running(store) as cache:
        assert cache.wait_loaded(5)
        assert list(cache.promoted) == [KEY]
        assert "was made for model 'credit'" in (cache.error or "")


def test_a_baseline_that_is_not_promoted_is_fetched_by_id(store: BaselineStore) -> None:
    id = store.put(small_baseline())
    with running(store) as cache:
        assert cache.wait_loaded(5)
        assert cache.get(id) == small_baseline()
        assert cache.get(id) is cache.get(id), "an immutable document is fetched once"


class Counting(BaselineStore):
    """A real store that counts how often it is asked for a document, and for the generation."""

    asked = 0
    polled = 0
    loads = 0

    def generation(self) -> int:
        self.polled += 1
        return super().generation()

    def snapshot(self) -> Snapshot:
        self.loads += 1
        return super().snapshot()

    def get(self, id: str):  # type: ignore[no-untyped-def]
        self.asked += 1
        return super().get(id)


@pytest.fixture
def counting(empty_redis_url: str) -> Iterator[Counting]:
    store = Counting(empty_redis_url)
    yield store
    store.close()


def test_an_unknown_id_is_asked_for_once_a_refresh_period(counting: Counting) -> None:
    now = 100.0
    cache = BaselineCache(counting, 2.0, clock=lambda: now)
    cache.start()
    try:
        assert cache.wait_loaded(5)
        assert [cache.get("0" * 64) for _ in range(100)] == [None] * 100
        assert counting.asked == 1
        now += 3.0
        assert cache.get("0" * 64) is None
        assert counting.asked == 2
        assert cache.error is None, "an id that is not there is no fault of the store"
    finally:
        cache.stop()


def test_only_so_many_documents_are_kept(counting: Counting) -> None:
    ids = [counting.put(small_baseline(rows=rows)) for rows in (10, 20, 30)]
    cache = BaselineCache(counting, 2.0, documents_kept=2)
    cache.start()
    try:
        assert cache.wait_loaded(5)
        for id in (ids[0], ids[1], ids[0], ids[2]):
            assert cache.get(id)
        assert counting.asked == 3
        assert cache.get(ids[0])
        assert counting.asked == 3, "the one used last was kept"
        assert cache.get(ids[1])
        assert counting.asked == 4, "the one not used for longest was dropped"
    finally:
        cache.stop()


def test_age_is_measured_with_the_clock_it_was_given(store: BaselineStore) -> None:
    now = 50.0
    cache = BaselineCache(store, 2.0, clock=lambda: now)
    cache.start()
    assert cache.wait_loaded(5)
    cache.stop()
    now += 7.5
    assert cache.age_seconds == 7.5


def test_it_stops_soon_and_can_be_started_again(store: BaselineStore) -> None:
    cache = BaselineCache(store, 2.0)
    for _ in range(2):
        cache.start()
        cache.start()
        assert cache.wait_loaded(5)
        started = time.monotonic()
        cache.stop()
        assert time.monotonic() - started < 1
    assert not [t for t in threading.enumerate() if t.name == "tidegauge-baselines"]


def test_a_redis_that_is_down_is_not_asked_without_pause() -> None:
    store = BaselineStore(f"redis://127.0.0.1:{free_port()}/0", timeout_seconds=0.5)
    tries: list[float] = []
    follow: Callable[[], object] = store.follow

    def counted() -> object:
        tries.append(time.monotonic())
        return follow()

    store.follow = counted  # type: ignore[method-assign, assignment]
    context: AbstractContextManager[BaselineCache] = running(store, refresh_seconds=0.2)
    with context:
        wait_until(lambda: len(tries) >= 4, seconds=5, what="four tries")
    store.close()
    pauses = [b - a for a, b in pairwise(tries)]
    assert min(pauses) >= 0.19


# -- what Redis loses while it answers ------------------------------------------------------------

DOCUMENT, POINTERS, GENERATION = (
    "tidegauge:baseline:doc:{id}",
    "tidegauge:baseline:promoted",
    "tidegauge:baseline:generation",
)


def _replaced(client: redis.Redis, key: str) -> None:
    client.delete(key)
    client.rpush(key, "a list")


LOSSES: dict[str, Callable[[redis.Redis, str], object]] = {
    "all": lambda client, id: client.flushall(),
    "the pointers": lambda client, id: client.delete(POINTERS),
    "one pointer": lambda client, id: client.hdel(POINTERS, '["credit","1"]'),
    "a pointer that is no JSON": lambda client, id: client.hset(POINTERS, '["credit","1"]', "{"),
    "a pointer of 10 MB": lambda client, id: client.hset(
        POINTERS,
        '["credit","1"]',
        msgspec.json.encode({"id": "x" * 10**7, "promoted_at": 1.0, "previous": None}),
    ),
    "pointers of a wrong type": lambda client, id: _replaced(client, POINTERS),
    "a generation of a wrong type": lambda client, id: _replaced(client, GENERATION),
    "a generation that is no number": lambda client, id: client.set(GENERATION, "many"),
    "the document": lambda client, id: client.delete(DOCUMENT.format(id=id)),
    "a document that is overwritten": lambda client, id: client.set(DOCUMENT.format(id=id), b"x"),
    "a document of a wrong type": lambda client, id: _replaced(client, DOCUMENT.format(id=id)),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_redis_loses_is_said_and_withdraws_nothing_until_it_is_mended(
    store: BaselineStore, empty_redis_url: str, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr(cache_module, "READ_SECONDS", 0.1)
    id = promote(store)
    with running(store) as cache, redis.Redis.from_url(empty_redis_url) as client:
        assert cache.wait_loaded(5)
        LOSSES[loss](client, id)
        wait_until(lambda: cache.error is not None, seconds=10, what="that something is lost")
        assert cache.up and cache.problems
        assert len(str(cache.error)) < 1_000
        assert promoted_id(cache) == id and cache.get(id) == small_baseline()
        for key in (POINTERS, GENERATION, DOCUMENT.format(id=id)):
            client.delete(key)
        promote(store)
        wait_until(lambda: cache.error is None, seconds=10, what=lambda: f"mended: {cache.error}")
        assert cache.problems == [] and promoted_id(cache) == id


@pytest.mark.parametrize("garbage", ["shorter", "of the same size"])
def test_a_document_that_is_overwritten_is_said_once_and_stays_in_force(
    store: BaselineStore,
    empty_redis_url: str,
    garbage: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cache_module, "READ_SECONDS", 0.2)
    others = [promote(store, model=f"other{i}") for i in range(3)]
    id = promote(store)
    # One at a time: that of another size doesn't wait for its turn.
    monkeypatch.setattr(cache_module, "READ_BYTES", 1)
    with running(store) as cache, redis.Redis.from_url(empty_redis_url) as client:
        assert cache.wait_loaded(5) and cache.error is None
        key = f"tidegauge:baseline:doc:{id}"
        sound = client.get(key)
        client.set(key, b"x" * (len(sound) if garbage == "of the same size" else 3))
        wait_until(lambda: cache.error is not None, seconds=5, what="that it is overwritten")
        assert f"Redis has something else as baseline {id[:12]}" in str(cache.error)
        assert len(cache.problems) == 1
        assert promoted_id(cache) == id and len(cache.promoted) == len(others) + 1
        client.set(key, sound)
        wait_until(lambda: cache.error is None, seconds=5, what="that it is mended")
    said = [it for it in caplog.records if "something else" in it.getMessage()]
    assert len(said) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_check_says_what_redis_has_lost(
    store: BaselineStore, empty_redis_url: str, loss: str
) -> None:
    id = promote(store)
    settings = Settings(redis={"url": empty_redis_url})
    (sound,) = check_baselines(settings)
    assert sound.problems == []
    with redis.Redis.from_url(empty_redis_url) as client:
        LOSSES[loss](client, id)
    (found,) = check_baselines(settings)
    assert len(found.problems) == 1, found
