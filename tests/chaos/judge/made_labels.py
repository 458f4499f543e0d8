"""Records of both source topics, as a run sends them, and what they must come to."""

from chaos.judge.labels import Expected, Predictions, expect
from chaos.labels import PARTITIONS, Labels
from chaos.source import SourceRecord
from chaos.traffic import Events

BEGAN = 1_800_000_000.0
SECONDS = 30


def made(seed: int) -> tuple[list[SourceRecord], list[SourceRecord]]:
    """Return the records of both: some thousand predictions, and their labels."""
    labels = Labels(seed)
    events = Events(seed, labels=labels)
    source: list[SourceRecord] = []
    sent: list[SourceRecord] = []
    ends = [0] * PARTITIONS
    for step in range(SECONDS + 30):
        now = labels.now = BEGAN + step
        for partition, value in labels.due(now):
            sent.append((partition, ends[partition], int(now * 1000), value))
            ends[partition] += 1
        for _ in range(900 if step < SECONDS else 0):
            value_or_none = events.next(now)
            source.append((0, len(source), int(now * 1000), value_or_none))
    return source, sorted(sent)


def expected_of(source: list[SourceRecord], labels: list[SourceRecord]) -> Expected:
    """Work out what both come to."""
    predictions = Predictions()
    for record in source:
        predictions.take(record)
    return expect(predictions, labels)
