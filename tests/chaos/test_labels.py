"""The labels of a run, and what they must come to."""

import json
from typing import Any

import pytest

from chaos.judge.labels import CellName
from chaos.judge.made_labels import BEGAN, SECONDS, expected_of, made
from chaos.labels import EVERY
from chaos.source import SourceRecord

_SOURCE, _LABELS = made(1)
_EXPECTED = expected_of(_SOURCE, _LABELS)


def test_labels_follow_from_the_seed_alone() -> None:
    assert made(2) == made(2) != made(3)


def test_every_kind_of_label_is_drawn() -> None:
    kinds = _EXPECTED.kinds
    assert kinds.keys() == {
        "counted", "corrected", "retracted", "twice_or_stale", "unknown_prediction",
        "invalid_class", "invalid_json", "invalid_receipt", "no_target",
    }  # fmt: skip
    assert min(kinds.values()) >= 3
    assert len(_LABELS) > SECONDS * 900 / EVERY / 4
    values = [value for *_, value in _LABELS]
    assert len(set(values)) == len(values)


def test_early_labels_come_before_their_predictions() -> None:
    at = {json.loads(v)["id"]: ms for _, _, ms, v in _SOURCE if v and v.endswith(b'"}}')}
    ids = [(json.loads(v).get("id"), ms) for _, _, ms, v in _LABELS if v and v.endswith(b"}")]
    assert any(id in at and ms < at[id] for id, ms in ids)


# -- what they come to, by hand --------------------------------------------------------------------


def event(id: str, score: float = 0.75, *, time: float = BEGAN) -> SourceRecord:
    fields = {"id": id, "time": time, "model": "m0", "version": "1", "prediction": score}
    return (0, int(id), int(BEGAN * 1000), json.dumps(fields, separators=(",", ":")).encode())


def label(offset: int, *, seconds: float = 5, **fields: Any) -> SourceRecord:
    return (0, offset, int((BEGAN + seconds) * 1000), json.dumps(fields).encode())


COHORT = CellName("m0", "cohort", int(BEGAN), "")


def outcomes(*labels: SourceRecord, **when: float) -> dict[int, int]:
    found = expected_of([event("7", **when)], list(labels))
    return {at: n for name, it in found.cells.items() if name.kind == "cohort"
            for at, n in it.outcomes.items()}  # fmt: skip


POSITIVE, NEGATIVE = (96 * 2 + 1) * 3 + 1, 96 * 2 * 3 + 1


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        ([label(0, id="7", actual=1)], {POSITIVE: 1}),
        ([label(0, id="7", actual=" 0 "), label(1, id="7", actual=True)], {NEGATIVE: 1}),
        ([label(0, id="7", actual=0), label(1, id="7", actual=1, revision=1)], {POSITIVE: 1}),
        ([label(0, id="7", actual=1, revision=1), label(1, id="7", actual=0)], {POSITIVE: 1}),
        ([label(0, id="7", actual=0), label(1, id="7", retracted=True, revision=1)], {}),
        ([label(0, id="7", actual=1, model="m3")], {}),
        ([label(0, id="7", actual="perhaps")], {}),
        ([label(0, id="8", actual=1)], {}),
        ([label(0, id="7", actual=1, seconds=601)], {}),
    ],
)
def test_the_label_of_the_largest_revision_counts(
    labels: list[SourceRecord], counts: dict[int, int]
) -> None:
    assert outcomes(*labels) == counts


def test_a_label_with_its_prediction_needs_no_other() -> None:
    brought = {"model": "m0", "version": "1", "time": BEGAN, "prediction": 0.75, "actual": 1}
    found = expected_of([], [label(0, **brought), label(1, **brought)])
    assert found.cells[COHORT].outcomes == {POSITIVE: 2}
    assert found.cells[CellName("m0", "arrival", int(BEGAN) + 5, "")].n == 2


def test_what_more_than_the_two_topics_decides_is_refused() -> None:
    several = [label(0, id="7", actual=1), label(1, id="7", actual="perhaps", revision=1)]
    with pytest.raises(ValueError, match="depends which is first"):
        outcomes(*several)
