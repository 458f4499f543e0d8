"""A baseline that is accepted, be it ever so odd, ends no fold: its windows are reported."""

from typing import Any

import numpy as np
from hypothesis import given, settings, strategies as st

from support.counting import NOW, a_baseline, categorical, numeric, promote
from support.world import World, a_state, fold
from tidegauge.baseline.validation import MAX_COUNT, UnusableBaseline, read_baseline
from tidegauge.contract import encode
from tidegauge.contract.record import decode
from tidegauge.contract.report import WindowReport

COUNTS = st.one_of(st.sampled_from([0, 1, MAX_COUNT // 64]), st.integers(0, 10**6))
EDGES = st.one_of(
    st.sampled_from([-1.7e308, -1.0, 0.0, 5e-324, 1.0, 1e16, 1.7e308]),
    st.floats(allow_nan=False, allow_infinity=False),
)


@st.composite
def _numeric(draw: st.DrawFn) -> Any:
    edges = sorted(set(draw(st.lists(EDGES, max_size=30))))
    signal = numeric(edges, [draw(COUNTS) for _ in range(len(edges) + 1)])
    signal.missing, signal.nan = draw(COUNTS), draw(COUNTS)
    signal.mean = draw(st.none() | EDGES)
    signal.std = draw(st.sampled_from([None, 0.0, 1e308]))
    signal.minimum, signal.maximum = draw(st.sampled_from([(None, None), (-1e308, 1e308)]))
    return signal


@st.composite
def _categorical(draw: st.DrawFn) -> Any:
    signal = categorical("string", draw(st.lists(st.text(max_size=3), max_size=25, unique=True)))
    signal.counts = [*(draw(COUNTS) for _ in signal.counts[1:]), 0]
    signal.known_complete = draw(st.booleans())
    return signal


#: Windows of more events than the detector waits for, at a minute each.
WINDOWS, EVENTS = 2, 210


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["amount", "prediction"]), _numeric(), max_size=2),
    st.dictionaries(st.sampled_from(["country", "label"]), _categorical(), max_size=2),
    st.booleans(),
)
def test_windows_counted_by_whatever_is_accepted_are_reported(
    numbers: dict[str, Any], categories: dict[str, Any], alike: bool
) -> None:
    baseline = a_baseline(**(numbers | categories or {"amount": numeric([0.0])}))
    baseline.rows = MAX_COUNT
    try:
        baseline = read_baseline(baseline.to_json())
    except UnusableBaseline:
        return
    world = World(promote(baseline))
    state = a_state(seconds=60, grace_seconds=1, late_seconds=60)
    state.hold_baseline(baseline.id, baseline)
    for number in range(WINDOWS * EVENTS):
        value = 0.5 if alike else (-1.0) ** number * 10.0 ** (number % 300)
        time = NOW + number // EVENTS * 60
        world.event(0, time=time, prediction=value, features={"amount": value, "country": "x"})
        if number % EVENTS == EVENTS - 1:
            world.flush()
    world.now += 60.0 * WINDOWS + 300.0
    world.catch_up()
    world.flush()
    with np.errstate(all="ignore"):
        reports = fold(state, world.log).reports
    assert sum(report.events for report in reports) == WINDOWS * EVENTS
    for report in reports:
        assert decode(encode(report), WindowReport) is not None
