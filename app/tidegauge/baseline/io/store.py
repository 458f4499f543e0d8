"""Baselines in Redis: immutable documents named by their hash, and which of them is promoted.

Keys, with the default prefix::

    tidegauge:baseline:doc:{id}     the document, JSON
    tidegauge:baselines             sorted set: id by time of storing
    tidegauge:baseline:promoted     hash: [model, version] -> {id, promoted_at, previous}
    tidegauge:baseline:generation   counts promotions; in step with the hash
    tidegauge:baseline:changes      channel on which each promotion is announced
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tidegauge.baseline import (
    MAX_DOCUMENT_BYTES,
    Baseline,
    UnusableBaseline,
    read_baseline,
    validate,
)
from tidegauge.baseline.io.pointers import Key, Pointer, Snapshot
from tidegauge.config import Settings
from tidegauge.contract import DecodingError, decode


class StoreError(Exception):
    """An error about stored baselines; the message describes it."""


class StoreUnavailable(StoreError):
    """Redis can't be reached, or refuses to serve."""


class BaselineNotFound(StoreError, LookupError):
    """There is no baseline with this id."""


class CorruptBaseline(StoreError, ValueError):
    """What is stored under an id is not the document of that id, or can't be decoded."""


class RefusedBaseline(CorruptBaseline):
    """The document of an id is whole, and can never be used as a baseline."""


class PromotionRefused(StoreError, ValueError):
    """The baseline was made for another model or version."""


class StoredBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """A stored baseline: ``problem`` is set, and ``baseline`` is not, if it can't be read."""

    id: str
    created_at: float
    baseline: Baseline | None
    problem: str | None


#: What is in the place of a document: nothing, or a value of another kind; or another text.
Damage = Literal["missing", "overwritten"]

#: A generation that is no number.
UNREADABLE = -1

#: In the class below, ``list`` is a method.
Entries = list[StoredBaseline]
Ids = list[str]


