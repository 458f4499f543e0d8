"""The join of labels without a broker: exact as it is, and found out with an invariant off."""

import pytest

from chaos.judge.findings import Findings, OutputRecord
from chaos.judge.labels import Predictions, expect
from chaos.judge.outcomes import CellReader, judge_cells_and_letters
from chaos.labels import EARLY_SECONDS, PARTITIONS, Labels
from chaos.site import replacing
from chaos.site.labels_at_once import BASELINE_IDS, TOPIC, Product
from chaos.site.mutations import MUTATIONS
from chaos.source import SourceRecord
from chaos.traffic import Events

BEGAN = 1_800_000_000.0
SECONDS = 24
EVENTS_A_SECOND = 1_500


def findings_of(seed: int) -> list[str]:
    """Return what is amiss after a run, in which predictions are counted up to two seconds late."""
    labels = Labels(seed)
    events = Events(seed, labels=labels)
    product, predictions = Product(), Predictions()
    sent: list[SourceRecord] = []
    late: list[list[SourceRecord]] = []
    ends, offset = [0] * PARTITIONS, 0
    for step in range(SECONDS + 24):
        now = labels.now = BEGAN + step
        its = []
        for partition, value in labels.due(now):
            its.append((partition, ends[partition], int(now * 1000), value))
            ends[partition] += 1
        made = []
        for _ in range(EVENTS_A_SECOND if step < SECONDS else 0):
            made.append((0, offset, int(now * 1000), events.next(now)))
            offset += 1
        for record in made:
            predictions.take(record)
        late.append(made)
        sent += its
        counted = late.pop(0) if step % 3 else []
        product.route(now, labels=its, predictions=counted)
        if step == SECONDS // 2:
            product.join(now, flush=False)
            product.restart()
        product.join(now)
    for made in late:
        product.route(now + 1, predictions=made)
    product.tick(now + EARLY_SECONDS + 60)
    product.join(now + 2)
    reader, findings = CellReader(TOPIC), Findings([])
    for value in product.cells:
        reader.take(value)
    expected = expect(predictions, sorted(sent))
    letters = [OutputRecord(0, n, 0, it.value) for n, it in enumerate(product.letters)]
    judge_cells_and_letters(expected, reader.counted(), letters, BASELINE_IDS, findings)
    return findings.lines()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_cell_and_dead_letter_is_exact(seed: int) -> None:
    assert findings_of(seed) == []


@pytest.mark.parametrize(
    "name",
    [
        "labels_counted_again",
        "corrections_without_minus",
        "latest_label_counts",
        "early_labels_refused",
    ],
)
def test_an_invariant_that_is_off_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "replace", monkeypatch.setattr)
    MUTATIONS[name]()
    assert findings_of(1)
