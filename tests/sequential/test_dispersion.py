"""By how much more than sampling a signal varied, against processes whose variance is known."""

import numpy as np
import pytest

from support.days import MINUTES, counted, learned, levels
from tidegauge.sequential.dispersion import MOST_DEGREES, dispersion_of
from tidegauge.sequential.expected import BINS, MEAN, SHAPE, SPREAD
from tidegauge.sequential.reference import Reference, SignalReference


def test_independent_events_have_no_more_than_the_errors_of_the_estimate() -> None:
    rng = np.random.default_rng(1)
    dispersion = learned(counted(levels(14, rng, cycle=0.2), 1_000, rng)).daily.dispersion
    seconds = np.asarray(dispersion.seconds)
    per_block = 1_000 * seconds / 60
    for direction in (SHAPE, MEAN, SPREAD, BINS):
        beyond = dispersion.excess[0, :, direction] * per_block
        errors = 2 * np.sqrt(2 / (14 * 86_400 / seconds))
        assert np.all(beyond < 2.5 * errors)
    assert dispersion.degrees[0, 0].min() > 300
    assert dispersion.by_hour.max() < 6  # of next to nothing


@pytest.mark.parametrize("keep", [0.9, 0.98])
def test_a_wandering_level_is_found_on_every_span(keep: float) -> None:
    rng = np.random.default_rng(2)
    noise = 0.1
    level = levels(28, rng, cycle=0.3, noise=noise, keep=keep)
    dispersion = learned(counted(level, 1_000, rng)).daily.dispersion
    lags = np.arange(MINUTES)
    for row, seconds in enumerate(dispersion.seconds[:-1]):
        size = int(seconds // 60)
        apart = np.abs(np.subtract.outer(lags[:size], lags[:size]))
        variance = noise**2 * (keep**apart).mean()  # of the mean of so many minutes
        assert dispersion.excess[0, row, MEAN] == pytest.approx(variance, rel=0.6)
        assert dispersion.excess[0, row, MEAN] > 0.95 * variance


def test_days_that_differ_leave_few_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    level = levels(14, rng, cycle=0.2) + np.repeat(rng.normal(0, 0.1, 14), MINUTES)
    dispersion = learned(counted(level, 1_000, rng)).daily.dispersion
    assert np.all(dispersion.degrees[0, :, MEAN] < 40)
    assert np.all(dispersion.degrees[0, :-1, SPREAD] > 40)
    assert dispersion.excess[0, 2, MEAN] > 0.007


def test_nights_that_vary_more_do_so_by_hour() -> None:
    rng = np.random.default_rng(4)
    level = levels(14, rng, cycle=0.2, noise=0.1, keep=0.95)
    quiet = levels(14, rng, cycle=0.2)
    night = np.arange(len(level)) % MINUTES < 480
    blocks = counted(np.where(night, level, quiet), 1_000, rng)
    by_hour = learned(blocks).daily.dispersion.by_hour[0]
    assert by_hour[1:7].min() > 1.5
    assert by_hour[10:22].max() < 1.2


def test_a_spread_that_follows_from_a_wandering_mean_is_skewed() -> None:
    rng = np.random.default_rng(5)
    level = levels(28, rng, cycle=0.3, noise=0.2, keep=0.95)
    dispersion = learned(counted(level, 1_000, rng)).daily.dispersion
    assert dispersion.skewness[0, 3, SPREAD] > 0.5
    steady = learned(counted(levels(14, rng, cycle=0.3), 1_000, rng)).daily.dispersion
    assert steady.skewness[0, 3:, MEAN] == pytest.approx(0)


def test_a_thin_baseline_is_known_over_long_spans_alone() -> None:
    rng = np.random.default_rng(6)
    blocks = counted(levels(14, rng, cycle=0.2), 10, rng)
    dispersion = learned(blocks).daily.dispersion
    assert dispersion.seconds == [3600, 14_400, 86_400]
    excess, _, _ = dispersion.over(np.array([60.0, 3600.0]))
    assert excess[0, 0, MEAN] == pytest.approx(60 * excess[1, 0, MEAN])


def test_too_thin_a_baseline_is_refused() -> None:
    rng = np.random.default_rng(6)
    blocks = (rng.random((14, MINUTES, 2)) < 0.04).astype(float)
    pooled = Reference.of([SignalReference(blocks.sum(axis=(0, 1)).astype(int).tolist(), 0)])
    with pytest.raises(ValueError, match="fewer than 200 events"):
        dispersion_of(pooled, blocks)


def test_bins_that_were_never_hit_are_as_good_as_known() -> None:
    rng = np.random.default_rng(8)
    dispersion = learned(counted(levels(14, rng, cycle=0.0), 1_000, rng)).daily.dispersion
    assert np.all(dispersion.excess[0, :, -2:] == 0)
    assert np.all(dispersion.degrees[0, :, -2:] == MOST_DEGREES)


def test_blocks_longer_than_an_hour_tell_no_hour_from_another() -> None:
    rng = np.random.default_rng(9)
    dispersion = learned(counted(levels(14, rng, cycle=0.2), 1, rng)).daily.dispersion
    assert dispersion.seconds == [14_400, 86_400]
    assert np.all(dispersion.by_hour == 1)


def test_a_signal_that_never_varied_has_no_excess_in_any_hour() -> None:
    blocks = np.zeros((14, MINUTES, 3))
    blocks[:, :, 1] = np.random.default_rng(8).poisson(300, (14, MINUTES))
    found = dispersion_of(Reference.of([SignalReference([0, 1_000, 0], 3)]), blocks)
    assert found.excess.max() < 1e-15  # of rounding
    assert np.array_equal(found.by_hour, np.ones(24))
