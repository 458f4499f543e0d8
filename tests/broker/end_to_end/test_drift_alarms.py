"""The evidence and the alarms of a real run are what the detector says of its counts, again."""

import json
from collections import defaultdict
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from support.monitored import MINIMUM_PSI, Monitored
from support.oracle import Histogram, current_bins, reference_bins
from support.traffic import AMOUNT_DRIFTS, WINDOW_SECONDS, WINDOWS
from tidegauge.baseline import Signal
from tidegauge.contract import SignalHistogram
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.engine import judge
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.windows.outside import Range, with_outside

pytestmark = pytest.mark.timeout(240)


class Watched(NamedTuple):
    """What the detector says of one signal in one window, worked out from the counts so far."""

    where: tuple[str, ...]
    start: int
    signal: str
    surprise_nats: float
    threshold_nats: float


@pytest.fixture(scope="module")
def watched(run: Monitored) -> dict[tuple[Any, ...], Watched]:
    """Judge the counts of every report again, in the order in which they came.

    What a revision has more than the report before it goes with what the next window counts.
    """
    memories: dict[tuple[str, ...], Memory] = {}
    through: dict[tuple[str, ...], int] = {}
    counted: dict[tuple[Any, ...], Any] = {}
    found: dict[tuple[Any, ...], Watched] = {}
    for report in run.records("windows"):
        where = (report["model"], report["version"], report["variant"])
        start = report["window_start"]
        baseline = run.baselines.get(where[:2])
        [part] = report["parts"]
        if baseline is None:
            assert part["alarm_budget"] is None
            continue
        names, reference, window = _laid_out(baseline, part)
        news = window - counted.get((*where, start), 0)
        counted[(*where, start)] = window
        before = memories.get(where, Memory.empty(*window.shape))
        if report["revision"] or start < through.get(where, 0):
            memories[where] = replace(before, pooled=before.pooled + news)
            continue
        budget = Budget(1.0, 30 * 86_400 / WINDOW_SECONDS, part["alarm_budget"]["slices"])
        verdict = judge(reference, before, window, budget)
        memories[where], through[where] = verdict.memory, start
        assert part["alarm_budget"]["threshold_nats"] == verdict.threshold
        for row, name in enumerate(names):
            if part["signals"][name]["evidence"] is None:
                assert not verdict.events[:, row].any()
                continue
            surprise = float(verdict.surprises[:, row].max())
            one = Watched(where, start, name, surprise, verdict.threshold)
            found[(*where, start, name)] = one
    return found


def _laid_out(baseline: Any, part: Any) -> tuple[list[str], Reference, Any]:
    """Return the names of the signals, their reference, and the window's counts by row and bin.

    The last bin of a numeric signal is of values outside of the baseline's range.
    """
    names = list(baseline["signals"])
    ranges = [Range.of(msgspec.convert(its, Signal)) for its in baseline["signals"].values()]
    sides = [
        (
            [*reference_bins(baseline["signals"][name]), *([0] if its else [])],
            part["signals"][name]["histogram"],
        )
        for name, its in zip(names, ranges, strict=True)
    ]
    reference = Reference.of(
        [
            SignalReference(
                bins,
                len(h["counts"]) if "edges" in baseline["signals"][n] else 0,
                baseline["signals"][n].get("rare", {}).get("excess", ()),
                None if "edges" in baseline["signals"][n] else len(h["counts"]) - 1,
            )
            for n, (bins, h) in zip(names, sides, strict=True)
        ]
    )
    window = np.zeros(reference.counts.shape)
    for row, (name, (_, h)) in enumerate(zip(names, sides, strict=True)):
        counted = Histogram(
            h["counts"], *(h.get(it, 0) for it in ("absent", "null", "nan", "invalid"))
        )
        counts = current_bins(baseline["signals"][name], counted)
        its = ranges[row]
        if its is not None:
            outside = its.outside(msgspec.convert(h, SignalHistogram))
            counts = with_outside(list(counts), len(h["counts"]), outside)
        window[row, : len(counts)] = counts
    return names, reference, window