class Changes:
    """A subscription to the announcements of promotions."""

    def __init__(self, store: "BaselineStore", pubsub: Any, channel: str) -> None:
        self._store = store
        self._pubsub = pubsub
        try:
            with store.unavailable_if_redis_fails():
                pubsub.subscribe(channel)
        except StoreUnavailable:
            self.close()
            raise

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for an announcement; True if there was one. Raises ``StoreUnavailable``."""
        with self._store.unavailable_if_redis_fails():
            message = self._pubsub.get_message(timeout=timeout_seconds)
        return message is not None and message["type"] == "message"

    def close(self) -> None:
        """End the subscription; a connection that is broken already is no error."""
        with suppress(redis.RedisError, OSError):
            self._pubsub.close()


class BaselineStore:
    """Baselines in one Redis database. Safe for use from several threads.

    Every method raises ``StoreUnavailable`` if Redis can't be reached within ``timeout_seconds``.
    The constructor does not connect; it raises ``ValueError`` if the URL is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        prefix: str = "tidegauge",
        timeout_seconds: float = 2.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.address = address_of(url)
        self._clock = clock
        options: dict[str, Any] = {} if password is None else {"password": password}
        try:
            self._redis: Any = redis.Redis.from_url(
                url,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                # One immediate retry, for a connection that died while it was idle in the pool; the
                # caller decides about further ones.
                retry=Retry(NoBackoff(), 1),
                **options,
            )
        except ValueError as error:
            raise ValueError(
                f"redis.url ({self.address}): {error}; set TIDEGAUGE_REDIS__URL to "
                "redis://HOST:PORT/DB"
            ) from error
        self._documents = f"{prefix}:baseline:doc:"
        self._promoted = f"{prefix}:baseline:promoted"
        self._generation = f"{prefix}:baseline:generation"
        self._changes = f"{prefix}:baseline:changes"
        self._created = f"{prefix}:baselines"

    @classmethod
    def of(cls, settings: Settings) -> "BaselineStore":
        """Return the store that the settings name."""
        redis = settings.redis
        return cls(redis.url, password=redis.plain_password, prefix=redis.prefix)

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()

    def put(self, baseline: Baseline) -> str:
        """Store a baseline and return its id; storing it again changes nothing.

        Raises ``RefusedBaseline`` if it can't be used.
        """
        try:
            validate(baseline)
        except UnusableBaseline as error:
            raise RefusedBaseline(f"the baseline can't be used: {error}") from error
        document = baseline.to_json()
        id = baseline.id
        with self.unavailable_if_redis_fails():
            pipe = self._redis.pipeline(transaction=True)
            pipe.set(self._documents + id, document, nx=True)
            pipe.get(self._documents + id)
            pipe.zadd(self._created, {id: self._clock()}, nx=True)
            _, stored, _ = pipe.execute()
            if stored != document:
                # Only damage can put other content under a hash: this mends it.
                self._redis.set(self._documents + id, document)
        return id

    def get(self, id: str) -> Baseline:
        """Return a baseline.

        Raises ``BaselineNotFound`` or ``CorruptBaseline``: ``RefusedBaseline`` if no mending of the
        store can make it one that can be used.
        """
        key = self._documents + id
        with self.unavailable_if_redis_fails():
            # The size first: a document that is too large must not occupy the network.
            try:
                size = self._redis.strlen(key)
                document = self._redis.get(key) if size <= MAX_DOCUMENT_BYTES else None
            except redis.ResponseError as error:
                raise CorruptBaseline(f"baseline {id}: {_refused(key, error)}") from error
        if size > MAX_DOCUMENT_BYTES:
            raise RefusedBaseline(
                f"baseline {id[:12]} can't be used: the document has {size:,} bytes, expected at "
                f"most {MAX_DOCUMENT_BYTES:,}; make another and promote it"
            )
        return _decode(id, document)

    def find(self, id_prefix: str) -> str:
        """Return the one id that begins so.

        Raises ``BaselineNotFound`` if none does or more than one does, ``CorruptBaseline`` if the
        index is of a wrong type.
        """
        ids = [_id(id) for id, _ in self._index()]
        found: Ids = [id for id in ids if id.startswith(id_prefix)]
        if not id_prefix or not found:
            raise BaselineNotFound(
                f"no baseline has an id that begins with {id_prefix!r}; "
                f"there are {len(ids)}: tidegauge baseline list"
            )
        if len(found) > 1:
            raise BaselineNotFound(
                f"{len(found)} baselines have an id that begins with {id_prefix!r}: "
                f"{', '.join(id[: len(id_prefix) + 8] for id in found[:5])}; give more of it"
            )
        return found[0]

    def list(self) -> Entries:
        """Return all stored baselines, oldest first; those that can't be read say why.

        Raises ``CorruptBaseline`` if the index is of a wrong type.
        """
        entries = []
        for raw_id, created_at in self._index():
            id = _id(raw_id)
            baseline, problem = None, None
            try:
                baseline = self.get(id)
            except StoreUnavailable:
                raise
            except StoreError as error:
                problem = str(error)
            entries.append(
                StoredBaseline(id=id, created_at=created_at, baseline=baseline, problem=problem)
            )
        return entries

    def _index(self) -> Any:
        """Return the ids that are stored, each with the time of its storing, oldest first."""
        with self.unavailable_if_redis_fails():
            try:
                return self._redis.zrange(self._created, 0, -1, withscores=True)
            except redis.ResponseError as error:
                raise CorruptBaseline(_refused(self._created, error)) from error

    def promote(self, model: str, version: str, id: str, *, now: float) -> Pointer:
        """Make a stored baseline the one that ``model`` and ``version`` are compared with.

        ``now`` is epoch seconds. Promoting the promoted one again changes nothing. Raises
        ``BaselineNotFound``, ``CorruptBaseline``, or ``PromotionRefused`` if the baseline was made
        for another model or version.
        """
        baseline = self.get(id)
        if (baseline.model, baseline.version) != (model, version):
            raise PromotionRefused(
                f"baseline {id[:12]} was made for model {baseline.model!r} version "
                f"{baseline.version!r}, not for {model!r} version {version!r}"
            )
        field = msgspec.json.encode((model, version))
        with (
            self.unavailable_if_redis_fails(),
            self._redis.pipeline(transaction=True) as pipe,
        ):
            while True:
                try:
                    pipe.watch(self._promoted, self._documents + id)
                    if not pipe.exists(self._documents + id):
                        raise BaselineNotFound(f"baseline {id} was deleted just now")
                    current = _pointer(pipe.hget(self._promoted, field))
                    if current is not None and current.id == id:
                        return current
                    pointer = Pointer(
                        id=id,
                        promoted_at=now,
                        previous=current.id if current else None,
                        first_promoted_at=current.began_at if current else None,
                    )
                    pipe.multi()
                    pipe.hset(self._promoted, field, msgspec.json.encode(pointer))
                    pipe.incr(self._generation)
                    pipe.publish(self._changes, field)
                    pipe.execute()
                    return pointer
                except redis.WatchError:
                    continue  # another promotion came in between: try again

    def promoted(self) -> dict[Key, Pointer]:
        """Return the pointer of each model and version. Raises ``CorruptBaseline``."""
        snapshot = self.snapshot()
        if snapshot.problems:
            raise CorruptBaseline("; ".join(snapshot.problems))
        return dict(snapshot.promoted)

    def snapshot(self) -> Snapshot:
        """Return all pointers and the generation they belong to."""
        with self.unavailable_if_redis_fails():
            pipe = self._redis.pipeline(transaction=True)
            pipe.get(self._generation)
            pipe.hgetall(self._promoted)
            generation, fields = pipe.execute(raise_on_error=False)
            problems = [
                _refused(key, found)
                for key, found in ((self._generation, generation), (self._promoted, fields))
                if isinstance(found, Exception)
            ]
        if isinstance(fields, Exception):
            fields = {}
        promoted: dict[Key, Pointer] = {}
        for field, value in sorted(fields.items()):
            try:
                promoted[decode(field, Key)] = decode(value, Pointer)
            except DecodingError as error:
                problems.append(
                    f"{self._promoted}, field {field[:200].decode(errors='replace')}: {error}; "
                    f"promote a baseline again"
                )
        if _number(generation) == UNREADABLE and not isinstance(generation, Exception):
            problems.append(f"{self._generation} is no number; delete it, and promote a baseline")
        return Snapshot(generation=_number(generation), promoted=promoted, problems=problems)

    def damaged(self, sizes: Mapping[str, int], whole: Set[str]) -> dict[str, Damage]:
        """Return what is wrong with documents, by id; ``sizes`` are what they have in bytes.

        The documents of ``whole`` are read, and compared by their hash.
        """
        if not sizes:
            return {}
        wrong: dict[str, Damage] = {}
        with self.unavailable_if_redis_fails():
            pipe = self._redis.pipeline(transaction=False)
            for id in sizes:
                pipe.strlen(self._documents + id)
            for (id, size), found in zip(
                sizes.items(), pipe.execute(raise_on_error=False), strict=True
            ):
                if isinstance(found, Exception):
                    _refused(self._documents + id, found)
                    wrong[id] = "missing"
                elif found != size:
                    wrong[id] = "overwritten" if found else "missing"
            for id in sorted(whole - wrong.keys()):
                document = self._redis.get(self._documents + id)
                if document is None or hashlib.sha256(document).hexdigest() != id:
                    wrong[id] = "missing" if document is None else "overwritten"
        return wrong

    def generation(self) -> int:
        """Return how often a baseline has been promoted; cheap to ask for.

        :data:`UNREADABLE` if what is there is no number: the snapshot says what is wrong.
        """
        with self.unavailable_if_redis_fails():
            try:
                return _number(self._redis.get(self._generation))
            except redis.ResponseError as error:
                _refused(self._generation, error)
                return UNREADABLE

    def follow(self) -> Changes:
        """Subscribe to promotions. The caller closes what is returned."""
        return Changes(self, self._redis.pubsub(ignore_subscribe_messages=True), self._changes)

    @contextmanager
    def unavailable_if_redis_fails(self) -> Iterator[None]:
        """Turn any failure of Redis into ``StoreUnavailable``, which names the address."""
        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(f"Redis at {self.address}: {error}") from error


