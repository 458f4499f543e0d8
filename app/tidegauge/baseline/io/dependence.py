"""How far the rows of a table depend on each other: by a column of entities, or by their order."""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline import BaselineError, Dependence
from tidegauge.baseline.io.daily import Timed, bins_of, reference_of, roles_of
from tidegauge.baseline.io.table import Table, TimedRows
from tidegauge.sequential import are_in_order, clustered_effect, rows_effect

#: Rows that are looked at: enough to tell a design effect to a few percent.
MOST_ROWS = 262_144

#: Signals whose bins are held at a time.
_SIGNALS_AT_ONCE = 200

_HASHES = 2**32
_HOUR_SECONDS = 3600
_DIGITS = 4
_NAMED = 3

Progress = Callable[[str, float], None]
Places = NDArray[np.int64]


def by_entity(
    table: Table,
    entity: str,
    time: str | None,
    signals: Mapping[str, Timed],
    progress: Progress,
    warn: Callable[[str], None],
) -> Dependence:
    """Return the design effects of clusters of rows with the same value in the column ``entity``.

    With times, only rows of the same hour are of one cluster: those of a year are in no window
    together. A row without an entity is one of its own. Of large tables only some entities are
    looked at, drawn by a hash of their names. ``warn`` gets that most rows have none; raises
    ``BaselineError`` if all have.
    """
    kept = min(1.0, MOST_ROWS / max(table.rows, 1))
    effects = dict[str, float]()
    for some in _groups(signals):
        clusters, bins, alone = _clusters(table, entity, time, some, kept)
        if alone == table.rows:
            raise BaselineError(f"column {entity!r}, which --entity names, has no value in any row")
        if not effects and alone > table.rows / 2:
            warn(
                f"{alone:,} of {table.rows:,} rows have no value in {entity!r}, which --entity "
                f"names: each of them counts as independent of all others"
            )
        for name, places in bins.items():
            reference = reference_of(some[name].signal)
            width = len(reference.counts)
            size = (int(clusters.max()) + 1 if clusters.size else 0) * width
            counts = np.bincount(clusters * width + places, minlength=size).reshape(-1, width)
            if some[name].sums:  # rows without a sum are compared in no bin
                counts[:, len(some[name].signal.counts)] = 0
            effects[name] = clustered_effect(counts.astype(np.float64), reference)
            progress("Comparing entities", len(effects) / len(signals))
    return Dependence(found_by="entity", entity=entity, design_effects=_above_one(effects))


def by_rows(
    table: Table, signals: Mapping[str, Timed], progress: Progress, warn: Callable[[str], None]
) -> Dependence | None:
    """Return the design effects of rows that are near each other in the file; None if all are 1.

    A signal by which the rows are in order tells nothing of that, nor does one that changes along
    the file, as with time; it has the largest of the others. ``warn`` gets the names of the latter.
    """
    effects = dict[str, float | None]()
    for some in _groups(signals):
        for name, places in _first_rows(table, some).items():
            if some[name].sums:
                places = places[places < len(some[name].signal.counts)]
            if not are_in_order(places):
                effects[name] = rows_effect(places, reference_of(some[name].signal))
            progress("Comparing rows", len(effects) / len(signals))
    unknown = sorted(name for name, effect in effects.items() if effect is None)
    most = max((effect for effect in effects.values() if effect is not None), default=1.0)
    found = _above_one({name: effects.get(name) or most for name in signals})
    if unknown:
        warn(
            f"rows near each other are alike in {_listed(unknown)} over ever longer stretches of "
            f"the file, so their order can't tell which rows go together: where a user, session "
            f"or device has several rows, --entity names its column"
        )
    elif found:
        warn(
            f"rows next to each other are alike: a window of n events tells as much as n / "
            f"{max(found.values()):.3g} independent ones would; --entity names the column of the "
            f"user, session or device that they go by"
        )
    if not found and not unknown:
        return None
    return Dependence(found_by="rows", design_effects=found, unknown=unknown)


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, list(names)[:_NAMED]))
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED:,} more columns"


def _above_one(effects: Mapping[str, float]) -> dict[str, float]:
    """Return those above 1, with four digits: no machine's last bit names the baseline."""
    rounded = {name: float(f"{effect:.{_DIGITS}g}") for name, effect in effects.items()}
    return {name: effect for name, effect in sorted(rounded.items()) if effect > 1}


def _groups(signals: Mapping[str, Timed]) -> Iterator[dict[str, Timed]]:
    names = list(signals)
    for first in range(0, len(names), _SIGNALS_AT_ONCE):
        yield {name: signals[name] for name in names[first : first + _SIGNALS_AT_ONCE]}


def _first_rows(table: Table, signals: Mapping[str, Timed]) -> dict[str, Places]:
    """Return the bin of each of the first rows, by signal."""
    found: dict[str, list[Places]] = {name: [] for name in signals}
    rows = 0
    for batch in table.timed(None, roles_of(signals.values())):
        for name, its in signals.items():
            found[name].append(bins_of(batch, its)[: MOST_ROWS - rows])
        rows += len(batch.seconds)
        if rows >= MOST_ROWS:
            break
    return {name: np.concatenate(its) for name, its in found.items()}


def _clusters(
    table: Table, entity: str, time: str | None, signals: Mapping[str, Timed], kept: float
) -> tuple[Places, dict[str, Places], int]:
    """Return the number of each row's cluster, from 0, its bin by signal, and rows of no entity."""
    found: dict[str, list[Places]] = {name: [] for name in signals}
    clusters, numbers = list[Places](), dict[object, int]()
    for batch in table.timed(time, {**roles_of(signals.values()), entity: "categorical"}):
        number = _entities(batch, entity, numbers, kept)
        mine = number != _LEFT_OUT
        hour = np.where(np.isfinite(batch.seconds), batch.seconds // _HOUR_SECONDS, 0.0)
        clusters.append(np.stack([number, hour.astype(np.int64)])[:, mine])
        for name, its in signals.items():
            found[name].append(bins_of(batch, its)[mine])
    bins = {name: np.concatenate(its) for name, its in found.items()}
    keys = np.concatenate(clusters, axis=1)
    return _numbered(keys), bins, int(np.count_nonzero(keys[0] == _ALONE))


_ALONE, _LEFT_OUT = -1, -2


def _entities(batch: TimedRows, entity: str, numbers: dict[object, int], kept: float) -> Places:
    """Return the number of each row's entity, in ``numbers``."""
    rows = batch.columns[entity]
    assert isinstance(rows, tuple)  # noqa: S101 - it is read as categories
    places, names = rows
    known = [
        numbers.setdefault(name, len(numbers))
        if zlib.crc32(str(name).encode(errors="surrogatepass")) < kept * _HASHES
        else _LEFT_OUT
        for name in names
    ]
    return np.array([*known, _ALONE], dtype=np.int64)[places]  # -1, missing, is the last


def _numbered(keys: Places) -> Places:
    """Return the number of each row's cluster; ``keys`` (2, rows) are its entity and its hour."""
    alone = keys[0] == _ALONE
    _, number = np.unique(keys, axis=1, return_inverse=True)
    number = number.reshape(-1)
    number[alone] = number.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return np.unique(number, return_inverse=True)[1].reshape(-1)
