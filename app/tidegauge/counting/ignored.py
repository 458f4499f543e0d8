"""Features of events that are counted nowhere: names that the baseline doesn't know, or reserved.

The decoders skip them, which is what makes them fast. So one event of a batch is looked at by
itself now and then: that shows which names there are, and costs nothing.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from typing import Any, Literal, get_args

import msgspec

from tidegauge.contract import ARROW_MAGIC, OUTPUT_SIGNALS, DecodingError, decode, printable
from tidegauge.counting.plan import Plan

log = logging.getLogger(__name__)

#: ``unknown_feature``: the baseline has no such signal; ``reserved_name``: it is an output's.
Ignored = Literal["unknown_feature", "reserved_name"]
REASONS: tuple[Ignored, ...] = get_args(Ignored)

#: Of so many batches, in one an event is looked at.
_EVERY = 8

#: Names that are remembered of a version; whoever makes them up has no end of them.
MOST_NAMES = 50

#: Names that the log has.
_LOGGED = 5

#: Of a name, so many characters of its beginning: it may be as long as an event.
_CHARACTERS = 200

_WHY: Mapping[Ignored, str] = {
    "unknown_feature": "its baseline doesn't know",
    "reserved_name": "have the name of an output, and belong beside the features",
}


class _Event(msgspec.Struct):
    model: str
    version: str
    features: dict[str, msgspec.Raw] = {}


Names = dict[Ignored, set[str]]


class IgnoredFeatures:
    """Remembers by version, of those with a baseline, which features are counted nowhere.

    ``plan_of`` returns the plan of a model and version, if there is one.
    """

    def __init__(self, plan_of: Callable[[tuple[str, str]], Plan | None]) -> None:
        self._plan_of = plan_of
        self._names: dict[tuple[str, str], Names] = {}
        self._turns = 0

    def look(self, values: Sequence[bytes | None]) -> None:
        """Look at one event of the records of a poll, if it is their turn."""
        self._turns += 1
        if not values or (self._turns - 1) % _EVERY:
            return
        # Each time another place: the events may come from several producers in turn.
        value = values[self._turns // _EVERY % len(values)]
        if not value or value.startswith(ARROW_MAGIC):
            return
        try:
            event = decode(value, _Event)
        except DecodingError:
            return  # of another shape; most are not
        self._saw(event.model, event.version, event.features.keys())

    def look_at_columns(self, model: str, version: str, names: Collection[str]) -> None:
        """Look at the features of a column batch; of those that begin alike, once is enough."""
        self._saw(model, version, set(names))

    def _saw(self, model: str, version: str, names: Set[str]) -> None:
        plan = self._plan_of((model, version))
        if plan is None or not plan.baseline or names <= plan.by_name.keys() - _RESERVED:
            return
        found: Names = {
            "unknown_feature": set(names - plan.by_name.keys() - _RESERVED),
            "reserved_name": set(names & _RESERVED),
        }
        known = self._names.setdefault((model, version), {reason: set() for reason in REASONS})
        for reason, its in found.items():
            news = {name[:_CHARACTERS] for name in its} - known[reason]
            room = MOST_NAMES - len(known[reason])
            if news and room > 0:
                known[reason] |= set(sorted(news)[:room])
                log.warning("%s", _said(model, version, reason, sorted(news)))

    def keep(self, versions: Iterable[tuple[str, str]]) -> None:
        """Forget all other versions: their baselines have changed."""
        kept = set(versions)
        self._names = {key: names for key, names in self._names.items() if key in kept}

    def series(self) -> dict[tuple[str, ...], float]:
        """Return the number of names by model, version and reason."""
        return {
            (model, version, reason): float(len(names))
            for (model, version), its in self._names.items()
            for reason, names in its.items()
        }


_RESERVED: frozenset[Any] = frozenset(OUTPUT_SIGNALS)


def _said(model: str, version: str, reason: Ignored, names: list[str]) -> str:
    more = len(names) - _LOGGED
    listed = ", ".join(names[:_LOGGED]) + (f" and {more} more" if more > 0 else "")
    return printable(
        f"events of {model} {version} have features that {_WHY[reason]}, so they are counted "
        f"nowhere: {listed}"
    )
