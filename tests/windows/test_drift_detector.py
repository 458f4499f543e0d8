"""What the drift detector makes of reports: evidence that can be computed again, once a window."""

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from support.counting import a_baseline, categorical, numeric
from support.outcome_world import TARGET
from support.window_reports import part_of, signal_report, window_report
from support.world import a_state, taken_over, writes
from tidegauge.alerting.measure import measure
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.contract.report import AlarmBudget, Evidence, WindowReport
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.sequential.budget import Budget
from tidegauge.sequential.engine import judge, size_of
from tidegauge.sequential.ewma import Memory
from tidegauge.sequential.reference import Reference, SignalReference
from tidegauge.sequential.scores import SCORES
from tidegauge.stats.divergences import psi_corrected
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.drift_detector import MONTH_SECONDS, DriftDetector
from tidegauge.windows.values import Slice, SliceMemory, SliceState

SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])


def _baseline(scale: int = 10_000) -> Baseline:
    counts = (SHARES * scale).astype(int).tolist()
    edges = [-2.0, -1.0, 1.0, 2.0]
    return a_baseline(amount=numeric(edges, counts), size=numeric(edges, counts))


A, B = _baseline(), _baseline(20_000)
KNOWN: Mapping[str, Baseline] = {A.id: A, B.id: B}


def _counts(number: int, drift: float = 0.0, events: int = 300) -> dict[str, list[int]]:
    rng = np.random.default_rng(number)
    moved = (1 - drift) * SHARES + drift * np.roll(SHARES, 1)
    shares = {"amount": moved, "size": SHARES}
    return {name: rng.multinomial(events, its).tolist() for name, its in shares.items()}


def _report(number: int, baseline: Baseline = A, **of: float) -> WindowReport:
    counts = _counts(number, **of)  # type: ignore[arg-type]
    signals = {name: signal_report(counts=tuple(its)) for name, its in counts.items()}
    return window_report(number, part_of(sum(counts["size"]), baseline.id, **signals))


def _evidence(report: WindowReport, signal: str) -> tuple[Evidence, AlarmBudget]:
    part = next(part for part in report.parts if part.alarm_budget is not None)
    evidence = part.signals[signal].evidence
    assert evidence is not None and part.alarm_budget is not None
    return evidence, part.alarm_budget


def _watched(reports: list[WindowReport]) -> tuple[SliceMemory | None, list[WindowReport]]:
    watch, memory, found = DriftDetector(lambda model: 2.0), None, []
    for report in reports:
        memory, seen = watch.take(memory, report, KNOWN)
        found.append(seen)
    return memory, found


def test_the_evidence_is_what_the_detector_says_of_the_counts() -> None:
    reference = Reference.of(
        [SignalReference([*(SHARES * 10_000).astype(int).tolist(), 0, 0, 0], 5)] * 2
    )
    memory, budget = Memory.empty(2, 8), Budget(2.0, MONTH_SECONDS / 60)
    _, found = _watched([_report(n, drift=0.3 * (n > 4)) for n in range(12)])
    for number, report in enumerate(found):
        counts = _counts(number, drift=0.3 * (number > 4))
        window = np.array([[*counts[name], 0, 0, 0] for name in ("amount", "size")], dtype=float)
        verdict = judge(reference, memory, window, budget)
        memory = verdict.memory
        for row, name in enumerate(("amount", "size")):
            evidence, spent = _evidence(report, name)
            assert evidence.surprise_nats == verdict.surprises[:, row].max()
            span, score = np.argwhere(verdict.surprises[:, row] == evidence.surprise_nats)[0]
            assert (evidence.score, evidence.span_windows) == (SCORES[score], 4**span)
            assert evidence.events == verdict.events[span, row]
            assert (evidence.baseline_events, evidence.bins) == (10_000, 8)
            its = memory.effective()[span, row]
            if evidence.since_onset is not None:
                its = np.array(evidence.counts_since)
            in_alarm = evidence.surprise_nats > verdict.threshold
            assert (evidence.since_onset is not None) == in_alarm
            size = psi_corrected(its, reference.counts[row])
            assert evidence.psi_corrected == size
            assert evidence.size == size_of(float(size))
            assert spent == AlarmBudget(
                threshold_nats=verdict.threshold,
                looks=verdict.looks,
                alarms_per_month=2.0,
                windows_per_month=43_200.0,
                reasons=["without_hours"],
            )
            assert spent.threshold_nats == pytest.approx(np.log(43_200 * spent.looks / 2))


