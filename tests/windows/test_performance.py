"""What is reported of cohorts is what their labels say, once, and the same after every crash."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from support.counting import NOW, a_baseline
from support.outcome_world import COHORT_SECONDS, MODEL, TARGET, OutcomeWorld, Seen
from support.world import Logged, Written, a_state, taken_over, writes
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.outcomes import BaselineOutcomes
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import PerformanceReport, encode
from tidegauge.outcomes.counts import OutcomeCounts
from tidegauge.windows import performance
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.cohort_parts import MOST_GROUPS
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.performance import PerformanceClosing, ReferenceFigures, report_key

WINDOWS = {"seconds": 60, "grace_seconds": 10, "late_seconds": 60}
TOPIC = TopicSettings().performance

Published = dict[str, bytes]


def fold(state: PartitionState, log: Sequence[Logged]) -> None:
    """Join records, and report what is due after each, as the detector does."""
    for offset, record in log:
        state.join(record, offset)
        state.pass_outcomes()
        closing = PerformanceClosing(state, topic=TOPIC, references=ReferenceFigures())
        for window in state.outcomes.due():
            if closing.may_go_on:
                closing.close(window)


def _publish(state: PartitionState, published: Published) -> list[PerformanceReport]:
    """Publish what there is; what was published already must have the same bytes."""
    found = []
    for output in state.take_outputs():
        assert isinstance(output.record, PerformanceReport)
        record = encode(output.record)
        assert published.setdefault(output.record.id, record) == record
        assert output.key == report_key(output.record)
        found.append(output.record)
    return found


def reports(log: Sequence[Logged]) -> list[PerformanceReport]:
    state = a_state(**WINDOWS)
    fold(state, log)
    return _publish(state, {})


def newest(found: Sequence[PerformanceReport]) -> dict[tuple[Any, ...], PerformanceReport]:
    return {(it.version, it.variant, tuple(it.group.items()), it.cohort_start): it for it in found}


@st.composite
def worlds(draw: st.DrawFn) -> OutcomeWorld:
    world = OutcomeWorld()
    ids: list[str] = []
    for step in range(draw(st.integers(2, 6))):
        for _ in range(draw(st.integers(0, 3))):
            id = f"{step}-{len(ids)}"
            ids.append(id)
            version, region = draw(st.tuples(st.sampled_from("12"), st.sampled_from(["EU", "US"])))
            world.predict(id, draw(st.floats(0, 1)), version=version, region=region)
        for id in draw(st.lists(st.sampled_from(ids), max_size=3)) if ids else []:
            world.label(id, draw(st.integers(0, 1)))
        if draw(st.booleans()):
            world.move(draw(st.integers(0, 1)))
        world.flush(*draw(st.sampled_from([("a", "b"), ("b",), ("a",)])))
        world.now += draw(st.sampled_from([1.0, 61.0, 1800.0, 7200.0]))
    world.flush()
    world.now += 200
    world.flush()
    return world


@settings(max_examples=25)
@given(worlds())
def test_the_newest_report_of_each_part_is_that_of_its_rows(world: OutcomeWorld) -> None:
    found = newest(reports(world.log))
    rows: dict[tuple[Any, ...], list[Seen]] = {}
    for one in world.seen.values():
        start = int(one.time // COHORT_SECONDS * COHORT_SECONDS)
        for group in ((), *((it,) for it in one.axes.groups)):
            rows.setdefault((one.axes.version, one.axes.variant, group, start), []).append(one)
    assert found.keys() == rows.keys()
    for part, its in rows.items():
        labelled = [one for one in its if one.actual is not None]
        performance = found[part].performance
        assert (performance.predicted, performance.labelled) == (len(its), len(labelled))
        actual = [one.actual for one in labelled]
        predicted = [int(one.score >= 0.5) for one in labelled]
        accuracy = performance.figures["accuracy"]
        if not labelled:
            assert accuracy.value is None and accuracy.reason == "no_labels"
            continue
        assert accuracy.value == pytest.approx(accuracy_score(actual, predicted))
        matrix = confusion_matrix(actual, predicted, labels=[0, 1]).tolist()
        assert performance.confusion == matrix
        if any(actual) or any(predicted):
            f1 = f1_score(actual, predicted)
            assert (performance.figures["f1"].value or 0.0) == pytest.approx(f1)


@settings(max_examples=25)
@given(worlds(), st.data())
def test_crashes_and_torn_checkpoints_change_no_byte_of_any_report(
    world: OutcomeWorld, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Reached at once, so that cohorts wait for the next second of the log.
        patch.setattr(performance, "MOST_A_SECOND", 2)
        _crashes_and_torn_checkpoints(world, data)


def _crashes_and_torn_checkpoints(world: OutcomeWorld, data: st.DataObject) -> None:
    undisturbed = a_state(**WINDOWS)
    fold(undisturbed, world.log)
    expected: Published = {}
    _publish(undisturbed, expected)
    worker, written, published = Changelog(a_state(**WINDOWS)), list[Written](), Published()
    worker.restored()
    while rest := [at for at in world.log if at[0] >= worker.state.progress.next_offset]:
        count = data.draw(st.integers(1, len(rest)), label="records")
        fold(worker.state, rest[:count])
        then = data.draw(st.sampled_from(["publish", "save", "torn", "crash"]), label="then")
        if then != "crash":
            _publish(worker.state, published)
        if then in ("save", "torn"):
            saved = writes(worker.checkpoint())
            torn = data.draw(st.integers(0, len(saved) - 1)) if then == "torn" and saved else None
            written += saved[:torn]
        if then in ("torn", "crash"):
            worker = taken_over(written, **WINDOWS)
    _publish(worker.state, published)
    assert published == expected


def test_a_report_is_published_once_until_a_count_changes_it() -> None:
    world = OutcomeWorld()
    world.predict("x", 0.9)
    world.predict("y", 0.2)
    world.label("x", 1)
    world.flush()
    for _ in range(5):
        world.now += 60
        world.flush()
    (first,) = reports(world.log)
    assert (first.revision, first.performance.labelled, first.baseline) == (0, 1, "of-1")
    world.label("x", 0)  # corrected: it counts once
    world.now += 120
    world.flush()
    _, second = reports(world.log)
    assert (second.revision, second.performance.labelled) == (1, 1)
    assert second.performance.figures["accuracy"].value == 0.0
    assert second.id != first.id and report_key(second) == report_key(first)
    # Two predictions, and two labels.
    assert sum(one.to for one in second.counted) == 4


def _labelled_baseline() -> Baseline:
    """Return a baseline with 100 labelled rows, of which 90 were predicted right."""
    counts = OutcomeCounts(TARGET)
    score = np.where(np.arange(100) % 2, 0.8, 0.2)
    actual = (np.arange(100) % 2 ^ (np.arange(100) < 10)).astype(np.float64)
    none = np.full(100, 65_535, dtype=np.uint16)
    counts.add(score, none, actual, np.zeros(100))
    outcomes = BaselineOutcomes(
        target=TARGET, predicted=100, labelled=100, performance=counts.to_tally()
    )
    return msgspec.structs.replace(a_baseline(), outcomes=outcomes)


def test_figures_are_compared_with_those_of_the_baseline() -> None:
    world = OutcomeWorld()
    for number in range(200):
        world.predict(f"{number}", 0.8 if number % 2 else 0.2)
        world.label(f"{number}", (number + (number < 60)) % 2)
    world.flush()
    world.now += 120
    world.flush()
    state = a_state(**WINDOWS)
    state.hold_baseline("of-1", _labelled_baseline())
    fold(state, world.log)
    (report,) = _publish(state, {})
    assert report.baseline_figures["accuracy"] == 0.9
    worse = report.worsening["accuracy"]
    assert worse.value == pytest.approx((0.9 - 0.7) / 0.9)
    assert worse.low is not None and worse.low > 0.05, "beyond chance"
    # Of figures without a value on either side there is nothing to compare.
    assert "f1" in report.worsening and "brier" not in report.worsening


def test_versions_and_groups_are_reported_apart_and_the_groups_of_most_labels_only() -> None:
    world = OutcomeWorld()
    for number in range(MOST_GROUPS + 5):
        for again in range(1 + number % 3):
            id = f"{number}-{again}"
            world.predict(id, 0.9, variant="canary", shop=f"shop {number:02}", region="EU")
            world.label(id, 1)
    world.predict("other", 0.1, version="2")
    world.flush()
    world.now += 120
    world.flush()
    found = newest(reports(world.log))
    assert ("2", "", (), int(NOW // 3600 * 3600)) in found
    assert ("1", "canary", (("region", "EU"),), int(NOW // 3600 * 3600)) in found
    groups = [one for one in found.values() if one.group]
    assert len(groups) == MOST_GROUPS
    shops = [it.performance.labelled for it in groups if "shop" in it.group]
    assert min(shops) == 1 and sum(count == 3 for count in shops) == 18


def test_a_cohort_is_mature_once_older_ones_show_that_its_labels_have_come() -> None:
    world = OutcomeWorld()
    world.now = NOW // 3600 * 3600 + 1.0
    ids = [[f"{hour}-{number}" for number in range(30)] for hour in range(6)]
    for hour, its in enumerate(ids):
        for id in its:
            world.predict(id, 0.9)
        world.flush()
        world.now += 1200
        for id in its:
            world.label(id, 1)
        world.flush()
        world.now += 2400
        world.flush()
        assert hour < 6
    found = newest(reports(world.log))
    by_start = [found[key] for key in sorted(found)]
    # Labels come within 20 to 30 minutes: of the oldest cohorts that is known, of the last not yet.
    assert [one.mature for one in by_start][:3] == [True, True, True]
    assert not by_start[-1].mature
    assert by_start[0].performance.figures["label_delay_p90"].value == pytest.approx(1500, abs=300)


def test_counts_that_do_not_fit_their_target_are_left_out_and_the_rest_is_reported() -> None:
    world = OutcomeWorld()
    world.predict("x", 0.9)
    world.now += 2 * 3600
    world.predict("y", 0.9)
    world.flush()
    state = a_state(**WINDOWS)
    for offset, record in world.log:
        state.join(record, offset)
    first = min(state.outcomes.cells)
    ((tenure, one),) = state.outcomes.cells[first].items()
    strata = json.loads(bytes(one.strata))
    strata[0]["predicted"] = {"bins": [9000], "counts": [1]}
    wrong = msgspec.structs.replace(one, strata=msgspec.Raw(json.dumps(strata).encode()))
    state.outcomes.cells[first] = {tenure: one, "somebody": wrong}
    state.pass_outcomes()
    failed: list[str] = []

    class Noted:
        def failed(self, where: Any, what: str, error: Exception) -> None:
            failed.append(f"{what}: {error}")

        def window_failed(self, window: Any, error: Exception) -> None:
            raise error

        def went_well(self, where: Any) -> None:
            pass

    closing = PerformanceClosing(
        state, topic=TOPIC, references=ReferenceFigures(), failures=Noted()
    )
    for window in state.outcomes.due():
        closing.close(window)
    assert len(failed) == 1 and "bin 9000" in failed[0]
    assert len(state.take_outputs()) == 2 and not state.outcomes.due()
    assert set(state.outcomes.cells[first]) == {tenure}
    assert first.model == MODEL


def test_a_report_comes_back_from_its_bytes() -> None:
    world = OutcomeWorld()
    for number in range(40):
        world.predict(f"{number}", number / 40, region="EU")
        world.label(f"{number}", number % 3 // 2)
    world.flush()
    world.now += 200
    world.flush()
    for one in reports(world.log):
        assert msgspec.json.decode(encode(one), type=PerformanceReport) == one
