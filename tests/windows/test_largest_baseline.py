"""The largest baselines there can be, and the largest counts: every record fits its topic."""

import asyncio
import functools
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from support.counting import NOW, a_baseline, categorical, numeric
from support.world import a_state, advance, decoded, restored, writes
from tidegauge.baseline.document import Baseline
from tidegauge.baseline.validation import (
    MAX_BINS,
    MAX_CELL_BYTES,
    MAX_COUNT,
    MAX_NAME_BYTES,
    MAX_SIGNALS,
    largest_cell_bytes,
    validate,
)
from tidegauge.config.sections import MAX_RECORD_BYTES
from tidegauge.contract import encode
from tidegauge.contract.alert import DataRange
from tidegauge.contract.record import decode
from tidegauge.contract.report import WindowReport
from tidegauge.counting.plan import make_plan
from tidegauge.counting.tenure import Position, Tenure
from tidegauge.roles.detect.writer import MAX_OUTPUT_BYTES, Writer
from tidegauge.windows.changelog import Changelog
from tidegauge.windows.outputs import Output
from tidegauge.windows.partition import PartitionState
from tidegauge.windows.parts import PART_BYTES

PARTITIONS = 200

MINUTE = int(NOW // 60 * 60)

#: Kafka's default: topics of actions and facts are made with it.
DEFAULT_MESSAGE_BYTES = 1024 * 1024


@functools.cache
def _widest(signals: int, bins: int, name_bytes: int) -> Baseline:
    """Return a baseline of so many signals, or as many of these as a baseline can have."""
    edges = [float(i) for i in range(bins - 1)]
    counts = [1_000] * bins
    names = [f"{i:05}".ljust(name_bytes, "n") for i in range(signals)]
    while True:
        baseline = a_baseline(**{name: numeric(edges, counts) for name in names})
        baseline.rows = 1_000 * bins
        if largest_cell_bytes(baseline) <= MAX_CELL_BYTES:
            validate(baseline)
            return baseline
        names = names[: int(len(names) * MAX_CELL_BYTES / largest_cell_bytes(baseline))]


WIDEST = [(MAX_SIGNALS, 27, MAX_NAME_BYTES), (MAX_SIGNALS, MAX_BINS, 5)]


def _records(baseline: Baseline, counts: Any, window: int = 0) -> list[bytes]:
    positions = {
        p: Position(origin=2**61, start=2**61, since=2**61, to=2**62, arrived=NOW)
        for p in range(PARTITIONS)
    }
    tenure = Tenure(began=NOW, positions=positions)
    now = MINUTE + 60.0 * window + 59.0
    for position in positions.values():
        position.event_clock.note(np.array([now]))
        position.event_clock.read(now)
    plan = make_plan("m", "1", baseline.id, baseline)
    segment = tuple((f"{i:0200}", "v" * 200) for i in range(10))
    for its in ((), segment):
        cell = tenure.cell(plan, "", its, MINUTE + 60 * window, 60)
        cell.counts[:] = counts
        cell.sums[:] = cell.minima[:] = -1.7976931348623157e308
        cell.sumsqs[:] = cell.maxima[:] = 1.7976931348623157e308
        cell.events, cell.changed = 210, True
    return [
        value
        for _, value in tenure.records(
            now=now, monotonic=NOW, idle_seconds=10.0, source="predictions",
            sources=PARTITIONS, destinations=1,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("signals", "bins", "name_bytes"), WIDEST)
def test_a_cell_of_the_largest_baseline_is_a_record_whatever_it_counts(
    signals: int, bins: int, name_bytes: int
) -> None:
    baseline = _widest(signals, bins, name_bytes)
    records = _records(baseline, MAX_COUNT)
    assert len(records) == 2, "each cell is a record of its own"
    assert 0.5 * MAX_RECORD_BYTES < max(map(len, records)) < MAX_RECORD_BYTES - 64 * 1024
    assert [r.to > r.since for r in decoded(records[-1]).ranges.values()] == [True] * PARTITIONS


class _Producer:
    """Takes what Kafka's client and the topics of this project take."""

    def __init__(self) -> None:
        self.sent: dict[str, list[bytes]] = {}

    async def send(self, topic: str, key: bytes, value: bytes, *rest: Any) -> Any:
        if len(key) + len(value) + sum(len(v) for _, v in rest[-1]) > MAX_RECORD_BYTES - 1_000:
            raise ProducerSendError("no") from MessageSizeTooLargeError("no")
        self.sent.setdefault(topic, []).append(value)
        answer = asyncio.get_running_loop().create_future()
        answer.set_result(SimpleNamespace(offset=0))
        return answer


class _Offsets:
    def data(self, topic: str, covered: object, *, since: float, until: float) -> DataRange:
        return DataRange(since=since, until=until, offsets=[])


def _writer(producer: Any, refused: list[Output]) -> Writer:
    return Writer(
        SimpleNamespace(producer=producer),
        "changelog",
        _Offsets(),  # type: ignore[arg-type]
        baselines=cast(Any, SimpleNamespace(pointers={})),
        source="/d",
        mode="structured",
        unsound=lambda _: {},
        on_refused=refused.append,
    )


@functools.cache
def _drifted() -> tuple[PartitionState, list[Output]]:
    return _folded(_widest(*WIDEST[0]), windows=3)


def _folded(baseline: Baseline, windows: int) -> tuple[PartitionState, list[Output]]:
    """Fold windows in which everything has drifted to the last bin."""
    state = a_state(seconds=60, grace_seconds=1, late_seconds=60)
    state.hold_baseline(baseline.id, baseline)
    plan = make_plan("m", "1", baseline.id, baseline)
    counts = np.zeros(plan.size, dtype=np.int64)
    for signal in (*plan.numeric, *plan.categorical):
        counts[signal.offset + signal.bins - 1] = 2**50
    outputs: list[Output] = []
    for window in range(windows):
        for offset, record in enumerate(_records(baseline, counts, window)):
            state.join(decoded(record), 2 * window + offset)
            with np.errstate(all="ignore"):
                advance(state)
            outputs += state.take_outputs()
    return state, outputs


def test_all_that_is_published_of_the_largest_baseline_fits_its_topics_if_all_of_it_drifts() -> (
    None
):
    state, outputs = _drifted()
    producer, refused = _Producer(), list[Output]()
    asyncio.run(_writer(producer, refused).publish(outputs))
    assert refused == []
    assert {topic.rpartition(".")[2] for topic in producer.sent} >= {
        "windows",
        "alerts",
        "audit-facts",
    }
    for topic, values in producer.sent.items():
        large = topic.endswith(("windows", "alerts", "alerts.history"))
        most = MAX_OUTPUT_BYTES if large else DEFAULT_MESSAGE_BYTES
        assert max(map(len, values)) < most, topic
    changelog = Changelog(state)
    changelog.begin()
    written = writes(changelog.checkpoint())
    assert max(len(value) for _, value, *_ in written if value) < PART_BYTES + 100
    again = restored(written, seconds=60, grace_seconds=1, late_seconds=60)
    assert again.baselines == state.baselines and again.memories == state.memories
    assert again.slices == state.slices


def _reports(outputs: list[Output]) -> list[WindowReport]:
    return [it.record for it in outputs if isinstance(it.record, WindowReport)]


def test_a_report_that_is_too_large_keeps_all_signals_and_the_details_of_the_worst() -> None:
    _, outputs = _drifted()
    whole = _reports(outputs)[-1]
    assert len(encode(whole)) > MAX_RECORD_BYTES, "or this shows nothing"
    producer = _Producer()
    asyncio.run(_writer(producer, []).publish([Output("windows", "m", whole)]))
    body = decode(producer.sent["windows"][0], dict)["data"]  # type: ignore[type-arg]
    [shown], [all_of_it] = body["parts"], whole.parts
    assert shown["signals"].keys() == all_of_it.signals.keys()
    detailed = {
        name: signal["evidence"]["change"]["rank"]
        for name, signal in shown["signals"].items()
        if signal["evidence"] and signal["evidence"]["change"]
    }
    assert sorted(detailed.values()) == list(range(1, len(detailed) + 1))
    assert len(detailed) in (1_000, 300, 100, 30, 10)
    for name, signal in shown["signals"].items():
        known = all_of_it.signals[name]
        assert signal["histogram"]["counts"] == known.histogram.counts
        assert (signal["evidence"] is None) == (known.evidence is None)


def test_an_output_that_its_topic_refuses_holds_up_no_other_and_is_said() -> None:
    class Refusing(_Producer):
        async def send(self, topic: str, key: bytes, value: bytes, *rest: Any) -> Any:
            if key == b"at once":
                raise ProducerSendError("no") from MessageSizeTooLargeError("no")
            answer = await super().send(topic, key, value, *rest)
            if key == b"by the broker":
                answer = asyncio.get_running_loop().create_future()
                answer.set_exception(MessageSizeTooLargeError("no"))
            return answer

    baseline = a_baseline(c=categorical("string", ["a"]))
    _, outputs = _folded(baseline, windows=3)
    report = _reports(outputs)[0]
    some = [Output("windows", key, report) for key in ("1", "at once", "2", "by the broker", "3")]
    producer, refused = Refusing(), list[Output]()
    asyncio.run(_writer(producer, refused).publish(some))
    assert [output.key for output in refused] == ["at once", "by the broker"]
    assert len(producer.sent["windows"]) == 4


def test_what_else_goes_wrong_as_an_output_is_sent_is_raised() -> None:
    class Failing(_Producer):
        async def send(self, *rest: Any) -> Any:
            raise ProducerSendError("the broker is away")

    _, outputs = _folded(a_baseline(c=categorical("string", ["a"])), windows=2)
    with pytest.raises(ProducerSendError, match="away"):
        asyncio.run(_writer(Failing(), []).publish(outputs))