def test_a_drifted_signal_goes_beyond_the_threshold_and_the_other_does_not() -> None:
    _, found = _watched([_report(n, drift=0.3 * (n > 4), events=1_000) for n in range(12)])
    value = {m.signal: m.value for m in measure("surprise", found[-1])}
    assert value["amount"] > 1 > value["size"]
    sizes = [_evidence(found[-1], name)[0].psi_corrected for name in ("amount", "size")]
    moved = 0.7 * SHARES + 0.3 * np.roll(SHARES, 1)
    true = float(((moved - SHARES) * np.log(moved / SHARES)).sum())
    assert sizes == [pytest.approx(true, abs=0.02), pytest.approx(0.0, abs=0.02)]
    assert all(m.value < 1 for report in found[:5] for m in measure("surprise", report))


def test_the_pattern_counts_the_signals_in_alarm() -> None:
    _, found = _watched([_report(n, drift=0.3 * (n > 4), events=1_000) for n in range(12)])
    patterns = [report.parts[0].pattern for report in found]
    in_alarm = [len([m for m in measure("surprise", one) if m.value > 1]) for one in found]
    assert set(in_alarm) == {0, 1} and in_alarm[-1] == 1
    assert [it and (it.signals, it.drifted_signals) for it in patterns] == [
        (2, drifted) for drifted in in_alarm
    ]


def test_slices_share_the_budget_of_their_model() -> None:
    watch = DriftDetector(lambda model: 2.0)
    budgets = [
        _evidence(watch.take(None, _report(0), KNOWN, slices=slices)[1], "amount")[1]
        for slices in (1, 5)
    ]
    assert [budget.slices for budget in budgets] == [1, 5]
    for its in budgets:
        assert its.threshold_nats == pytest.approx(np.log(43_200 * its.looks * its.slices / 2))


def test_a_window_is_taken_in_once_and_never_after_a_later_one() -> None:
    reports = [_report(n) for n in (0, 1, 3)]
    memory, _ = _watched(reports)
    again, found = _watched([*reports, reports[1], reports[2], _report(2)])
    assert again == memory
    assert all(part.alarm_budget is None for report in found[3:] for part in report.parts)
    assert list(measure("surprise", found[-1])) == []


def test_without_a_baseline_nothing_is_remembered_and_nothing_said() -> None:
    unknown = window_report(0, part_of(300, "", amount=signal_report()))
    memory, [found] = _watched([unknown])
    assert memory is None and found == unknown


def test_a_baseline_that_counted_nothing_is_nothing_to_compare_with() -> None:
    empty = a_baseline(amount=numeric([0.0], [0, 0]))
    report = window_report(0, part_of(300, empty.id, amount=signal_report()))
    memory, found = DriftDetector(lambda model: 1.0).take(None, report, {empty.id: empty})
    assert memory is None and found == report


def test_a_signal_with_few_events_says_nothing_until_there_are_enough() -> None:
    _, found = _watched([_report(n, events=80) for n in range(4)])
    said = [report.parts[0].signals["amount"].evidence is not None for report in found]
    assert said == [False, False, True, True]


