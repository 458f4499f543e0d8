"""Which small drifts the default rules report, and which they don't: reports in, alerts out."""

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from support.counting import a_baseline, categorical, numeric
from support.window_reports import part_of, signal_report, window_report
from tidegauge.alerting import DEFAULT_RULES, AlertState, evaluate
from tidegauge.audit.verify import verify
from tidegauge.baseline import Baseline, distribution
from tidegauge.contract import Alert, SignalHistogram, SignalReport
from tidegauge.notify.webhook import webhook_body
from tidegauge.windows.drift_detector import DriftDetector

Floats = npt.NDArray[np.float64]

ROWS = 100_000
EVENTS = 1_000
CUTS = ndtri(np.array([0.01, 0.05, *np.arange(1, 10) / 10, 0.95, 0.99]))
NUMBERS = ("age", "income", "tenure")


def _normal(mean: float) -> Floats:
    return np.diff(ndtr(CUTS - mean), prepend=0.0, append=1.0)


def _baseline() -> Baseline:
    rng = np.random.default_rng(1)
    signals = {
        name: msgspec.structs.replace(
            numeric(CUTS.tolist(), rng.multinomial(ROWS, _normal(0.0)).tolist()),
            minimum=None,
            maximum=None,
        )
        for name in NUMBERS
    }
    country = categorical("string", [f"c{number}" for number in range(20)])
    counts = rng.multinomial(ROWS, CATEGORIES).tolist()
    country = msgspec.structs.replace(country, counts=[*counts, 0, 0])
    return a_baseline(**signals, country=country)


#: The last one has 3.3 % of all.
CATEGORIES = np.array([(1 - 0.033) / 19] * 19 + [0.033])
BASELINE = _baseline()


def _alerts(
    windows: int, mean: Callable[[int], float], category: Callable[[int], float]
) -> list[tuple[int, Alert]]:
    """Watch so many windows; of each, the mean of the numbers and the share of the category."""
    rng = np.random.default_rng(2)
    watch, memory, state, found = DriftDetector(lambda model: 1.0), None, AlertState(), []
    for number in range(windows):
        share = category(number)
        categories = np.append(CATEGORIES[:-1] * (1 - share) / CATEGORIES[:-1].sum(), share)
        signals = {
            name: _report(rng.multinomial(EVENTS, _normal(mean(number)))) for name in NUMBERS
        }
        signals["country"] = _report([*rng.multinomial(EVENTS, categories).tolist(), 0, 0])
        report = window_report(number, part_of(EVENTS, BASELINE.id, **signals))
        memory, seen = watch.take(memory, report, {BASELINE.id: BASELINE})
        verdict = evaluate(
            DEFAULT_RULES, seen, state,
            distribution=lambda _, name, its: distribution(BASELINE.signals[name], its),
        )  # fmt: skip
        state = verdict.state
        found += [(number, alert) for alert in verdict.alerts]
    return found


def _report(counts: list[int]) -> SignalReport:
    return msgspec.structs.replace(signal_report(), histogram=SignalHistogram(counts=counts))


def _always(value: float) -> Callable[[int], float]:
    return lambda number: value


def test_a_category_from_3_3_to_4_3_per_cent_is_reported() -> None:
    alerts = _alerts(40, _always(0.0), lambda number: 0.033 if number < 10 else 0.043)
    [(first, alert)] = [it for it in alerts if it[1].state == "firing"][:1]
    assert (alert.rule, alert.severity) == ("feature-drift", "low")
    assert [it.signal for it in alert.signals] == ["country"]
    assert 10 <= first < 30
    assert alert.evidence is not None and alert.evidence.psi_corrected is not None
    assert alert.evidence.psi_corrected < 0.01 < 0.03 < (alert.evidence.psi_of_bin or 0.0)
    assert [it for it in verify(alert) if not it.holds] == []


def test_means_off_by_a_twentieth_of_the_deviation_are_no_many_drifts() -> None:
    alerts = _alerts(160, lambda number: 0.05 * (number >= 20), _always(0.033))
    firing = [(number, it) for number, it in alerts if it.state == "firing"]
    assert {it.rule for _, it in firing} == {"feature-drift"}
    assert min(number for number, _ in firing) < 20 + 40
    assert {it.severity for _, it in firing} == {"low"}


def test_a_daily_cycle_of_a_twentieth_is_no_many_drifts_either() -> None:
    alerts = _alerts(480, lambda number: 0.05 * np.sin(2 * np.pi * number / 480), _always(0.033))
    assert {it.rule for _, it in alerts} <= {"feature-drift"}


def test_a_step_beside_what_came_before_is_verified_and_shows_no_counts_to_others() -> None:
    found = _alerts(120, lambda number: 0.05 * (number >= 90), lambda _: 0.033)
    alert = next(it for _, it in found if it.evidence and it.evidence.earlier)
    evidence = alert.evidence
    assert evidence and evidence.earlier and evidence.counts_since
    assert (evidence.score, evidence.span_windows) in {("mean", 4), ("mean", 16)}
    assert [it for it in verify(alert) if not it.holds] == []
    assert len(evidence.earlier.counts) == len(evidence.counts_since) == evidence.bins
    for changed in (0.5, 1.0):
        evidence.earlier.weight *= changed
        evidence.earlier.counts = evidence.earlier.counts[: None if changed < 1 else -1]
        assert "surprise_nats" in {it.what for it in verify(alert) if not it.holds}
    shown = webhook_body(alert, include_distributions=False)
    assert b"earlier" not in shown and b"counts_since" not in shown
