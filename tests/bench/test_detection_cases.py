"""Cases of everyday data: their true shares are those of what INGEST counts, and alarms show."""

from dataclasses import replace

import numpy as np
import pytest

from _detection_cases import CATEGORICAL, CLUSTERS, FIXED, RARE, SMALL_BASELINES, Case
from _detection_first_day import SIGNALS, Day, first_day
from _detection_hours import BATCH, NOISE, WORLDS as BY_HOUR, World, baseline_of, hours
from _detection_part import Options, Part
from _detection_parts import PARTS
from _detection_phases import FULL, phases

ALIKE = (CATEGORICAL[0], CATEGORICAL[2], RARE[0], RARE[3], SMALL_BASELINES[1], CLUSTERS[1])


@pytest.mark.parametrize("case", ALIKE, ids=str)
def test_true_shares_are_those_of_what_is_counted(case: Case) -> None:
    rng = np.random.default_rng(1)
    layout = case.watched(2, rng).layout
    for name in layout.names:
        bins = layout.bins[name]
        expected = case.law.shares(bins.signal)
        found = np.array(bins.current(case.law.histogram(bins.signal, 100_000, rng)))
        if bins.range is not None:
            # Of what is outside of the range a window tells what is so at the least.
            assert found[-1] / 100_000 <= expected[-1] + 0.001
            ordered = len(bins.signal.counts)
            for its in (found, expected):
                its[ordered - 1] += its[-1] + its[0]
                its[0] = its[-1] = 0
        assert expected.sum() == pytest.approx(1)
        assert np.abs(found / 100_000 - expected).max() < 0.006


def test_a_baseline_of_repeated_rows_has_as_many_rows_as_it_says() -> None:
    baseline = CLUSTERS[1].baseline(2, np.random.default_rng(2))
    assert all(sum(its.counts) == baseline.rows for its in baseline.signals.values())
    assert baseline.dependence
    assert min(baseline.dependence.design_effects.values()) == pytest.approx(2, rel=0.05)


def test_an_alarm_that_never_ends_starts_once_and_is_in_all_windows() -> None:
    unknown, known = (
        next(it for it in CLUSTERS if it.each == 50 and it.known == how) for how in ("", "entity")
    )
    first, later = phases(unknown, signals=10, windows=20, seed=1)
    assert first.starts == 10 and first.in_alarm > 0.99 and first.ever == 1
    assert later.starts == 0 and later.in_alarm == 1 and later.many_in_alarm == 1
    assert first.allowed == pytest.approx(10 * FULL / 43_200)
    for phase in phases(known, signals=10, windows=20, seed=1):
        assert phase.in_alarm < 0.01


def test_the_reasons_are_those_of_the_budget() -> None:
    *_, last = phases(SMALL_BASELINES[0], signals=3, windows=1, seed=1)
    assert last.reasons == ["small_baseline", "without_hours"]
    by_rows = next(it for it in CLUSTERS if it.known == "order of rows")
    *_, last = phases(by_rows, signals=3, windows=1, seed=1)
    assert "clustering" in last.reasons


def test_the_first_day_sends_what_the_rules_say() -> None:
    quiet = first_day(Day("quiet", RARE[0], 1, 20), seed=1)
    assert quiet.sent == {} and quiet.windows == 20
    clusters = replace(CLUSTERS[1], known="", each=50)
    loud = first_day(Day("loud", clusters, 1, 20), seed=1)
    assert set(loud.sent) & {"many-features-drift", "feature-drift", "drift", "drift-retrain"}
    assert SIGNALS == 20


def test_a_level_off_by_the_hour_is_in_alarm_and_one_that_varies_as_before_is_not() -> None:
    moved = World("moved", NOISE.level, amplitude=20.0)
    first, later = hours(moved, signals=1, windows=70, seed=1)
    assert first.in_alarm > 0.5 and later.in_alarm == 1 and later.reasons == []
    assert all(it.in_alarm == 0 for it in hours(NOISE, signals=1, windows=70, seed=1))


def test_baselines_have_what_their_user_gave_and_create_finds() -> None:
    rng = np.random.default_rng(3)
    found = {
        it.name: baseline_of(it, {"s0": it.counts(1, rng)[0]}).daily
        for it in BY_HOUR
        if it is BATCH or it.zone == "Europe/Berlin" or it.holidays == "DE"
    }
    batch, berlin, holidays = (it.calendar for it in found.values() if it)
    assert batch and [(it.begin_seconds, it.end_seconds) for it in batch.slots] == [(7500, 8100)]
    assert berlin and berlin.time_zone == "Europe/Berlin" and not berlin.slots
    assert holidays and "2026-04-03" in holidays.holidays and holidays.day_kinds == [4] * 7


def test_no_two_cases_share_a_name() -> None:
    assert len(set(map(str, FIXED))) == len(FIXED)


def test_a_part_prints_a_table_and_yields_figures_by_case(
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = Part()
    found = list(PARTS["sizes"](part, Options(quick=True, seed=1)))
    assert ("size_over_true", "mean 1 sd, 64 windows") in {it[:2] for it in found}
    (text,) = part.texts
    assert text.startswith("| step | windows since |")
    assert "1 sd, PSI 0.980 | 64" in capsys.readouterr().out
