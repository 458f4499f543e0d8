"""Windows that the watermark has passed are closed together, as if one after the other."""

import asyncio

import pytest

from support.closing_models import BASELINES, BY_ID, MINUTE, MODELS, two_windows
from support.detector_bench import baselines
from support.world import WATCH, Logged, a_state, join_all, saved
from tidegauge.alerting.ruleset import DEFAULT_RULES
from tidegauge.baseline.document import Baseline
from tidegauge.config.sections import TopicSettings
from tidegauge.contract import encode
from tidegauge.roles.detect.window_closer import (
    AT_ONCE,
    BaselineSupply,
    close_passed,
    of_different_slices,
)
from tidegauge.windows.closing import Closing
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.values import Counts


@pytest.fixture(scope="module")
def log() -> list[Logged]:
    return two_windows()


def _passed(log: list[Logged]) -> PartitionState:
    state = join_all(a_state(), log)
    state.pass_due()
    return state


def _closing(state: PartitionState) -> Closing:
    return Closing(state, rules=DEFAULT_RULES, topics=TopicSettings(), watch=WATCH)


def _outputs(state: PartitionState) -> list[tuple[str, str, bytes]]:
    return [(it.topic, it.key, encode(it.record)) for it in state.outputs]


def _supply(missing: str = "") -> BaselineSupply:
    def get(baseline_id: str) -> Baseline | None:
        return None if baseline_id == missing else BY_ID[baseline_id]

    return BaselineSupply(baselines(get), lambda: 0.0)


def test_they_lead_to_the_same_bytes_as_one_after_the_other(log: list[Logged]) -> None:
    state, alone = _passed(log), _passed(log)
    asyncio.run(close_passed(state, _closing(state), _supply()))
    for baseline_id, baseline in BY_ID.items():
        alone.hold_baseline(baseline_id, baseline)
    closing = _closing(alone)
    for counts in list(alone.waiting.values()):
        closing.close_together([counts])
    assert not state.waiting and len(_outputs(state)) >= 2 * len(MODELS)
    assert _outputs(state) == _outputs(alone)
    assert sorted(it[:2] for it in saved(state)) == sorted(it[:2] for it in saved(alone))


def test_a_window_without_its_baseline_holds_back_those_of_its_slice(
    log: list[Logged],
) -> None:
    state, model = _passed(log), MODELS[3]
    asyncio.run(close_passed(state, _closing(state), _supply(BASELINES[model].id)))
    assert [(it.slice.model, it.start) for it in state.waiting] == [
        (model, MINUTE),
        (model, MINUTE + 60),
    ]


def test_those_of_one_slice_are_closed_one_by_one(log: list[Logged]) -> None:
    waiting = list(_passed(log).waiting.values())
    blocks: list[list[Counts]] = list(of_different_slices(waiting))
    assert [it for block in blocks for it in block] == waiting
    for block in blocks:
        assert len({it.window.slice for it in block}) == len(block) <= AT_ONCE
    assert max(map(len, blocks)) > 1
