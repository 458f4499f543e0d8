"""Which models, versions and variants are counted when more are named than there is room for. Pure.

What has a baseline is always counted. For the rest there is a bounded number of slots. Least
recently used first alone would not do: a producer that puts a request id into ``model`` sends
thousands of fresh names a second, and would push every sound model out between two of its events.
So a name has to come back before it can take the slot of another:

- While there are free slots, every name gets one.
- A name that was seen in two generations (of half a minute) is *proven*. It keeps its slot until
  nothing has come of it for an hour.
- A name that is refused is noted. If it comes again in the next generation, it takes the slot of a
  name that was seen in one earlier generation only. So a flood of names that never come back holds
  the slots for half a minute at most against names that do.
- A name that does not come back gets a slot that nothing has come of for an hour. DETECT has
  forgotten who had it by then, so what it holds stays bounded however long a flood lasts.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from tidegauge.config import IngestSettings

#: A name that comes at least this often is known again. Shorter would let a burst of one name
#: pass for a recurring one; longer would keep sound models out for longer after a restart.
GENERATION_SECONDS = 30.0

#: Generations of silence after which a slot is anybody's: an hour, after which DETECT forgets a
#: slice that had one window (``detect.forgetting.SHORTEST_SECONDS``), and a minute.
IDLE_GENERATIONS = 122

#: Bits of the filter of refused names; with the most notes and four bits each, two names in a
#: thousand are taken for ones that were seen before. 2 MiB.
_BITS = 1 << 24
_MOST_NOTES = 1_000_000
_PROBES = 4

#: What there was no slot for: the model, its version, its variant, or the slice of traffic that
#: they make, of which there is a bound for all together.
Level = Literal["model", "version", "variant", "slice"]

Name = TypeVar("Name", bound=Hashable)

ModelVersion = tuple[str, str]
_NO_VERSIONS: frozenset[str] = frozenset()
Leaf = tuple[str, str, str]


class Slots(Generic[Name]):
    """At most ``limit`` names. Times are numbers of generations, which never go back."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: Names that were seen in one generation only, and in which; the oldest first.
        self._unproven: OrderedDict[Name, int] = OrderedDict()
        #: Other names, and when they were seen last; the least recent first.
        self._proven: OrderedDict[Name, int] = OrderedDict()

    def __contains__(self, name: Name) -> bool:
        return name in self._proven or name in self._unproven

    def __len__(self) -> int:
        return len(self._proven) + len(self._unproven)

    def __iter__(self) -> Iterator[Name]:
        yield from self._proven
        yield from self._unproven

    def see(self, name: Name, now: int) -> bool:
        """Return whether the name has a slot, and note that it was seen."""
        seen = self._proven.get(name)
        if seen is None:
            first = self._unproven.get(name)
            if first is None:
                return False
            if first < now:
                del self._unproven[name]
                self._proven[name] = now
        elif seen < now:
            self._proven[name] = now
            self._proven.move_to_end(name)
        return True

    def room(self, now: int, *, recurring: bool) -> tuple[bool, Name | None]:
        """Return whether there is a slot for a new name, and the name that must go for it."""
        if len(self) < self._limit:
            return True, None
        patience = 1 if recurring else IDLE_GENERATIONS
        for names, silence in (self._unproven, patience), (self._proven, IDLE_GENERATIONS):
            oldest = next(iter(names), None)
            if oldest is not None and names[oldest] + silence <= now:
                return True, oldest
        return False, None

    def take(self, name: Name, now: int, *, recurring: bool) -> None:
        """Give a name a slot; there must be room."""
        (self._proven if recurring else self._unproven)[name] = now

    def drop(self, name: Name) -> None:
        """Free the slot of a name, if it has one."""
        self._proven.pop(name, None)
        self._unproven.pop(name, None)


