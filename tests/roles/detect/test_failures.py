"""One slice that can't be closed is reported as failed, and harms nobody else."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from support.closing_models import BASELINES, BY_ID, MINUTE, MODELS, two_windows
from support.detector_bench import baselines
from support.world import WATCH, Logged, a_state, join_all, restored, saved
from tidegauge.alerting.ruleset import DEFAULT_RULES
from tidegauge.baseline.document import Baseline
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import encode
from tidegauge.contract.report import WindowReport
from tidegauge.roles.detect.status import SliceFailures
from tidegauge.roles.detect.window_closer import BaselineSupply, close_passed
from tidegauge.telemetry.health import Health
from tidegauge.telemetry.metrics import DetectMetrics
from tidegauge.windows.closing import Closing
from tidegauge.windows.inactivity import InactivityCheck
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.values import SliceMemory, TenureCounts

BAD = MODELS[5]


@pytest.fixture(scope="module")
def log() -> list[Logged]:
    return two_windows()


class Closed:
    """A partition whose passed windows were closed, after ``spoil`` had its way with the state."""

    def __init__(self, log: list[Logged], spoil: Callable[[PartitionState], None]) -> None:
        self.state = join_all(a_state(), log)
        spoil(self.state)
        self.state.pass_due()
        self.registry = CollectorRegistry()
        self.health = Health(clock=lambda: 0.0)
        self.failures = SliceFailures(DetectMetrics(self.registry), self.health)
        self.closing = Closing(
            self.state,
            rules=DEFAULT_RULES,
            topics=TopicSettings(),
            watch=WATCH,
            failures=self.failures,
        )

    def close(self) -> "Closed":
        supply = BaselineSupply(baselines(_baseline), lambda: 0.0)
        asyncio.run(close_passed(self.state, self.closing, supply))
        return self

    @property
    def reports(self) -> dict[tuple[str, int], bytes]:
        return {
            (it.record.model, it.record.window_start): encode(it.record)
            for it in self.state.outputs
            if isinstance(it.record, WindowReport)
        }

    def failed(self) -> float:
        labels = {"model": BAD}
        return self.registry.get_sample_value("tidegauge_failed_slices_total", labels) or 0.0


def _baseline(baseline_id: str) -> Baseline | None:
    return BY_ID.get(baseline_id)


def _nothing(state: PartitionState) -> None:
    pass


def _edit(state: PartitionState, tenure: str, edit: Callable[[Any], Any]) -> None:
    """Change what is said of the first window of the bad model, under this tenure's name."""
    for key, tenures in state.cells.items():
        if key.slice.model == BAD and key.window_start == MINUTE:
            [real] = tenures
            said = tenures[real]
            signals = edit(msgspec.json.decode(said.signals))
            tenures[tenure or real] = msgspec.structs.replace(
                said, signals=msgspec.Raw(msgspec.json.encode(signals))
            )


def _without_status(signals: Any) -> Any:
    del signals["status"]
    return signals


def _other_bins(signals: Any) -> Any:
    signals["amount"]["counts"] = [1, 2, 3, 4, 5, 6, 7]
    return signals


def _enormous(signals: Any) -> Any:
    signals["amount"]["counts"] = [2**63] * len(signals["amount"]["counts"])
    return signals


EDITS = [_without_status, _other_bins, _enormous, lambda _: [1], lambda _: {"status": 3}]


@pytest.mark.parametrize("edit", EDITS)
def test_what_does_not_fit_is_left_out_and_the_window_has_what_real_tenures_counted(
    log: list[Logged], edit: Callable[[Any], Any]
) -> None:
    sound = Closed(log, _nothing).close()
    spoilt = Closed(log, lambda state: _edit(state, "somebody", edit)).close()
    assert spoilt.reports == sound.reports and len(sound.reports) == 2 * len(MODELS)
    assert not spoilt.state.waiting and spoilt.failed() == 1
    assert sorted(it[:2] for it in saved(spoilt.state)) == sorted(
        it[:2] for it in saved(sound.state)
    )


@pytest.mark.parametrize("edit", EDITS)
def test_a_window_of_which_nothing_fits_is_let_go_and_all_others_are_reported(
    log: list[Logged], edit: Callable[[Any], Any]
) -> None:
    sound = Closed(log, _nothing).close()
    spoilt = Closed(log, lambda state: _edit(state, "", edit)).close()
    assert spoilt.reports.keys() == sound.reports.keys() - {(BAD, MINUTE)}
    others = {key: value for key, value in sound.reports.items() if key[0] != BAD}
    assert spoilt.reports.items() >= others.items()
    assert not spoilt.state.waiting and spoilt.failed() == 2


