"""Bytewax: a fold over tumbling windows of event time, one worker."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from _counting import Contest, Histograms
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import Stream
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

contest = Contest()
job, counter = contest.job, contest.counter

WINDOW = timedelta(seconds=job["window_seconds"])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode(message: KafkaSourceMessage[bytes, bytes]) -> tuple[str, dict[str, Any]]:
    """Return (model, event)."""
    event = json.loads(message.value)
    contest.mark()
    return event["model"], event


def event_time(event: dict[str, Any]) -> datetime:
    """Event time of an event."""
    return datetime.fromtimestamp(event["time"], UTC)


def merge(one: Histograms, other: Histograms) -> Histograms:
    """Add up windows; tumbling ones never merge."""
    return [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(one, other, strict=True)]


class Result(StatelessSinkPartition[tuple[str, tuple[int, Histograms]]]):
    """Takes closed windows."""

    def write_batch(self, items: Iterable[tuple[str, tuple[int, Histograms]]]) -> None:
        """Keep them."""
        for model, (window, counts) in items:
            contest.add_window(model, window * job["window_seconds"], counts)


class ResultSink(DynamicSink[tuple[str, tuple[int, Histograms]]]):
    """Where closed windows go."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Result:
        """Make the one worker's part."""
        return Result()


flow = Dataflow("histograms")
source = KafkaSource(
    [job["servers"]],
    [job["topic"]],
    tail=False,
    # The settings of librdkafka that its other users here have, and batches as large.
    add_config={"fetch.queue.backoff.ms": "2", "queued.min.messages": "1000000"},
    batch_size=4000,
)
messages: Stream[Any] = op.input("predictions", flow, source)
events = op.map("decode", messages, decode)
windows = win.fold_window(
    "window",
    events,
    # Partitions are read at different speeds and a watermark is the model's: waiting keeps what
    # comes from a slower one from being late.
    win.EventClock(event_time, wait_for_system_duration=timedelta(hours=1)),
    win.TumblingWindower(length=WINDOW, align_to=EPOCH),
    counter.empty,
    counter.add_event,
    merge,
    ordered=False,
)
op.output("result", windows.down, ResultSink())

cli_main(flow)
contest.finish()