class RefusedNames:
    """Names that were refused in this generation and in the one before: a Bloom filter of each.

    No list of names: a flood of five thousand fresh ones a second is 150,000 a generation.
    """

    def __init__(self) -> None:
        self._generation = 0
        self._notes = 0
        self._now = self._before = bytearray()

    def note(self, name: Hashable, now: int) -> None:
        """Note that a name was refused."""
        self._turn(now)
        if self._notes >= _MOST_NOTES:  # or every name would pass for one that was seen before
            return
        self._now = self._now or bytearray(_BITS // 8)
        self._notes += 1
        for place in _places(name):
            self._now[place >> 3] |= 1 << (place & 7)

    def before(self, name: Hashable, now: int) -> bool:
        """Return whether a name was refused in the generation before this one."""
        self._turn(now)
        if not self._before:
            return False
        return all(self._before[place >> 3] >> (place & 7) & 1 for place in _places(name))

    def _turn(self, now: int) -> None:
        if now > self._generation:
            self._before = self._now if now == self._generation + 1 else bytearray()
            self._now, self._notes, self._generation = bytearray(), 0, now


def _places(name: Hashable) -> Iterator[int]:
    # Python's hash of a string is keyed by a secret of the process, so nobody can aim at it.
    number = hash(name)
    step = (number >> 32) | 1
    return ((number + i * step) & (_BITS - 1) for i in range(_PROBES))


class Overflow:
    """Events by what there was no slot for, and by model where that has a slot, else by ""."""

    def __init__(self) -> None:
        self.events: Counter[tuple[Level, str]] = Counter()
        #: The last model, version and variant of each.
        self.examples: dict[tuple[Level, str], tuple[str, str, str]] = {}

    def add(self, level: Level, model: str, events: int, name: tuple[str, str, str]) -> None:
        """Count events of a name."""
        self.events[level, model] += events
        self.examples[level, model] = name

    def clear(self) -> None:
        """Begin again with nothing."""
        self.events.clear()
        self.examples.clear()


class _WantedSlot(NamedTuple):
    """A slot that an event needs and has not."""

    level: Level
    slots: Slots[Any]
    name: Any
    #: By which it is known again.
    noted: Hashable


class Admission:
    """Decides which events are counted; kept over the sessions of a worker.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(self, settings: IngestSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._with_baseline: Mapping[str, set[str]] = {}
        self._models: Slots[str] = Slots(settings.max_models)
        self._versions: dict[str, Slots[str]] = {}
        self._variants: dict[ModelVersion, Slots[str]] = {}
        self._slices: Slots[Leaf] = Slots(settings.max_slices)
        self._refused = RefusedNames()
        self._gone: list[ModelVersion] = []

    def use(self, promoted: Mapping[ModelVersion, object]) -> None:
        """Count these model versions, which have a baseline, whatever else is named."""
        based: dict[str, set[str]] = {}
        for model, version in promoted:
            based.setdefault(model, set()).add(version)
        self._with_baseline = based
        for model, versions in based.items():
            self._models.drop(model)
            for version in versions:
                if model in self._versions:
                    self._versions[model].drop(version)
                self._free_slices(model, version)

    def knows(self, model: str) -> bool:
        """Return whether a model has a baseline or a slot."""
        return model in self._with_baseline or model in self._models

    def refuse(self, model: str, version: str, variant: str) -> Level | None:
        """Return None if an event of this slice is counted, else what there was no slot for."""
        based = self._with_baseline.get(model, _NO_VERSIONS)
        if version in based and not variant:
            return None
        now = int(self._clock() // GENERATION_SECONDS)
        missing = list(self._missing(model, version, variant, bool(based), version in based, now))
        if not missing:
            return None
        going: list[tuple[_WantedSlot, bool, Any]] = []
        for place in missing:
            recurring = self._refused.before(place.noted, now)
            room, oldest = place.slots.room(now, recurring=recurring)
            if not room:
                self._refused.note(place.noted, now)
                return place.level
            going.append((place, recurring, oldest))
        # Taken before others go, so that nothing that this event needs is taken for empty.
        for place, recurring, _ in going:
            if place.level == "version":
                self._versions[model] = place.slots
            elif place.level == "variant":
                self._variants[model, version] = place.slots
            place.slots.take(place.name, now, recurring=recurring)
        for place, _, oldest in going:
            if oldest is not None:
                self._evict(place.level, oldest, model, version)
        return None

    def take_gone(self) -> list[ModelVersion]:
        """Return the model versions that lost their slots since the last time."""
        gone, self._gone = self._gone, []
        return gone

    def _missing(
        self, model: str, version: str, variant: str, known: bool, based: bool, now: int
    ) -> Iterator[_WantedSlot]:
        """Yield the slots that an event needs and that its names don't have, the largest first."""
        if not known and not self._models.see(model, now):
            yield _WantedSlot("model", self._models, model, ("model", model))
        if not based:
            versions = self._versions.get(model)
            if versions is None:
                versions = Slots(self._settings.max_versions)
            if not versions.see(version, now):
                yield _WantedSlot("version", versions, version, ("version", model, version))
        leaf = (model, version, variant)
        if variant:
            variants = self._variants.get((model, version))
            if variants is None:
                variants = Slots(self._settings.max_variants)
            if not variants.see(variant, now):
                yield _WantedSlot("variant", variants, variant, ("variant", *leaf))
        if not based and not self._slices.see(leaf, now):
            yield _WantedSlot("slice", self._slices, leaf, ("slice", *leaf))

    # -- taking slots back -----------------------------------------------------------------------

    def _evict(self, level: Level, name: Any, model: str, version: str) -> None:
        if level == "model":
            self._evict_model(name)
        elif level == "version":
            self._evict_version(model, name)
        elif level == "variant":
            self._variants[model, version].drop(name)
            self._slices.drop((model, version, name))
        else:
            self._evict_slice(name)

    def _evict_model(self, model: str) -> None:
        self._models.drop(model)
        for version in list(self._versions.pop(model, ())):
            self._forget_version(model, version)

    def _evict_version(self, model: str, version: str) -> None:
        if model in self._versions:
            self._versions[model].drop(version)
        self._forget_version(model, version)

    def _evict_slice(self, leaf: Leaf) -> None:
        if leaf not in self._slices:  # it went with its model
            return
        self._slices.drop(leaf)
        model, version, variant = leaf
        variants = self._variants.get((model, version))
        if variants is not None:
            variants.drop(variant)
        if not variants and (model, version, "") not in self._slices:
            self._evict_version(model, version)

    def _forget_version(self, model: str, version: str) -> None:
        self._free_slices(model, version)
        self._variants.pop((model, version), None)
        self._gone.append((model, version))

    def _free_slices(self, model: str, version: str) -> None:
        for variant in ("", *self._variants.get((model, version), ())):
            self._slices.drop((model, version, variant))
