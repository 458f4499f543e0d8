"""What a real run reports of its traffic is what an oracle counted; bad records are put aside."""

import json
from collections import Counter, defaultdict
from typing import Any

import pytest

from support.monitored import TOO_LATE_EVENTS, Monitored, signals_of
from support.oracle import Histogram, current_bins, kl_nats, reference_bins
from support.traffic import EVENTS, WINDOWS

pytestmark = pytest.mark.timeout(240)


def histogram_problems(found: dict[str, Any], expected: Histogram) -> list[str]:
    """Say where a reported histogram is not the oracle's."""
    problems = [
        f"{name}: found {found.get(name, 0)}, expected {getattr(expected, name)}"
        for name in ("counts", "absent", "null", "nan", "invalid")
        if found.get(name, 0) != getattr(expected, name)
    ]
    for name, scale in (("sum", expected.sum_of_magnitudes), ("sumsq", expected.sumsq)):
        total = found.get(name, 0.0)
        if not abs(total - getattr(expected, name)) <= 1e-9 * scale:
            problems.append(f"{name}: found {total}, expected {getattr(expected, name)}")
    return problems


def extreme_problems(found: dict[str, Any], expected: Histogram) -> list[str]:
    return [
        f"{name}: found {found.get(name)}, expected {getattr(expected, name)}"
        for name in ("minimum", "maximum")
        if found.get(name) != getattr(expected, name)
    ]


def test_the_traffic_is_what_it_is_meant_to_be(run: Monitored) -> None:
    events = Counter[str]()
    for (model, _, _, _), cell in run.verdict.cells.items():
        events[model] += cell.events
    # Every batch of bad rows has one sound one, of ranker's, in each window.
    expected = {model: n * WINDOWS for model, n in EVENTS.items()}
    assert events == expected | {"ranker": expected["ranker"] + WINDOWS}
    assert len(set(run.verdict.dead.values())) == 9


def test_exactly_the_windows_of_the_oracle_are_reported(run: Monitored) -> None:
    assert run.latest_reports().keys() == run.verdict.cells.keys()


def test_every_count_of_every_window_equals_the_oracles(run: Monitored) -> None:
    problems: list[str] = []
    compared = 0
    for key, report in run.latest_reports().items():
        expected = run.verdict.cells[key]
        errors = expected.signals["status"].counts[1]
        if (report["events"], report["errors"]) != (expected.events, errors):
            problems.append(
                f"{key}: {report['events']} events, {report['errors']} errors; "
                f"expected {expected.events}, {errors}"
            )
        found = signals_of(report)
        if found.keys() != expected.signals.keys():
            problems.append(f"{key}: signals {sorted(found.keys() ^ expected.signals.keys())}")
            continue
        for name, histogram in expected.signals.items():
            compared += 1
            reported = found[name]["histogram"]
            wrong = histogram_problems(reported, histogram) + extreme_problems(reported, histogram)
            problems.extend(f"{key} {name}: {one}" for one in wrong)
    assert not problems, f"{len(problems)} differences\n" + "\n".join(problems[:40])
    # Latency and status come on top of what is in the baseline; ranker has a prediction besides.
    credit = len(run.baselines["credit", "3"]["signals"]) + 2
    assert compared == WINDOWS * (2 * credit + (101 + 2) + 3)


def test_every_figure_of_a_report_follows_from_its_counts(run: Monitored) -> None:
    for key, report in run.latest_reports().items():
        reference = run.baselines.get(key[:2], {"signals": {}})["signals"]
        for name, signal in signals_of(report).items():
            expected = run.verdict.cells[key].signals[name]
            missing = (expected.absent + expected.null) / expected.events
            if name in reference:
                bins = current_bins(reference[name], expected)
                missing = bins[len(expected.counts)] / expected.events
            assert signal["missing_share"] == pytest.approx(missing, rel=1e-12), (key, name)
            if name not in reference or name in ("latency_ms", "status"):
                continue
            current, against = (
                current_bins(reference[name], expected),
                reference_bins(reference[name]),
            )
            forth, back = kl_nats(current, against), kl_nats(against, current)
            drift = signal["drift"]
            where = f"{key} {name}"
            assert drift["kl_current_reference_nats"] == pytest.approx(forth, abs=1e-9), where
            assert drift["kl_reference_current_nats"] == pytest.approx(back, abs=1e-9), where
            assert drift["psi"] == pytest.approx(forth + back, abs=1e-9), where


def test_late_events_make_a_new_revision_under_a_new_id(run: Monitored) -> None:
    by_window: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for report in run.records("windows"):
        key = (report["model"], report["version"], report["variant"], report["window_start"])
        by_window[key].append(report)
    for key, reports in by_window.items():
        by_revision = {report["revision"]: report for report in reports}
        assert sorted(by_revision) == list(range(len(by_revision))), key
        assert len({report["id"] for report in by_revision.values()}) == len(by_revision), key
        events = [by_revision[i]["events"] for i in range(len(by_revision))]
        assert events == sorted(set(events)), f"{key}: a revision without new events: {events}"
    assert any(len(reports) > 1 for reports in by_window.values())


def test_a_record_that_is_written_twice_is_the_same_record(run: Monitored) -> None:
    for kind in ("windows", "alerts", "alerts_history", "actions", "audit_facts", "audit"):
        by_id: dict[str, set[bytes]] = defaultdict(set)
        for message in run.outputs[kind]:
            by_id[json.loads(message.value())["id"]].add(message.value())
        assert [one for one, values in by_id.items() if len(values) > 1] == [], kind


def test_a_report_names_offsets_in_which_its_events_lie(run: Monitored) -> None:
    for key, report in run.latest_reports().items():
        ranges = {one["partition"]: one for one in report["counted"]}
        assert {one["topic"] for one in report["counted"]} == {run.source}
        assert len(ranges) == len(report["counted"]), key
        for partition, offsets in run.verdict.cells[key].offsets.items():
            counted = ranges[partition]
            assert counted["start"] <= min(offsets) and max(offsets) < counted["to"], key
        for partition, one in ranges.items():
            # Up to the 25 that came too late lie behind what the oracle has read.
            assert 0 <= one["start"] < one["to"] <= run.ends[partition] + TOO_LATE_EVENTS, key


def test_every_bad_record_is_in_the_dead_letters_once(run: Monitored) -> None:
    letters = run.records("dead_letters")
    found = Counter((one["partition"], one["offset"], one["row"]) for one in letters)
    assert {origin: n for origin, n in found.items() if n > 1} == {}
    reasons = {(one["partition"], one["offset"], one["row"]): one["reason"] for one in letters}
    differences = {
        origin: (reasons.get(origin), run.verdict.dead.get(origin))
        for origin in reasons.keys() | run.verdict.dead.keys()
        if reasons.get(origin) != run.verdict.dead.get(origin)
    }
    assert not differences, f"(found, expected) by origin: {differences}"
    assert {one["topic"] for one in letters} == {run.source}


def test_a_dead_letter_keeps_the_payload_as_far_as_it_fits(run: Monitored) -> None:
    by_reason = {one["reason"]: one for one in run.records("dead_letters")}
    huge = by_reason["too_large"]
    assert huge["payload_bytes"] > 10 * 1024 * 1024
    assert huge["payload_truncated"] and len(huge["payload"]) <= 64 * 1024
    assert by_reason["invalid_utf8"]["payload_encoding"] == "base64"
    assert by_reason["time_too_early"]["detail"]
