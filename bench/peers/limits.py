"""The limits: reading the topic and nothing else, or reading and decoding into typed structs.

With the consumer settings, the decoder for Python and the garbage collection of tidegauge's own
ingest, so that what is between these and its rate is its own work.
``python limits.py consume|decode <job file>``.
"""

import sys

import msgspec
from _counting import Contest
from confluent_kafka import TopicPartition

from tidegauge.config import IngestSettings, KafkaSettings, Settings
from tidegauge.kafka import ingest_consumer
from tidegauge.roles.worker import collect_seldom

BATCH = 4_000

contest = Contest()
job = contest.job
decodes = {"consume": False, "decode": True}[sys.argv[1]]

kafka = KafkaSettings(bootstrap_servers=job["servers"])
consumer = ingest_consumer(Settings(kafka=kafka, ingest=IngestSettings(group_id=job["group"])))
features = msgspec.defstruct(
    "Features",
    [
        (s["name"], float | None if s["edges"] is not None else str | None, None)
        for s in job["signals"]
        if s["is_feature"]
    ],
    gc=False,
)
event = msgspec.defstruct(
    "Event",
    [
        ("time", float),
        ("model", str),
        ("version", str),
        ("prediction", float),
        ("latency_ms", float),
        ("features", features),
    ],
    gc=False,
)
decode = msgspec.json.Decoder(event).decode
collect_seldom()
consumer.assign([TopicPartition(job["topic"], p, 0) for p in range(job["partitions"])])
while True:
    messages = [m for m in consumer.consume(BATCH, 0.2) if m.error() is None]
    if decodes:
        # Kept until the next batch, as who counts them would.
        events = list(map(decode, [message.value() for message in messages]))
    if messages and contest.mark(len(messages)):
        contest.finish()
