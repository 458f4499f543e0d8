"""The promoted baselines that a worker holds: available also during an outage of Redis."""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from tidegauge.baseline import Baseline
from tidegauge.baseline.io.pointers import Key, Pointer
from tidegauge.baseline.io.store import (
    BaselineNotFound,
    BaselineStore,
    Changes,
    PromotionRefused,
    RefusedBaseline,
    StoreError,
    StoreUnavailable,
)
from tidegauge.contract import shortened

log = logging.getLogger(__name__)

#: A promotion is picked up within 5 s even if its announcement is lost, so a poll must come well
#: before that, whatever was configured.
LONGEST_REFRESH_SECONDS = 2.5

#: How often all pointers are read and their documents checked, even if no change was announced.
READ_SECONDS = 10.0

#: So much of the documents is read again with that, at least one of them: that of another size is
#: seen at once, and any other within as many readings as it takes to read them all.
READ_BYTES = 4 * 1024 * 1024

#: The longest time until the thread notices that it is to stop.
_SLICE_SECONDS = 0.1

Promoted = Mapping[Key, tuple[str, Baseline]]

T = TypeVar("T")


class _Latest(OrderedDict[str, T]):
    """The ids that were put in or used last, ``most`` of them."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, id: str, value: T) -> None:
        """Put in or replace the value of an id, and drop the oldest if there are too many."""
        self[id] = value
        self.move_to_end(id)
        while len(self) > self._most:
            self.popitem(last=False)


class BaselineCache:
    """Follows the promoted baselines in a thread of its own; nothing here raises into a caller.

    A baseline once promoted is never dropped: there is no way to withdraw one, so if Redis comes
    back without it, Redis has lost it. The cache keeps what it has and reports that in ``error``.
    Likewise a document that is damaged or can't be used leaves the previous one in force, also in a
    process that starts after it was promoted; without one the model is counted as if it had none.
    """

    def __init__(
        self,
        store: BaselineStore,
        refresh_seconds: float,
        *,
        documents_kept: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._refresh_seconds = min(refresh_seconds, LONGEST_REFRESH_SECONDS)
        self._clock = clock
        self._stop = threading.Event()
        self._loaded = threading.Event()
        self._thread: threading.Thread | None = None
        self._promoted: Promoted = MappingProxyType({})
        self._pointers: Mapping[Key, Pointer] = MappingProxyType({})
        self._problems: list[str] = []
        self._stored = 0
        self._failure: str | None = None
        self._up = False
        self._refreshed_at: float | None = None
        self._generation: int | None = None
        #: When all was read last.
        self._read_at: float | None = None
        #: By id, the size of a document that is held, and the one that was compared last.
        self._sizes: dict[str, int] = {}
        self._read_last = ""
        self._overwritten: set[str] = set()
        self._lock = threading.Lock()
        #: Immutable documents, the latest used last; beside those that are promoted.
        self._documents = _Latest[Baseline](documents_kept)
        #: Ids that could not be had: when to ask again, and what was wrong if not just absent.
        self._misses = _Latest[tuple[float, str | None]](documents_kept)
        #: Ids of documents that can never be used, with the reason: they are not read again.
        self._refused = _Latest[str](documents_kept)

    def start(self) -> None:
        """Start to follow; has no effect if it has started."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(
                target=self._follow, name="tidegauge-baselines", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop to follow, and wait for the thread. What is held stays readable."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait_loaded(self, timeout_seconds: float) -> bool:
        """Wait until Redis has been read once; False if that did not come in time."""
        return self._loaded.wait(timeout_seconds)

    @property
    def promoted(self) -> Promoted:
        """The promoted baseline of each model and version: one consistent, immutable snapshot.

        It is replaced as a whole; take it once and read from what was taken.
        """
        return self._promoted

    @property
    def pointers(self) -> Mapping[Key, Pointer]:
        """What is known of the promotion of each model and version; replaced as a whole."""
        return self._pointers

    @property
    def stored(self) -> int:
        """How many versions have a promoted baseline by what Redis had when it was last read.

        Not more than are held, and less if Redis has lost some.
        """
        return self._stored

    @property
    def up(self) -> bool:
        """Whether Redis answered when it was last asked."""
        return self._up

    @property
    def age_seconds(self) -> float:
        """Seconds since Redis was last read successfully; infinite if it never was."""
        at = self._refreshed_at
        return math.inf if at is None else max(0.0, self._clock() - at)

    @property
    def problems(self) -> list[str]:
        """What is wrong with promoted baselines, one message each; replaced as a whole."""
        return self._problems

    @property
    def error(self) -> str | None:
        """What is wrong at present, all in one line; None if nothing is."""
        with self._lock:
            damaged = [message for _, message in self._misses.values() if message]
        found = ([self._failure] if self._failure else []) + self._problems + damaged
        return "; ".join(dict.fromkeys(found)) or None

    def get(self, id: str) -> Baseline | None:
        """Return a baseline by id, from Redis if need be; None if it can't be had at present.

        While Redis is down, and for one refresh period after it didn't have an id, it isn't asked
        again: a caller may ask for every record.
        """
        for held_id, baseline in self._promoted.values():
            if held_id == id:
                return baseline
        with self._lock:
            if id in self._documents:
                self._documents.move_to_end(id)
                return self._documents[id]
            if id in self._refused or not self._up:
                return None
            if self._misses.get(id, (-math.inf, None))[0] > self._clock():
                return None
        try:
            baseline = self._store.get(id)
        except StoreUnavailable as error:
            self._went_down(str(error))
            return None
        except RefusedBaseline as error:
            self._refuse(id, str(error))
            return None
        except StoreError as error:
            message = None if isinstance(error, BaselineNotFound) else str(error)
            with self._lock:
                self._misses.put(id, (self._clock() + self._refresh_seconds, message))
            return None
        self._keep(id, baseline)
        return baseline

    def refused(self, id: str) -> str | None:
        """Return why a baseline that was asked for can never be used; None if that is not known."""
        with self._lock:
            return self._refused.get(id)

    def _refuse(self, id: str, message: str) -> None:
        with self._lock:
            self._misses.pop(id, None)
            self._refused.put(id, message)

    def _keep(self, id: str, baseline: Baseline) -> None:
        with self._lock:
            self._misses.pop(id, None)
            self._documents.put(id, baseline)

    def _follow(self) -> None:
        changes: Changes | None = None
        announced = True
        while not self._stop.is_set():
            try:
                if changes is None:
                    # Subscribed before reading, so that no promotion falls in between.
                    changes = self._store.follow()
                    announced = True
                self._refresh(everything=announced)
                announced = self._wait(changes)
            except Exception as error:
                # The thread must survive any error: without it no later promotion is seen.
                if not isinstance(error, StoreUnavailable):
                    log.exception("could not refresh the baselines; retrying")
                self._went_down(str(error) or type(error).__name__)
                if changes is not None:
                    changes.close()
                    changes = None
                self._stop.wait(self._refresh_seconds)
        if changes is not None:
            changes.close()

    def _wait(self, changes: Changes) -> bool:
        """Wait one period, or until a promotion is announced: then return True."""
        deadline = time.monotonic() + self._refresh_seconds
        while not self._stop.is_set() and time.monotonic() < deadline:
            if changes.wait(_SLICE_SECONDS):
                return True
        return False

    def _refresh(self, *, everything: bool) -> None:
        # A problem may be mended without a promotion, so as long as there is one all is read. And
        # what is lost, evicted or overwritten changes no generation.
        now = self._clock()
        due = self._read_at is None or now - self._read_at >= READ_SECONDS
        if everything or due or self._problems or self._store.generation() != self._generation:
            self._load()
            self._read_at = now
        self._refreshed_at = self._clock()
        if not self._up and self._failure:
            log.info("Redis at %s is back", self._store.address)
        self._up = True
        self._failure = None
        self._loaded.set()

    def _load(self) -> None:
        snapshot = self._store.snapshot()
        held = self._promoted
        problems = list(snapshot.problems)
        promoted: dict[Key, tuple[str, Baseline]] = {}
        for key, pointer in snapshot.promoted.items():
            try:
                promoted[key] = (pointer.id, self._document(key, pointer.id))
            except StoreUnavailable:
                raise
            except StoreError as error:
                former = held.get(key) or self._former(key, pointer)
                if former is not None:
                    promoted[key] = former
                problems.append(
                    f"model {key[0]!r} version {key[1]!r}: {error}; "
                    + (f"{former[0][:12]} stays in force" if former else "it is counted without")
                )
        for key, (id, baseline) in held.items():
            if key not in promoted:
                promoted[key] = (id, baseline)
                if key not in snapshot.promoted:
                    problems.append(
                        f"Redis no longer says what is promoted for model {key[0]!r} version "
                        f"{key[1]!r}: going on with baseline {id[:12]}; promote one again"
                    )
        problems += self._stored_otherwise(promoted)
        problems = [shortened(message) for message in problems]
        for message in problems:
            if message not in self._problems:
                log.error("%s", message)
        for key, (id, baseline) in held.items():
            if promoted[key][0] != id:
                self._keep(id, baseline)  # windows still open may be binned by the one replaced
        if promoted != dict(held):
            self._promoted = MappingProxyType(promoted)
        self._pointers = MappingProxyType({**self._pointers, **snapshot.promoted})
        self._problems = problems
        self._stored = len(snapshot.promoted)
        self._generation = snapshot.generation

    def _stored_otherwise(self, promoted: Promoted) -> list[str]:
        """Report the held documents that are missing in Redis, or differ there."""
        held = {id: (key, baseline) for key, (id, baseline) in promoted.items()}
        self._sizes = {
            id: self._sizes.get(id) or len(baseline.to_json()) for id, (_, baseline) in held.items()
        }
        # A document that differed is read every time until it is corrected.
        whole = self._next_to_read(self._sizes) | (self._overwritten & self._sizes.keys())
        damaged = self._store.damaged(self._sizes, whole)
        self._overwritten = {id for id, damage in damaged.items() if damage == "overwritten"}
        states = {"missing": "no longer has", "overwritten": "has something else as"}
        return [
            f"Redis {states[damage]} baseline {id[:12]} of model {held[id][0][0]!r} version "
            f"{held[id][0][1]!r}: going on with what was read of it; create it again of its file"
            for id, damage in damaged.items()
        ]

    def _next_to_read(self, sizes: Mapping[str, int]) -> set[str]:
        """Return the documents to read again now; each has its turn."""
        # Those after the last one first.
        ids = sorted(sizes, key=lambda id: (id <= self._read_last, id))
        chosen: set[str] = set()
        read_bytes = 0
        for id in ids:
            read_bytes += sizes[id]
            if chosen and read_bytes > READ_BYTES:
                break
            chosen.add(id)
            self._read_last = id
        return chosen

    def _former(self, key: Key, pointer: Pointer) -> tuple[str, Baseline] | None:
        """Return the baseline that was promoted before, so that all workers go on with the same."""
        if pointer.previous is None:
            return None
        try:
            return pointer.previous, self._document(key, pointer.previous)
        except StoreUnavailable:
            raise
        except StoreError:
            return None

    def _document(self, key: Key, id: str) -> Baseline:
        held_id, baseline = self._promoted.get(key, ("", None))
        if held_id == id and baseline is not None:
            return baseline
        with self._lock:
            kept = self._documents.get(id)
            reason = self._refused.get(id)
        if reason is not None:
            raise RefusedBaseline(reason)
        try:
            found = kept or self._store.get(id)
        except RefusedBaseline as error:
            self._refuse(id, str(error))
            raise
        if (found.model, found.version) != key:
            raise PromotionRefused(
                f"baseline {id[:12]} is promoted, but was made for model {found.model!r} "
                f"version {found.version!r}"
            )
        return found

    def _went_down(self, message: str) -> None:
        if message != self._failure:
            log.warning("Redis failed, the held baselines stay active: %s", message)
        self._failure = message
        self._up = False
