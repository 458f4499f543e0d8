"""What the promise was worth on histories of which it is known what is wrong with them."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from support.counting import numeric
from support.hourly import SIGNAL, baseline as hourly_baseline, reports as hourly_reports
from support.window_reports import part_of, signal_report, window_report
from tidegauge.alerting.ruleset import RuleSet
from tidegauge.backtest.calibrate import calibrate
from tidegauge.backtest.promise import LASTING_WINDOWS
from tidegauge.backtest.result import Calibration, ModelPromise, SignalPromise
from tidegauge.backtest.run import BacktestPlan, NoWindows
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.io.signals import categorical_signal
from tidegauge.contract import encode
from tidegauge.contract.report import WindowReport
from tidegauge.kafka.reader import KafkaRecord
from tidegauge.windows.drift_detector import DriftDetector

Shares = npt.NDArray[np.float64]

SHARES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
TILT = np.array([-0.06, -0.06, 0.0, 0.06, 0.06])
EDGES = [-2.0, -1.0, 1.0, 2.0]
START = 1_700_006_400  # a whole hour
EVENTS = 1_000


def _baseline(rows: int = 100_000, each: int = 1, seed: int = 0) -> Baseline:
    rng = np.random.default_rng(seed)
    counts = [(each * rng.multinomial(rows // each, SHARES)).tolist() for _ in range(2)]
    signals = {"amount": numeric(EDGES, counts[0]), "size": numeric(EDGES, counts[1])}
    return Baseline(model="credit", version="3", rows=rows, source="test", signals={**signals})


BASELINE = _baseline()


def _history(
    windows: int,
    shares: Callable[[int, str], Shares] = lambda number, name: SHARES,
    *,
    baseline: Baseline = BASELINE,
    each: int = 1,
    seconds: int = 60,
    seed: int = 1,
    **of: str,
) -> list[WindowReport]:
    """Return windows of 1,000 events, with ``each`` a number of events of a user that are alike."""
    rng, found = np.random.default_rng(seed), []
    for number in range(windows):
        signals = {}
        for name in baseline.signals:
            counts = each * rng.multinomial(EVENTS // each, shares(number, name))
            signals[name] = signal_report(counts=tuple(counts.tolist()))
        report = window_report(0, part_of(EVENTS, baseline.id, **signals), **of)
        report.window_start = START + seconds * number
        report.window_end = report.window_start + seconds
        report.id = f"{of} {number}"
        found.append(report)
    return found


def _records(reports: Sequence[WindowReport]) -> list[KafkaRecord]:
    return [KafkaRecord(f"windows/0 at offset {at}", encode(it)) for at, it in enumerate(reports)]


def _plan(alarms: float = 1.0, model: str = "*") -> BacktestPlan:
    return BacktestPlan(RuleSet([]), lambda _: alarms, START, START + 1e9, model)


def _calibration(
    reports: Sequence[WindowReport],
    *,
    baseline: Baseline = BASELINE,
    alarms: float = 1.0,
    excepted: Sequence[tuple[float, float]] = (),
) -> Calibration:
    records = _records(reports)
    return calibrate(_plan(alarms), lambda _: records, {baseline.id: baseline}.get, excepted)


def _model(
    reports: Sequence[WindowReport], baseline: Baseline = BASELINE, alarms: float = 1.0
) -> ModelPromise:
    [found] = _calibration(reports, baseline=baseline, alarms=alarms).models
    return found


def _by_name(found: ModelPromise) -> dict[str, SignalPromise]:
    return {it.signal or "": it for it in found.signals}


def _kinds(found: SignalPromise) -> list[str]:
    return [cause.kind for cause in found.causes]


def _starts(
    reports: Sequence[WindowReport], baseline: Baseline, alarms: float = 1.0
) -> dict[str, int]:
    """Count the alarms that DETECT starts, one window after the other."""
    watch, memory = DriftDetector(lambda model: alarms), None
    alarmed: list[set[str]] = [set()]
    for report in reports:
        memory, seen = watch.take(memory, report, {baseline.id: baseline})
        [part] = seen.parts
        alarmed.append(
            {
                name
                for name, it in part.signals.items()
                if it.evidence
                and part.alarm_budget
                and it.evidence.surprise_nats > part.alarm_budget.threshold_nats
            }
        )
    new = [now - before for before, now in pairwise(alarmed)]
    return {name: sum(name in its for its in new) for name in baseline.signals}


def test_independent_events_keep_the_promise() -> None:
    found = _model(_history(3_000))
    for one in (found.promise, *found.signals):
        assert one.verdict == "kept" and one.windows == 3_000
        assert one.own.low <= 1 <= one.own.high
        assert one.wider.low < 1 and one.wider.high <= 1 and one.wider.promised > 20
        assert not one.causes and one.enough_windows is None
    # A month's alarms are for 43,200 windows; two signals alike have half of them each.
    assert found.promise.own.promised == pytest.approx(3_000 / 43_200)
    assert found.signals[0].own.promised == pytest.approx(1_500 / 43_200)
    assert not found.remedies and not found.mostly and not found.no_budget_restores
    assert found.reasons == ["without_hours"]


def test_alarms_are_those_that_detect_starts() -> None:
    baseline = _baseline(each=3)
    reports = _history(400, each=3, baseline=baseline)
    found, expected = _model(reports, baseline), _starts(reports, baseline)
    assert sum(expected.values()) > 5
    assert {it.signal: it.own.starts for it in found.signals} == expected
    assert found.promise.own.starts == sum(expected.values())


def test_a_threshold_below_those_of_which_scores_are_kept_counts_all_the_same() -> None:
    reports = _history(100)
    found, expected = _model(reports, alarms=50_000.0), _starts(reports, BASELINE, 50_000.0)
    assert found.promise.own.threshold_nats < 4 and sum(expected.values()) > 5
    assert {it.signal: it.own.starts for it in found.signals} == expected
    assert found.promise.wider == found.promise.own


def test_alarms_of_a_wider_budget_are_those_of_a_replay_with_it() -> None:
    reports = _history(1_500)
    found = _model(reports).promise.wider
    replayed = _model(reports, alarms=found.alarms_per_month).promise.own
    assert found.starts == replayed.starts > 5
    assert found.promised == pytest.approx(replayed.promised)
    assert found.threshold_nats == pytest.approx(replayed.threshold_nats, abs=0.02)


def test_five_alike_of_each_user_are_found_and_what_entities_would_give() -> None:
    baseline = _baseline(each=5)
    found = _model(_history(600, each=5, baseline=baseline), baseline)
    assert found.promise.verdict == "not_kept" and found.promise.own.low > 100
    for one in found.signals:
        assert _kinds(one) == ["clustering"] and one.verdict == "not_kept"
        assert 4.5 < (one.causes[0].design_effect or 0) < 6.5
    [remedy] = found.remedies
    assert remedy.remedy == "design_effect" and set(remedy.design_effects) == {"amount", "size"}
    assert remedy.promise.own.starts == 0 and remedy.promise.wider.high < 1
    assert found.no_budget_restores


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_as_many_new_values_come_as_users_who_bring_them(exponent: float) -> None:
    """Rows of users are anywhere in the file: by rows hardly any value is to be new, a third is."""
    rng, each = np.random.default_rng(3), 5
    shares = np.arange(1, 901) ** -exponent / (np.arange(1, 901) ** -exponent).sum()
    rows = each * rng.multinomial(1_000, shares)
    seen = Counter({f"c{at}": int(count) for at, count in enumerate(rows) if count})
    city = categorical_signal(seen, kind="string", are_text=False, missing=0)
    assert city.known_complete and city.rare and city.rare.expected[-1] == 0
    known = {name: at for at, name in enumerate(city.categories)} | dict.fromkeys(city.known, -2)
    places = [known.get(f"c{at}", -1) for at in range(900)]
    by_bin = np.zeros(len(city.counts))
    np.add.at(by_bin, places, shares)
    baseline = Baseline(
        model="credit", version="3", rows=5_000, source="test", signals={"city": city}
    )
    found = _model(_history(1_500, lambda *_: by_bin, baseline=baseline, each=each), baseline)
    [seen_of] = found.signals
    assert seen_of.own.in_alarm > 0.9 and "clustering" in _kinds(seen_of)
    remedy = found.remedies[0]
    assert remedy.remedy == "design_effect" and remedy.signals == ["city"]
    assert remedy.promise.own.starts == 0 and remedy.promise.own.in_alarm == 0
    assert 700 < remedy.promise.windows < 800 and remedy.until


def test_a_cause_is_shown_before_there_is_an_alarm() -> None:
    def shares(number: int, name: str) -> Shares:
        dirichlet = np.random.default_rng([number, len(name)]).dirichlet(6_000 * SHARES)
        return np.asarray(dirichlet if name == "size" else SHARES)

    found = _by_name(_model(_history(1_500, shares)))
    assert _kinds(found["size"]) == ["clustering"] and not found["amount"].causes
    assert found["size"].own.starts == 0 and found["size"].verdict == "too_little_history"
    assert 1.1 < (found["size"].causes[0].design_effect or 0) < 1.4


def test_the_error_of_a_small_baseline_is_no_broken_promise() -> None:
    for seed in range(4):
        baseline = _baseline(rows=300, seed=seed)
        found = _model(_history(800, baseline=baseline, seed=seed), baseline)
        assert all(it.verdict != "not_kept" for it in (found.promise, *found.signals))
        assert not any(it.causes for it in found.signals)


def test_a_daily_cycle_of_one_signal_is_named() -> None:
    def shares(number: int, name: str) -> Shares:
        return np.asarray(SHARES + 0.3 * np.sin(np.pi * number / 72) * TILT * (name == "amount"))

    found = _model(_history(4 * 144, shares, seconds=600))
    signals = _by_name(found)
    assert _kinds(signals["amount"]) == ["daily_cycle"]
    assert (signals["amount"].causes[0].explains or 0) > 0.9
    assert signals["amount"].verdict == "not_kept" != signals["size"].verdict
    assert found.mostly == ["amount"] and found.signals[0].signal == "amount"


def test_hours_of_the_day_are_tried_where_there_are_days_enough() -> None:
    def shares(number: int, name: str) -> Shares:
        level = 0.3 * np.sin(np.pi * number / 72) * (name == "amount")
        return np.asarray(SHARES + level * TILT)

    found = _model(_history(16 * 144, shares, seconds=600))
    remedy = found.remedies[0]
    midnight = -(-START // 86_400) * 86_400
    assert remedy.remedy == "hours"
    assert (remedy.since, remedy.until) == (midnight, midnight + 14 * 86_400)
    assert remedy.promise.windows > 100 and remedy.promise.own.starts == 0
    assert found.promise.own.starts > 5


def test_a_step_that_stays_is_dated_and_a_later_baseline_tried() -> None:
    def shares(number: int, name: str) -> Shares:
        return SHARES + 0.4 * TILT * (number >= 300) * (name == "size")

    found = _model(_history(700, shares))
    size = _by_name(found)["size"]
    assert size.verdict == "not_kept" and size.longest_alarm_windows >= LASTING_WINDOWS
    [cause] = size.causes
    assert cause.kind == "shift" and abs((cause.since or 0) - (START + 300 * 60)) <= 900
    [remedy] = found.remedies
    assert remedy.remedy == "baseline" and remedy.signals == ["size"]
    assert (remedy.promise.own.starts, remedy.promise.own.in_alarm) == (0, 0.0)
    assert 150 < remedy.promise.windows < 250, "of the windows after those of the new baseline"


def test_what_was_never_like_the_baseline() -> None:
    found = _model(_history(400, lambda number, name: SHARES + 0.3 * TILT * (name == "size")))
    size = _by_name(found)["size"]
    assert _kinds(size) == ["other_traffic"] and size.own.in_alarm > 0.99
    assert [it.remedy for it in found.remedies] == ["baseline"]


def test_single_windows_are_told_from_what_lasts() -> None:
    def shares(number: int, name: str) -> Shares:
        return SHARES + 1.0 * TILT * (number % 150 == 149) * (name == "amount")

    found = _model(_history(900, shares))
    amount = _by_name(found)["amount"]
    assert amount.verdict == "not_kept"
    assert "single_windows" in _kinds(amount)
    assert amount.causes[0].windows == 6
    assert found.mostly == ["amount"]


def test_windows_near_each_other_that_are_alike() -> None:
    rng = np.random.default_rng(3)
    level = np.repeat(rng.normal(0, 0.15, 20), 40)
    found = _model(_history(800, lambda number, name: SHARES + level[number] * TILT))
    assert found.promise.verdict == "not_kept"
    assert {kind for it in found.signals for kind in _kinds(it)} == {"dependent_windows"}


def test_fewer_alarms_a_month_are_tried() -> None:
    def shares(number: int, name: str) -> Shares:
        return np.asarray(np.random.default_rng([number, len(name)]).dirichlet(3_000 * SHARES))

    reports = _history(1_500, shares)
    found = _model(reports, alarms=100.0)
    assert found.promise.verdict == "not_kept"
    remedy = found.remedies[-1]
    assert remedy.remedy == "alarms_per_month" and remedy.alarms_per_month < 100
    again = _model(reports, alarms=remedy.alarms_per_month).promise
    assert remedy.promise.own.starts == again.own.starts
    assert remedy.promise.own.promised == pytest.approx(found.promise.own.promised)
    assert remedy.promise.own.ratio <= 1 and not found.no_budget_restores


def test_remedies_are_tried_for_each_model_alone_whatever_it_is_called() -> None:
    baseline = _baseline(each=5)
    broken = _history(300, each=5, baseline=baseline, model="a[1]*")
    sound = _history(300, model="a1", seed=2)
    records = _records(sorted([*broken, *sound], key=lambda it: it.window_end))
    known = {baseline.id: baseline, BASELINE.id: BASELINE}
    found = {it.model: it for it in calibrate(_plan(), lambda _: records, known.get).models}
    assert not found["a1"].remedies
    [remedy] = found["a[1]*"].remedies
    assert remedy.promise.windows > 290 and remedy.promise.own.starts == 0


def test_ten_windows_are_too_few_to_tell_even_in_alarm() -> None:
    for off in (0.0, 1.0):
        found = _model(_history(10, lambda number, name, by=off: SHARES + by * TILT))  # type: ignore[misc]
        for one in (found.promise, *found.signals):
            assert one.verdict == "too_little_history"
            assert one.enough_windows is not None and one.enough_windows >= 2 * 24 * 60
        assert not found.remedies
    assert found.promise.own.in_alarm == 1.0


def test_less_than_two_days_say_nothing_of_a_cycle_of_the_day() -> None:
    found = _model(_history(1_000)).promise
    assert found.wider.high <= 1 and found.own.starts == 0
    assert (found.verdict, found.enough_windows) == ("too_little_history", 2 * 24 * 60)


def test_the_time_of_a_known_drift_is_left_out() -> None:
    reports = _history(900, lambda n, name: SHARES + 0.5 * TILT * (300 <= n < 600))
    excepted = (START + 300 * 60 + 1.0, START + 600 * 60 - 1.0)
    assert _calibration(reports).models[0].promise.own.starts > 0
    found = _calibration(reports, excepted=[excepted, (0.0, 60.0)])
    assert [it.windows for it in found.excepted] == [300, 0]
    assert found.models[0].promise.own.starts == 0
    assert found.models[0].promise.windows == found.windows == 600
    with pytest.raises(NoWindows, match="every window of '\\*' is in a time that was excepted"):
        _calibration(reports, excepted=[(0.0, START + 1e6)])


def test_segments_share_the_promise_and_their_own_dimension_is_no_signal() -> None:
    reports = _history(300)
    of = {"segment": {"size": "big"}}
    reports += _history(300, lambda n, name: SHARES + TILT * (name == "size"), **of)  # type: ignore[arg-type]
    found = _model(sorted(reports, key=lambda it: it.window_end))
    assert (found.slices, found.promise.windows) == (2, 600)
    windows = {name: it.windows for name, it in _by_name(found).items()}
    assert windows == {"amount": 600, "size": 300}
    assert found.promise.own.starts == 0


def test_a_baseline_with_hours_is_replayed_as_detect_does() -> None:
    baseline = hourly_baseline()
    reports = hourly_reports([0.0] * 40 + [0.3] * 40, baseline.id)
    for report in reports:
        report.window_start, report.window_end = int(report.window_start), int(report.window_end)
    records = _records(reports)
    plan = BacktestPlan(RuleSet([]), lambda _: 1.0, 0.0, 1e12)
    [found] = calibrate(plan, lambda _: records, {baseline.id: baseline}.get).models
    expected = _starts(reports, baseline)
    assert expected[SIGNAL] > 0
    assert {it.signal: it.own.starts for it in found.signals} == expected


def test_nothing_to_replay_is_an_error_that_says_why() -> None:
    reports = _records(_history(20))
    known = {BASELINE.id: BASELINE}
    with pytest.raises(NoWindows, match="matches '\\*' ended in this time"):
        calibrate(_plan(), lambda _: [], known.get)
    with pytest.raises(NoWindows, match="matches 'x'"):
        calibrate(_plan(model="x"), lambda _: reports, known.get)
    with pytest.raises(NoWindows, match=f"no window was scored.*{BASELINE.id}"):
        calibrate(_plan(), lambda _: reports, lambda id: None)


def test_a_damaged_report_is_named_or_passed_over() -> None:
    records = _records(_history(300, each=5, baseline=(baseline := _baseline(each=5))))
    known, damaged = {baseline.id: baseline}, KafkaRecord("windows/3 at offset 7", b"{}")
    with pytest.raises(ValueError, match="windows/3 at offset 7 is no window report"):
        calibrate(_plan(), lambda _: [damaged, *records], known.get)
    seen: list[str] = []
    found = calibrate(
        _plan(),
        lambda _: [damaged, *records],
        known.get,
        skipped=lambda place, why: seen.append(place),
    )
    assert found.models[0].remedies, "a second replay passes over it too, and says nothing"
    assert seen == ["windows/3 at offset 7"]
    assert msgspec.json.encode(found) == msgspec.json.encode(
        calibrate(_plan(), lambda _: records, known.get)
    )


def test_a_report_of_other_bins_than_its_baseline_is_named() -> None:
    reports = _history(5)
    reports[2].parts[0].signals["amount"].histogram.counts = [1, 2]
    with pytest.raises(ValueError, match=r"5 bins of the signal 'amount'.*, which has 8"):
        _calibration(reports)


def test_a_cycle_that_the_baseline_knows_is_no_cause() -> None:
    baseline = hourly_baseline()
    records = _records(hourly_reports([0.0] * 400, baseline.id))
    plan = BacktestPlan(RuleSet([]), lambda _: 1.0, 0.0, 1e12)
    [found] = calibrate(plan, lambda _: records, {baseline.id: baseline}.get).models
    assert [(it.signal, it.own.starts, it.causes) for it in found.signals] == [(SIGNAL, 0, [])]


def test_what_the_days_of_the_baseline_do_not_explain() -> None:
    baseline = hourly_baseline()
    drifts = [0.8 * (number % 40 < 20) for number in range(400)]
    records = _records(hourly_reports(drifts, baseline.id))
    plan = BacktestPlan(RuleSet([]), lambda _: 1.0, 0.0, 1e12)
    [found] = calibrate(plan, lambda _: records, {baseline.id: baseline}.get).models
    [signal] = found.signals
    assert signal.verdict == "not_kept" and _kinds(signal) == ["other_days"]
