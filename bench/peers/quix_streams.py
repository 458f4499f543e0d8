"""Quix Streams: a tumbling window of event time, reduced; windows come out when they close."""

from typing import Any

from _counting import Contest
from quixstreams import Application

contest = Contest()
job, counter = contest.job, contest.counter

app = Application(
    broker_address=job["servers"],
    consumer_group=job["group"],
    auto_offset_reset="earliest",
    state_dir=job["directory"],
    loglevel="WARNING",
)
predictions = app.topic(
    job["topic"],
    key_deserializer="str",
    value_deserializer="json",
    timestamp_extractor=lambda event, headers, timestamp, kind: int(event["time"] * 1000),
)


def begin(event: dict[str, Any]) -> Any:
    """Count the first event of a window."""
    return counter.add_event(counter.empty(), event)


def close(window: dict[str, Any], model: str, timestamp: int, headers: Any) -> None:
    """Take a closed window; one comes from each partition."""
    contest.add_window(model, window["start"] / 1000, window["value"])


def count(event: dict[str, Any]) -> None:
    """Note that an event was counted, and with the last one the windows that it closed."""
    if contest.mark():
        contest.finish()


events = app.dataframe(predictions)
events.tumbling_window(
    duration_ms=job["window_seconds"] * 1000, grace_ms=job["grace_seconds"] * 1000
).reduce(reducer=counter.add_event, initializer=begin).final().update(close, metadata=True)
# A second branch of the same events: it runs after the first.
events.update(count)
app.run()
