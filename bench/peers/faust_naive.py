"""Faust as its guide teaches it: a record, an agent, a windowed table updated event by event."""

import sys
from typing import Any

import faust
from _counting import Contest

contest = Contest()
job = contest.job

app = faust.App(
    job["group"],
    broker=f"kafka://{job['servers']}",
    store="memory://",
    topic_partitions=job["partitions"],
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
    datadir=job["directory"],
)


class Event(faust.Record, serializer="json"):
    """What is used of a prediction event."""

    time: float
    model: str
    prediction: float
    latency_ms: float
    features: dict[str, Any]


predictions = app.topic(job["topic"], value_type=Event)
histograms = app.Table("histograms", default=contest.counter.empty)
windows = histograms.tumbling(float(job["window_seconds"])).relative_to_field(Event.time)


@app.agent(predictions)
async def count(events: Any) -> None:
    """Count into the window of each event's time."""
    async for event in events:
        counts = windows[event.model].value()
        contest.counter.add(counts, event.prediction, event.latency_ms, event.features)
        windows[event.model] = counts
        if contest.mark():
            for (model, (start, _)), window in histograms.items():
                contest.add_window(model, start, window)
            contest.finish()


sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
app.main()