def test_a_new_baseline_begins_anew_after_the_window_in_which_it_came() -> None:
    mixed = msgspec.structs.replace(_report(2), parts=[*_report(2).parts, *_report(2, B).parts])
    memory, found = _watched([_report(0), _report(1), mixed, _report(3, B)])
    without, _ = _watched([_report(3, B)])
    assert memory == without
    assert [part.alarm_budget is not None for part in found[2].parts] == [True, False]


def test_what_is_remembered_comes_back_from_the_changelog_to_the_bit() -> None:
    changelog, where = Changelog(a_state()), Slice("credit", "3", "", ())
    changelog.restored()
    watch, memory, saved = DriftDetector(lambda model: 1.0), None, []
    for number in range(3):
        memory, _ = watch.take(memory, _report(number), KNOWN)
        assert memory is not None
        changelog.state.remember(where, memory)
        changelog.state.set_slice(where, SliceState(step=number, last_end=memory.through))
        saved.append(writes(changelog.checkpoint()))
    zombie = [one for one in saved[0] if b'"memory"' in one[0]]
    everything = [one for checkpoint in saved for one in checkpoint]
    restored = taken_over([*everything, *zombie]).state.memories[where]
    assert restored == memory
    expected, got = (watch.take(it, _report(3, drift=0.2), KNOWN) for it in (memory, restored))
    assert msgspec.json.encode(got) == msgspec.json.encode(expected)


def test_counts_are_shown_of_signals_in_alarm_alone_and_add_up_to_the_events() -> None:
    _, found = _watched([_report(n, drift=0.3 * (n > 4), events=1_000) for n in range(12)])
    last = {name: _evidence(found[-1], name)[0] for name in ("amount", "size")}
    assert last["size"].counts is None
    assert last["amount"].counts is not None and len(last["amount"].counts) == 8
    assert sum(last["amount"].counts) == pytest.approx(last["amount"].events)


def test_a_revision_of_fewer_events_takes_nothing_back() -> None:
    baseline = a_baseline(city=categorical("string", ["Rome"]))
    watch, known = DriftDetector(lambda model: 1.0), {baseline.id: baseline}

    def report(number: int, *counts: int) -> WindowReport:
        its = part_of(sum(counts), baseline.id, city=signal_report(counts=counts))
        return window_report(number, its)

    memory, _ = watch.take(None, report(0, 100, 50, 0), known)
    memory = watch.take_late(memory, report(0, 1, 60, 0), report(0, 200, 50, 0), known)
    memory, seen = watch.take(memory, report(1, 0, 40, 0), known)
    assert _evidence(seen, "city")[0].events == 200


def test_a_change_began_in_a_window_that_there_can_have_been() -> None:
    watch, memory = DriftDetector(lambda model: 1.0), None

    def report(number: int, events: int) -> WindowReport:
        counts = (events * 9, events, 0, 0, 0)
        signals = {name: signal_report(counts=counts) for name in ("amount", "size")}
        return window_report(number, part_of(sum(counts), A.id, **signals))

    for number in range(3):
        memory, _ = watch.take(memory, report(number, 10**14), KNOWN)
    # Counted with the next window, which has few events of its own.
    memory = watch.take_late(memory, report(2, 2 * 10**14), report(2, 10**14), KNOWN)
    memory = msgspec.structs.replace(memory, onsets=b"")
    _, seen = watch.take(memory, report(3, 1), KNOWN)
    change = _evidence(seen, "amount")[0].change
    assert change is not None and change.onset_window_end == 60


def test_a_labelled_model_has_a_fifth_less_for_drift() -> None:
    report = window_report(0, part_of(1000))
    detector = DriftDetector(lambda _: 2.0)
    plain = a_baseline()
    assert detector.budget_of(report, 1, plain).alarms == 2.0
    counts = OutcomeCounts(TARGET)
    outcomes = BaselineOutcomes(
        target=TARGET, predicted=0, labelled=0, performance=counts.to_tally()
    )
    labelled = msgspec.structs.replace(plain, outcomes=outcomes)
    assert detector.budget_of(report, 1, labelled).alarms == 1.6