def address_of(url: str) -> str:
    """Return a Redis URL without user, password and options.

    >>> address_of("redis://app:secret@redis:6379/0?password=secret")
    'redis://redis:6379/0'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _refused(key: str, error: Exception) -> str:
    """Say what is wrong with a key of another type; raises any other error."""
    if not str(error).startswith("WRONGTYPE"):
        raise error
    return f"{key} is of a wrong type; delete it, and create and promote its baselines again"


def _number(value: object) -> int:
    """Read a counter of Redis's; 0 if there is none."""
    try:
        return int(value or 0)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return UNREADABLE


def _id(member: bytes) -> str:
    """Read an id of the index; of one that is no text there is no baseline either."""
    return member.decode(errors="replace")


def _decode(id: str, document: bytes | None) -> Baseline:
    if document is None:
        raise BaselineNotFound(f"there is no baseline {id}")
    found = hashlib.sha256(document).hexdigest()
    if found != id:
        raise CorruptBaseline(
            f"baseline {id} is damaged: its content has the hash {found[:12]}; create it again"
        )
    try:
        return read_baseline(document)
    except UnusableBaseline as error:
        raise RefusedBaseline(
            f"baseline {id[:12]} can't be used: {error}; make another and promote it"
        ) from error


def _pointer(value: bytes | None) -> Pointer | None:
    """Decode a pointer about to be replaced; a damaged one has nothing worth keeping."""
    try:
        return None if value is None else decode(value, Pointer)
    except DecodingError:
        return None