def test_the_evidence_of_every_report_is_what_the_detector_says_of_the_counts_so_far(
    run: Monitored, watched: dict[tuple[Any, ...], Watched]
) -> None:
    first = run.first_reports()
    for (*where, start, signal), one in watched.items():
        [part] = first[where[0], where[1], where[2], start]["parts"]
        assert part["signals"][signal]["evidence"]["surprise_nats"] == one.surprise_nats, one
    assert len(watched) > 100
    amounts = [
        one.surprise_nats / one.threshold_nats
        for key, one in sorted(watched.items())
        if key[:3] == ("credit", "3", "") and one.signal == "amount"
    ]
    assert len(amounts) == WINDOWS
    assert int(np.diff(amounts).argmax()) + 1 == AMOUNT_DRIFTS.start, amounts
    assert min(amounts[i] for i in AMOUNT_DRIFTS) > 1


def test_the_slices_of_a_model_share_its_budget(run: Monitored) -> None:
    slices = defaultdict(list)
    for (model, *_, _), report in sorted(run.first_reports().items(), key=lambda it: it[0][3]):
        for part in report["parts"]:
            if part["alarm_budget"] is not None:
                slices[model].append(part["alarm_budget"]["slices"])
    assert set(slices["fraud"]) == {1}
    # Of credit there are two variants; one may be the first to be met.
    assert set(slices["credit"]) <= {1, 2} and slices["credit"][2:] == [2] * (2 * WINDOWS - 2)


def test_exactly_the_signals_beyond_the_threshold_are_alarmed_with_what_has_changed(
    run: Monitored, watched: dict[tuple[Any, ...], Watched]
) -> None:
    first = run.first_reports()
    expected: set[tuple[Any, ...]] = set()
    firing: set[tuple[Any, ...]] = set()
    for key, one in sorted(watched.items(), key=lambda it: it[1].start):
        [part] = first[key[0], key[1], key[2], one.start]["parts"]
        evidence = part["signals"][one.signal]["evidence"]
        in_alarm = one.surprise_nats > one.threshold_nats
        assert (evidence["change"] is not None) == in_alarm
        what = (*one.where, one.signal)
        size = max(evidence["psi_corrected"], evidence["psi_of_bin"] or 0.0)
        if in_alarm and what not in firing and size >= MINIMUM_PSI:
            firing.add(what)
            expected.add((*what, "firing", one.start))
        elif not in_alarm and what in firing:
            firing.remove(what)
            expected.add((*what, "resolved", one.start))
    found = [one for one in run.alerts(drift_alarm=True) if not one["raised"]]
    keys = ("model", "version", "variant", "signal", "state", "window_start")
    assert {tuple(alert[key] for key in keys) for alert in found} == expected
    began = run.start + AMOUNT_DRIFTS.start * WINDOW_SECONDS
    # A single bin may have changed before: then the alert is raised.
    [amount] = [
        alert
        for alert in run.alerts(drift_alarm=True)
        if alert["signal"] == "amount" and alert["state"] == "firing" and not alert["variant"]
        if alert["window_start"] == began
    ]
    evidence = amount["evidence"]
    assert (evidence["size"], amount["severity"]) == ("major", "high")
    assert evidence["psi_corrected"] > 0.25
    change = evidence["change"]
    assert len(change["moved"]) == 5
    assert max(one["g"] for one in change["moved"]) > 0 > min(one["g"] for one in change["moved"])
    assert change["mean_delta"] > 0 and change["median_delta"] > 0
    assert change["onset_window_end"] == amount["window_end"]
    assert change["rank"] == 1 and change["q_value"] < 1e-6
    assert amount["alarm_budget"]["slices"] == 2


def test_verify_confirms_every_alarm_of_drift(run: Monitored) -> None:
    file = run.installation.directory / "alert.json"
    firing = [one for one in run.alerts(drift_alarm=True) if one["state"] == "firing"]
    assert firing
    for alert in firing:
        file.write_text(json.dumps(alert))
        said = run.installation.succeed("verify", str(file))
        assert said.startswith(f"CONFIRMED: alert {alert['id']}"), said
        assert "  size: " in said and ": g: " in said
