"""Which baseline is promoted for each model version, and which versions have none. Pure."""

import difflib
import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import msgspec

from tidegauge.contract import printable, utc_text

#: What Redis calls the model and version that a baseline is promoted for.
Key = tuple[str, str]


#: Ids are hashes; the limit is for other texts in their place, which appear in messages.
_StoredId = Annotated[str, msgspec.Meta(max_length=200)]


class Pointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which baseline is promoted, since when (epoch seconds), and which one was before.

    ``first_promoted_at`` is when the version had one for the first time; null if that is when this
    one was promoted.
    """

    id: _StoredId
    promoted_at: float
    previous: _StoredId | None
    first_promoted_at: float | None = None

    @property
    def began_at(self) -> float:
        """When the version had a promoted baseline for the first time, epoch seconds."""
        return self.promoted_at if self.first_promoted_at is None else self.first_promoted_at


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All pointers at one moment; ``problems`` names those that can't be read."""

    generation: int
    promoted: Mapping[Key, Pointer]
    problems: list[str]


def earlier_version(
    pointers: Mapping[Key, Pointer], model: str, version: str, *, without: Collection[str] = ()
) -> str | None:
    """Return the version of ``model`` to go back to from ``version``; None if none is known.

    Of the others, that which had its first baseline promoted last before ``version`` had; last of
    all, if ``version`` never had one. Those in ``without`` are passed over.

    >>> made = {("m", v): Pointer(id=v, promoted_at=at, previous=None)
    ...         for v, at in (("1", 10.0), ("2", 20.0), ("3", 30.0))}
    >>> earlier_version(made, "m", "3"), earlier_version(made, "m", "1")
    ('2', None)
    >>> earlier_version(made, "m", "4")
    '3'
    """
    own = pointers.get((model, version))
    before = math.inf if own is None else own.began_at
    found = [
        (pointer.began_at, name)
        for (of, name), pointer in pointers.items()
        if of == model and name != version and name not in without and pointer.began_at < before
    ]
    return max(found)[1] if found else None


def newer_version(
    pointers: Mapping[Key, Pointer], model: str, version: str, since: float
) -> str | None:
    """Return the version of ``model`` that has come after ``version``; None if none has.

    Of the others, that which had its first baseline promoted last, if that was after ``since``,
    epoch seconds: then what was asked for ``version`` at that time is not to be done any more.

    >>> made = {("m", v): Pointer(id=v, promoted_at=at, previous=None)
    ...         for v, at in (("3", 30.0), ("4", 40.0))}
    >>> newer_version(made, "m", "3", 35.0), newer_version(made, "m", "3", 45.0)
    ('4', None)
    """
    found = [
        (pointer.began_at, name)
        for (of, name), pointer in pointers.items()
        if of == model and name != version and pointer.began_at > since
    ]
    return max(found)[1] if found else None


#: How alike two names of models must be for one to be a misspelling of the other.
_ALIKE = 0.75

#: A misspelt name begins or ends as the right one does, by so many letters.
_SAME_LETTERS = 3

#: Names that are compared letter by letter, which takes some 50 µs each.
_COMPARED = 50


def nearest_baseline(pointers: Mapping[Key, Pointer], model: str, version: str) -> Key | None:
    """Return whose baseline is nearest to a version that has none; None if none is near.

    That is the version of the model that was promoted last; if the model has none at all, that of a
    model whose name is nearly the same, since names get misspelt.

    >>> made = {("credit", v): Pointer(id=v, promoted_at=at, previous=None)
    ...         for v, at in (("2", 10.0), ("3", 20.0))}
    >>> nearest_baseline(made, "credit", "4"), nearest_baseline(made, "Credit", "3")
    (('credit', '3'), ('credit', '3'))
    >>> nearest_baseline(made, "fraud", "1") is None
    True
    """
    own = _latest(pointers, model)
    if own is not None:
        return own
    folded = model.casefold()
    begin, end = folded[:_SAME_LETTERS], folded[-_SAME_LETTERS:]
    likely = {
        name: other
        for other in {of for of, _ in pointers}
        if (name := other.casefold()).startswith(begin) or name.endswith(end)
    }
    names = [folded] if folded in likely else sorted(likely)[:_COMPARED]
    alike = difflib.get_close_matches(folded, names, n=1, cutoff=_ALIKE)
    return _latest(pointers, likely[alike[0]]) if alike else None


def _latest(pointers: Mapping[Key, Pointer], model: str) -> Key | None:
    found = [(pointer.promoted_at, key) for key, pointer in pointers.items() if key[0] == model]
    return max(found)[1] if found else None


def without_baseline(
    missing: Sequence[Key], pointers: Mapping[Key, Pointer], *, named: int = 3
) -> str:
    """Say in one line which versions have no baseline; "" if all have one.

    ``missing`` may be very many invented names: only the first ``named`` are listed.

    >>> made = {("credit", "3"): Pointer(id="a", promoted_at=1_793_577_600.0, previous=None)}
    >>> print(without_baseline([("credit", "4")], made))
    credit 4 has no baseline (nearest: credit 3, promoted 2026-11-02), so no drift of it is seen; \
make one: tidegauge baseline create --model credit --version 4 --from FILE --promote
    """
    if not missing:
        return ""
    shown = [f"{name_of(key)} ({_nearest_text(pointers, key)})" for key in missing[:named]]
    model, version = (shlex.quote(printable(text)) for text in missing[0])
    command = f"tidegauge baseline create --model {model} --version {version} --from FILE --promote"
    if len(missing) == 1:
        what = f"{name_of(missing[0])} has no baseline ({_nearest_text(pointers, missing[0])})"
        return f"{what}, so no drift of it is seen; make one: {command}"
    more = len(missing) - len(shown)
    names = "; ".join(shown) + (f"; and {more} more" if more else "")
    return (
        f"{len(missing)} versions have no baseline, so no drift of them is seen: {names}. "
        f"Make one: {command}"
    )


def name_of(key: Key) -> str:
    """Return a model and its version as they are shown."""
    return printable(f"{key[0]} {key[1]}")


def _nearest_text(pointers: Mapping[Key, Pointer], key: Key) -> str:
    nearest = nearest_baseline(pointers, *key)
    if nearest is None:
        return "no other version of it has one"
    promoted = utc_text(pointers[nearest].promoted_at, "%Y-%m-%d")
    return f"nearest: {name_of(nearest)}, promoted {promoted}"
