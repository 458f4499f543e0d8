"""What is fuzzed: INGEST from records to counts, and what every other role reads."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from fuzz import seeds
from support.awaited import YES_NO, awaiting, entries_in, predicted_in, records_of
from support.counting import (
    NOW,
    FakeMessage,
    a_baseline,
    a_counter,
    a_tenure,
    as_json,
    event,
    promote,
)
from tidegauge.audit.chain import ChainIndex, Origin
from tidegauge.baseline.validation import UnusableBaseline, read_baseline
from tidegauge.contract import encode
from tidegauge.contract.alert import Acknowledgement, Action, Alert
from tidegauge.contract.audit import Configuration
from tidegauge.contract.cloudevents import unwrap
from tidegauge.contract.label import LabelError, read_label
from tidegauge.contract.prediction import ARROW_MAGIC
from tidegauge.contract.record import DecodingError, decode
from tidegauge.contract.report import WindowReport
from tidegauge.contract.silence import Silence, Withheld, checked
from tidegauge.counting.counter import Counter
from tidegauge.counting.decode import native
from tidegauge.roles.ledger.acknowledged import facts_in
from tidegauge.windows.records import check_signals, read_record


class UnaccountedError(Exception):
    """A record that was neither counted nor refused, or not in the same way by both decoders."""


class Target(NamedTuple):
    """What to call with any bytes, what to begin with, and its share of the time."""

    call: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    share: float


_GOOD = as_json(event(features={"amount": 1.0}))
_CLOUD_EVENT = [("content-type", b"application/cloudevents+json")]
_PROMOTED = promote(a_baseline())


class Counted(NamedTuple):
    """What came of a record: cells, letters, events of names that there was no slot for."""

    cells: dict[str, Any]
    letters: list[tuple[Any, ...]]
    overflow: int
    routed: tuple[Any, ...]


class _Way:
    """A counter with or without the extension, used for one record after another."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._counter: Counter | None = None

    def count(self, value: bytes) -> Counted:
        """Count a record between two good ones."""
        before, native.MODULE = native.MODULE, self._module
        try:
            return self._count(value)
        finally:
            native.MODULE = before

    def _count(self, value: bytes) -> Counted:
        tenure = a_tenure()
        if self._counter is None:
            # Few names, so that memory is all there is of it before it is looked at.
            self._counter = a_counter(
                segments=["region"], max_models=20, max_versions=5, max_variants=5, max_slices=100
            )
            with awaiting(YES_NO):
                self._counter.use(_PROMOTED, tenure)
        counter = self._counter
        good = FakeMessage(_GOOD, 0, 0), FakeMessage(_GOOD, 0, 2)
        record = FakeMessage(value, 0, 1)
        counter.count([good[0], record, good[1]], tenure)
        counter.settle(tenure)
        cells = {}
        for _, made in tenure.records(
            now=NOW, monotonic=NOW, idle_seconds=10, source="p", sources=1, destinations=1
        ):
            for cell in json.loads(made)["cells"]:
                name = [cell[it] for it in ("model", "version", "window_start")]
                name += [cell.get("variant", ""), cell.get("segment", {})]
                cells[json.dumps(name)] = cell
        letters = [(it.offset, it.row, it.rows, it.reason) for it in counter.dead_letters]
        for letter in counter.dead_letters:
            encode(letter)
        counter.dead_letters.clear()
        overflow = sum(counter.overflow.events.values())
        counter.overflow.clear()
        records = records_of(tenure)
        predictions = counter.predictions
        # Without those that were counted 0 times.
        totals = dict(+predictions.routed), dict(+predictions.faults)
        routed = entries_in(records), predicted_in(records), totals
        predictions.routed.clear()
        predictions.faults.clear()
        return Counted(cells, letters, overflow, routed)


_native, _python = _Way(native.MODULE), _Way(None)


def ingest(value: bytes) -> None:
    """Count a record by both decoders; each must account for it once, and both alike."""
    found, again = _native.count(value), _python.count(value)
    if found[1:] != again[1:]:
        raise UnaccountedError(f"{found[1:]} by the extension, {again[1:]} by Python")
    if _rounded(found.cells) != _rounded(again.cells):
        raise UnaccountedError("the extension and Python count differently")
    events = sum(cell["events"] for cell in found.cells.values() if not cell.get("segment"))
    _check_accounts(value, events - 2 + found.overflow, found.letters)


def _check_accounts(value: bytes, events: int, letters: list[tuple[Any, ...]]) -> None:
    whole = [letter for letter in letters if letter[1] is letter[2] is None]
    if any(offset != 1 for offset, *_ in letters):
        raise UnaccountedError("a good record was refused")
    if whole:
        if (events, len(letters)) != (0, 1):
            raise UnaccountedError(f"refused as a whole, with {events} events, {letters}")
        return
    expected = 1
    if value.startswith(ARROW_MAGIC):
        expected = pa.ipc.open_stream(value).read_all().num_rows
    elif letters or events != 1:
        return _check_enveloped(value, events, letters)
    found = events + sum(rows or 1 for _, _, rows, _ in letters)
    if found != expected:
        raise UnaccountedError(f"{found} of {expected} rows")
    return None


def _check_enveloped(value: bytes, events: int, letters: list[tuple[Any, ...]]) -> None:
    with suppress(DecodingError):
        data = unwrap(value)
        if data.startswith(ARROW_MAGIC):
            return _check_accounts(data, events, letters)
    raise UnaccountedError(f"{events} events and {len(letters)} letters of one record")


def _rounded(value: Any) -> Any:
    """Return the value without what depends on the order of additions."""
    if isinstance(value, dict):
        left_out = ("sum", "sumsq")
        return {name: _rounded(it) for name, it in value.items() if name not in left_out}
    if isinstance(value, list):
        return [_rounded(it) for it in value]
    return value


_KINDS: tuple[type, ...] = (Action, Alert, WindowReport, Withheld)
_book = ChainIndex(ids=1_000)


def roles(value: bytes) -> None:
    """Read a record as every other role does from its topics, from Redis and from HTTP."""
    for headers in (None, _CLOUD_EVENT):
        for kind in _KINDS:
            with suppress(DecodingError):
                encode(decode(unwrap(value, headers), kind))
    for kind in (Acknowledgement, Configuration):
        with suppress(DecodingError):
            facts_in(value, kind)
    with suppress(DecodingError):
        checked(decode(value, Silence))
    with suppress(UnusableBaseline):
        read_baseline(value)
    with suppress(LabelError):
        read_label(value)
    _histograms(value)
    _trail(value)


def _histograms(value: bytes) -> None:
    with suppress(DecodingError):
        record = read_record(
            value, source="predictions", outcomes="tidegauge.outcomes", max_ahead_seconds=300
        )
        check_signals(record)


def _trail(value: bytes) -> None:
    global _book
    origin = Origin("tidegauge.audit-facts", 0, 1, 1_750_000_000)
    entry = _book.take(b"m", value, origin)
    if entry is not None:
        msgspec.json.decode(entry.value)
    _book.restore(1, value)
    _book.restored()
    if len(_book.heads) > 1_000:  # models, of which an honest trail has few
        _book = ChainIndex(ids=1_000)


TARGETS = {
    "events": Target(ingest, seeds.events, 0.4),
    "streams": Target(ingest, seeds.streams, 0.4),
    "roles": Target(
        roles,
        lambda: seeds.records(
            "histogram-record", "alert", "action", "silence", "audit-fact", "audit-record",
            "acknowledgement", "configuration", "withheld", "window-report", "baseline",
            "label-event",
        ),
        0.2,
    ),
}  # fmt: skip