def test_a_slice_that_fails_is_named_until_a_window_of_it_is_reported(log: list[Logged]) -> None:
    spoilt = Closed(log, lambda state: _edit(state, "", _without_status))
    spoilt.failures.window_failed(next(iter(spoilt.state.waiting)), ValueError("bins"))
    ready, body = spoilt.health.ready()
    assert ready and body["status"] == "degraded" and MODELS[0] in str(body)
    spoilt.close()
    # Its second window was.
    assert spoilt.health.ready()[1]["status"] == "ok"


def test_it_is_the_same_after_a_crash(log: list[Logged]) -> None:
    def spoil(state: PartitionState) -> None:
        _edit(state, "", _without_status)

    first, second = Closed(log, spoil).close(), Closed(log, spoil).close()
    assert [encode(it.record) for it in first.state.outputs] == [
        encode(it.record) for it in second.state.outputs
    ]
    again = restored(saved(first.state))
    again.pass_due()
    assert not again.waiting and again.slices == first.state.slices


def test_what_the_detector_remembers_wrongly_costs_no_window(log: list[Logged]) -> None:
    def spoil(state: PartitionState) -> None:
        for key in state.cells:
            if key.slice.model == BAD:
                state.memories[key.slice] = SliceMemory(
                    through=1, baseline=BASELINES[BAD].id, counts=b"1", total=b"", squared=b"",
                    pooled=b"",
                )  # fmt: skip

    sound, spoilt = Closed(log, _nothing).close(), Closed(log, spoil).close()
    assert spoilt.reports.keys() == sound.reports.keys()
    assert spoilt.failed() == 0


def test_rules_that_fail_on_a_slice_cost_its_windows_alone(
    log: list[Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegauge.windows import closing

    evaluate = closing.evaluate

    def fails(rules: Any, report: WindowReport, *rest: Any, **options: Any) -> Any:
        if report.model == BAD:
            raise ZeroDivisionError("of a rule")
        return evaluate(rules, report, *rest, **options)

    sound = Closed(log, _nothing).close()
    monkeypatch.setattr(closing, "evaluate", fails)
    spoilt = Closed(log, _nothing).close()
    assert spoilt.reports == {k: v for k, v in sound.reports.items() if k[0] != BAD}
    assert not spoilt.state.waiting and spoilt.failed() == 2
    assert "ZeroDivisionError: of a rule" in str(spoilt.health.ready()[1])


def test_a_window_that_was_let_go_is_revised_by_late_events_that_fit(log: list[Logged]) -> None:
    spoilt = Closed(log, lambda state: _edit(state, "", _without_status)).close()
    state = spoilt.state
    [window] = [it for it in state.slices if it.model == BAD]
    fresh = join_all(a_state(), log)
    key, tenures = next(
        (k, v) for k, v in fresh.cells.items() if k.slice == window and k.window_start == MINUTE
    )
    late: TenureCounts = next(iter(tenures.values()))
    state.cells[key] = {"late": late}
    state.windows[next(w for w in fresh.windows if (w.slice, w.start) == (window, MINUTE))] = {
        key.baseline
    }
    spoilt.closing.revise(next(w for w in state.windows if (w.slice, w.start) == (window, MINUTE)))
    report = state.outputs[-1].record
    assert isinstance(report, WindowReport) and (report.revision, report.model) == (1, BAD)


def test_a_slice_that_cant_be_looked_at_for_silence_keeps_nobody_else_from_it(
    log: list[Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tidegauge.windows import inactivity as silence

    looked: list[str] = []
    due_at = silence.due_at

    def fails(rules: Any, quiet: Any, alerts: Any) -> float:
        looked.append(quiet.model)
        if quiet.model == BAD:
            raise ZeroDivisionError
        return due_at(rules, quiet, alerts)

    monkeypatch.setattr(silence, "due_at", fails)
    closed = Closed(log, _nothing).close()
    look = InactivityCheck(
        closed.state, rules=DEFAULT_RULES, topics=TopicSettings(), failures=closed.failures
    )
    look.look(closed.closing.closed)
    assert set(looked) == set(MODELS) and closed.failed() >= 1
