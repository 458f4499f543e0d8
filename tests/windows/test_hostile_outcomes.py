"""Whatever is sent as outcomes, windows of predictions close as if it weren't there."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support.counting import NOW
from support.detector_bench import Bench, Log
from support.outcome_world import OutcomeWorld, of_kinds, totals
from support.world import World

Change = Callable[[dict[str, Any]], None]


def _log() -> tuple[Log, OutcomeWorld]:
    """Twelve flushes of INGEST, with two of OUTCOMES after each."""
    drift, outcomes = World(), OutcomeWorld()
    log: Log = []
    for step in range(12):
        drift.now = outcomes.now = NOW + 20 * step
        for partition in range(3):
            drift.event(partition, time=drift.now)
        outcomes.predict(f"{step}", step / 12)
        if step:
            outcomes.label(f"{step - 1}", step % 2)
        seen = len(drift.log), len(outcomes.log)
        drift.flush()
        outcomes.flush()
        for _, record in (*drift.log[seen[0] :], *outcomes.log[seen[1] :]):
            log.append((2 * len(log), msgspec.json.encode(record)))
    return log, outcomes


LOG, WORLD = _log()

#: Of OUTCOMES, with cells, in the middle of the log.
AT, SOUND = next(
    (at, value) for at, value in LOG[len(LOG) // 2 :] if json.loads(value).get("outcomes")
)


def _set(*path: Any, to: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        inner: Any = record
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = to

    return change


def _clocks(**to: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        for clock in record["clocks"].values():
            clock.update(to)

    return change


def _ranges(**to: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        for one in record["ranges"].values():
            one.update(to)

    return change


_CELL, _STRATUM = ("outcomes", 0), ("outcomes", 0, "strata", 0)

#: What no worker of OUTCOMES writes: refused.
REFUSED: dict[str, Change] = {
    "of predictions": _set("source", to="predictions"),
    "no outcomes and cells": _set("cells", to=[{}]),
    "a window of another length": _set(*_CELL, "window_seconds", to=7),
    "a window in the year 3000": _set(*_CELL, "window_start", to=32_503_680_000),
    "a window to come": _set(*_CELL, "window_start", to=int(NOW // 3600 + 1000) * 3600),
    "no strata": _set(*_CELL, "strata", to=[]),
    "a target that isn't there": _set(*_STRATUM, "target", to=3),
    "a count of 2^64": _set(*_STRATUM, "lags", to={"bins": [0], "counts": [2**64]}),
    "a bin that its target hasn't": _set(
        *_STRATUM, "predicted", to={"bins": [9000], "counts": [1]}
    ),
    "bins without counts": _set(*_STRATUM, "lags", to={"bins": [0], "counts": []}),
    "another kind": _set(*_CELL, "kind", to="departure"),
    "a clock that is ahead": _clocks(latest=NOW + 20 * 86_400),
    "no JSON of a problem": _set(*_STRATUM, "labelled", to={"problem": "ternary"}),
    "ranges that run back": _ranges(since=10**9),
    "an hour and a half ahead": _set("time", to=4_000_000_000.0),
}


def _huge(record: dict[str, Any]) -> None:
    (stratum,) = record["outcomes"][0]["strata"]
    stratum["lags"] = {"bins": [0], "counts": [2**62]}
    record["outcomes"][0]["strata"] = [stratum] * 3


#: What is taken, whoever wrote it, and must do no harm to windows of predictions.
TAKEN: dict[str, Change] = {
    "a gap": _ranges(since=10**5, to=10**5 + 1),
    "an hour ahead": _set("time", to=NOW + 3500),
    "seq 10^6": _set("seq", to=10**6),
    "a watermark of years ago": _clocks(latest=1.0, idle=False),
    "a watermark that nobody knows": _clocks(latest=None, idle=False),
    "counts that add up beyond 64 bits": _huge,
    "negative counts": _set(*_STRATUM, "lags", to={"bins": [0], "counts": [-(2**40)]}),
}


def run(hostile: bytes | None) -> Bench:
    async def whole() -> Bench:
        bench = Bench([])
        for at, value in LOG:
            await bench.deliver([(at, value)])
            if at == AT and hostile is not None:
                await bench.deliver([(at + 1, hostile)])
        bench.close()
        return bench

    return asyncio.run(whole())


def _changed(change: Change) -> bytes:
    record = json.loads(SOUND) | {"tenure": "somebody"}
    change(record)
    return json.dumps(record).encode()


def _drift(bench: Bench) -> list[bytes]:
    return [one for one in bench.published() if b'"cohort_start"' not in one]


def _held(bench: Bench) -> Any:
    return of_kinds(totals(bench.state), "cohort")


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[bytes], Any]:
    bench = run(None)
    drift = _drift(bench)
    assert len(drift) > 2 and _held(bench) == of_kinds(WORLD.expected(), "cohort")
    return drift, _held(bench)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_worker_writes_is_refused_as_a_whole(
    name: str, undisturbed: tuple[list[bytes], Any]
) -> None:
    bench = run(_changed(REFUSED[name]))
    assert (_drift(bench), _held(bench)) == undisturbed
    topic = {"topic": "tidegauge.histograms"}
    skipped = bench.registry.get_sample_value("tidegauge_skipped_records_total", topic)
    assert skipped == 1 and not bench.count("tidegauge_recounts_total")


@pytest.mark.parametrize("name", TAKEN)
def test_what_could_be_of_a_worker_holds_and_closes_no_window_of_predictions(
    name: str, undisturbed: tuple[list[bytes], Any]
) -> None:
    bench = run(_changed(TAKEN[name]))
    assert _drift(bench) == undisturbed[0]
    assert not bench.count("tidegauge_recounts_total")
    assert bench.registry.get_sample_value(
        "tidegauge_quarantined_records_total", {"topic": "tidegauge.histograms"}
    ) == 0  # fmt: skip


def test_a_lost_record_of_outcomes_is_counted_and_costs_only_itself(
    undisturbed: tuple[list[bytes], Any],
) -> None:
    async def whole() -> Bench:
        bench = Bench([])
        for at, value in LOG:
            if at != AT:
                await bench.deliver([(at, value)])
        bench.close()
        return bench

    bench = asyncio.run(whole())
    assert _drift(bench) == undisturbed[0]
    # Cells are cumulative: later ones have what was lost, but for the lost windows' own.
    assert bench.count("tidegauge_lost_records_total") == 1
    assert not bench.count("tidegauge_recounts_total")


def test_an_outage_of_outcomes_holds_no_window_of_predictions() -> None:
    async def whole(log: Log) -> Bench:
        bench = Bench([])
        await bench.deliver(log)
        bench.close()
        return bench

    expected = _drift(asyncio.run(whole(LOG)))
    until = [(at, value) for at, value in LOG if at < AT or b'"outcomes":' not in value]
    assert len(until) < len(LOG)
    assert _drift(asyncio.run(whole(until))) == expected
