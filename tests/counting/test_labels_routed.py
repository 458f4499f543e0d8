"""Labels on their way to the join: with the predictions that they bring, or dead letters."""

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import xxhash

from support.awaited import A_NUMBER, ANIMALS, YES_NO, ZERO_ONE, awaiting
from support.counting import NOW, FakeMessage, a_baseline, a_tenure, promote
from tidegauge.config.outcome_sections import ModelOutcomeSettings
from tidegauge.config.sections import IngestSettings
from tidegauge.contract.outcome import LabelsRecord
from tidegauge.contract.outcome_cell import MOST_GROUPS, outcome_partition
from tidegauge.contract.receipt import receipt_writer
from tidegauge.contract.record import decode
from tidegauge.contract.target import OutcomeTarget
from tidegauge.counting.label_router import LabelRouter
from tidegauge.counting.pending_labels import LABELS
from tidegauge.counting.tenure import Tenure
from tidegauge.outcomes.packed import (
    CARRIED,
    NONE,
    OF_MODEL,
    RETRACTED,
    WITHOUT_ID,
    PackedLabels,
    unpack_labels,
)

PROMOTED = promote(a_baseline())
TIME = NOW - 7_200.75


def _hash(id: str) -> int:
    return xxhash.xxh3_64_intdigest(id.encode())


def _route(
    sent: Sequence[Any], target: OutcomeTarget | None = YES_NO, **options: Any
) -> tuple[LabelRouter, Tenure]:
    router = LabelRouter(source="labels", settings=IngestSettings(), clock=lambda: NOW, **options)
    tenure = a_tenure()
    with awaiting(target):
        router.use(PROMOTED, tenure)
    values = [one if isinstance(one, bytes | None) else json.dumps(one).encode() for one in sent]
    router.count([FakeMessage(it, 0, at) for at, it in enumerate(values)], tenure)
    return router, tenure


def _records(tenure: Tenure, partitions: int = 1) -> list[tuple[int, LabelsRecord]]:
    found = list(tenure.labels.records(partitions, NOW, "labels"))
    assert list(tenure.labels.records(partitions, NOW, "labels")) == found
    return [(partition, decode(record, LabelsRecord)) for partition, record in found]


def _unpacked(record: LabelsRecord) -> PackedLabels:
    return unpack_labels(
        record.labels,
        record.predictions,
        record.model_index,
        strata=len(record.strata),
        texts=len(record.texts),
        models=len(record.models),
    )


def _receipt(**fields: Any) -> str:
    given = {
        "model": "m", "version": "1", "variant": "", "time": TIME, "prediction": 0.75,
        "label": None, "segments": None, "id": "a",
    } | fields  # fmt: skip
    return receipt_writer(None)(**given)


def test_labels_may_be_in_cloud_events_as_predictions_may() -> None:
    structured = {"specversion": "1.0", "id": "e", "source": "/core", "type": "paid"}
    own = {"id": "a", "actual": "yes"}  # and so in binary mode
    router, tenure = _route([own, structured | {"data": own}, structured, structured | {"data": 7}])
    [(_, record)] = _records(tenure)
    assert _unpacked(record).labels["offset"].tolist() == [0, 1]
    assert [(it.reason, it.offset) for it in router.dead_letters] == [
        ("invalid_record", 2),
        ("invalid_record", 3),
    ]


def test_a_label_by_id_has_its_place_in_the_log_and_when_it_arrived() -> None:
    router, tenure = _route(
        [
            {"id": "a", "actual": "yes"},
            {"id": "b", "actual": 0.5, "revision": 3},
            {"id": "a", "retracted": True, "revision": 1},
            {"id": "c", "actual": " yes ", "model": "m"},
        ]
    )
    assert router.dead_letters == []
    [(partition, record)] = _records(tenure)
    assert (partition, record.topic, record.texts, record.models) == (0, "labels", ["yes"], ["m"])
    labels, predictions, prediction, model = _unpacked(record)
    assert labels["id"].tolist() == [_hash("a"), _hash("b"), _hash("a"), _hash("c")]
    assert labels["text"].tolist() == [0, NONE, NONE, 0]
    assert labels["actual"].tolist()[1] == 0.5
    assert labels["revision"].tolist() == [0, 3, 1, 0]
    assert labels["offset"].tolist() == [0, 1, 2, 3]
    assert labels["flags"].tolist() == [0, 0, RETRACTED, OF_MODEL]
    assert set(labels["arrived"].tolist()) == {NOW - 5}
    assert len(predictions) == 0
    assert (prediction.tolist(), model.tolist()) == ([-1] * 4, [-1, -1, -1, 0])
    assert router.routed == {"id": 4, "prediction": 0, "not_sampled": 0, "without_groups": 0}


def test_no_label_arrives_after_the_time_of_its_router() -> None:
    router = LabelRouter(source="labels", settings=IngestSettings(), clock=lambda: NOW)
    tenure = a_tenure()
    values = [(b'{"id": "a", "actual": 1}', ms) for ms in (round(1e3 * NOW) + 9_000, -1, 1_500)]
    router.count([FakeMessage(it, at_ms=ms) for it, ms in values], tenure)
    [(_, record)] = _records(tenure)
    assert _unpacked(record).labels["arrived"].tolist() == [NOW, NOW, 1.5]


def test_a_prediction_comes_with_its_label_by_a_receipt_or_by_its_own_fields() -> None:
    segments = {"region": "EU", "age": "old", "shop": "7"}
    itself = {"model": "m", "version": "1", "time": TIME, "prediction": 0.25, "label": " no "}
    router, tenure = _route(
        [
            {"receipt": _receipt(segments=segments, label="yes"), "actual": "no"},
            {**itself, "id": "b", "variant": "canary", "segments": segments, "actual": "yes"},
            {"id": "c", "actual": "no"},
            {**itself, "label": None, "actual": "yes"},
        ],
        groups=["region", "age"],
    )
    assert router.dead_letters == []
    [(_, record)] = _records(tenure)
    labels, predictions, prediction, _ = _unpacked(record)
    assert labels["flags"].tolist() == [CARRIED, CARRIED, 0, CARRIED | WITHOUT_ID]
    assert labels["id"].tolist() == [_hash("a"), _hash("b"), _hash("c"), 0]
    assert prediction.tolist() == [0, 1, -1, 2]
    assert predictions["value"].tolist() == [0.75, 0.25, 0.25]
    assert predictions["predicted"].tolist() == [1, 0, NONE]
    assert predictions["time"].tolist() == [math.floor(TIME)] * 3
    [baseline] = {its.baseline for its in record.strata}
    assert baseline == PROMOTED["m", "1"][0]
    strata = [record.strata[place] for place in predictions["stratum"]]
    both = {"age": "old", "region": "EU"}
    assert [its.groups for its in strata] == [both, both, {}]
    assert [its.variant for its in strata] == ["", "canary", ""]
    assert record.targets == [YES_NO]
    assert router.routed == {"id": 1, "prediction": 3, "not_sampled": 0, "without_groups": 0}


def test_labels_make_no_more_variants_and_groups_than_predictions_do() -> None:
    # Anybody can send them, and each would stay in the memory of OUTCOMES.
    itself = {"model": "m", "version": "1", "time": TIME, "prediction": 0.25, "actual": "yes"}
    most = IngestSettings().max_variants
    variants = [{**itself, "id": "a", "variant": f"v{i % (most + 5)}"} for i in range(3 * most)]
    regions = [{**itself, "segments": {"region": f"r{i}"}} for i in range(MOST_GROUPS + 7)]
    router, tenure = _route([*variants, *regions], groups=["region"])
    refused = [letter.label_problem for letter in router.dead_letters]
    assert refused and set(refused) == {"too_many_variants"}
    assert router.routed["without_groups"] == 7
    assert router.routed["prediction"] == len(variants) + len(regions) - len(refused)
    assert len(tenure.labels.strata) == most + MOST_GROUPS + 1


@pytest.mark.parametrize(
    ("target", "label", "code"),
    [
        (YES_NO, "maybe", NONE), (ZERO_ONE, True, 1), (ZERO_ONE, "1.0", 1), (ANIMALS, 3, 2),
        (ANIMALS, "bird", 3), (A_NUMBER, "7", NONE),
    ],
)  # fmt: skip
def test_a_predicted_class_has_the_code_that_the_target_gives_it(
    target: Any, label: Any, code: int
) -> None:
    sent = {"model": "m", "version": "1", "time": TIME, "prediction": 0.5, "label": label}
    _, tenure = _route([{**sent, "actual": 1}], target)
    [(_, record)] = _records(tenure)
    assert _unpacked(record).predictions["predicted"].tolist() == [code]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"{", "invalid_json"),
        (b"\xff", "invalid_utf8"),
        (b"[" * 100_000, "invalid_record"),
        ({"actual": 1}, "invalid_record"),
        ({"id": "a"}, "invalid_record"),
        ({"id": "a", "actual": "NaN"}, "invalid_record"),
        ({"id": "a", "actual": 1, "revision": -1}, "invalid_record"),
        ({"id": "a", "actual": 1, "model": "another"}, "no_target"),
        ({"receipt": "tg1.AAAA", "actual": 1}, "invalid_receipt"),
        ({"receipt": _receipt(version="2"), "actual": 1}, "no_target"),
        ({"receipt": _receipt(time=NOW + 1e6), "actual": 1}, "invalid_time"),
        ({"id": "a", "actual": "x" * 2_000_000}, "too_large"),
    ],
)
def test_what_is_no_label_is_a_dead_letter_and_costs_nothing_else(value: Any, reason: str) -> None:
    good = {"id": "a", "actual": 1}
    router, tenure = _route([good, value, good])
    [letter] = router.dead_letters
    found = letter.reason if letter.label_problem is msgspec.UNSET else letter.label_problem
    assert (found, letter.topic, letter.offset) == (reason, "labels", 1)
    [(_, record)] = _records(tenure)
    assert _unpacked(record).labels["offset"].tolist() == [0, 2]


def test_a_segment_that_names_no_slice_names_no_group_and_spoils_no_record() -> None:
    segments = {"region": "x" * 201, "age": "old"}
    _, tenure = _route(
        [{"receipt": _receipt(segments=segments), "actual": "no"}, {"id": "c", "actual": "no"}],
        groups=["region", "age"],
    )
    [(_, record)] = _records(tenure)
    assert record.strata[0].groups == {"age": "old"}
    assert len(_unpacked(record).labels) == 2


def test_labels_go_to_the_partition_of_their_id_or_of_their_model() -> None:
    sent = [{"id": f"id {i}", "actual": i} for i in range(50)]
    sent.append({"receipt": _receipt(id=None), "actual": 1})
    _, tenure = _route(sent)
    found = {}
    for partition, record in _records(tenure, 3):
        labels = _unpacked(record).labels
        assert labels["offset"].tolist() == sorted(labels["offset"].tolist())
        found |= dict.fromkeys(labels["offset"].tolist(), partition)
    assert found == {
        **{i: _hash(f"id {i}") % 3 for i in range(50)}, 50: outcome_partition("m", 3)
    }  # fmt: skip


def test_labels_by_an_id_that_is_not_kept_are_counted_and_go_nowhere() -> None:
    ids = [f"id {i}" for i in range(400)]
    sent = [{"id": id, "actual": 1} for id in ids]
    sent.append({"receipt": _receipt(id="id 0"), "actual": 1})
    router, tenure = _route(sent, settings_of=lambda model: ModelOutcomeSettings(rate=0.25))
    [(_, record)] = _records(tenure)
    kept = {_hash(id) for id in ids if _hash(id) < 2**62} | {_hash("id 0")}
    assert set(_unpacked(record).labels["id"].tolist()) == kept
    assert router.routed["not_sampled"] == 400 - router.routed["id"]
    assert router.routed["prediction"] == 1


def test_of_many_labels_each_is_in_one_record() -> None:
    sent = [{"id": f"id {i}", "actual": f"text {i % 7}"} for i in range(2 * LABELS + 10)]
    _, tenure = _route(sent)
    records = _records(tenure)
    found = [_unpacked(record).labels for _, record in records]
    assert [len(labels) for labels in found] == [LABELS, LABELS, 10]
    texts = [record.texts[text] for (_, record), its in zip(records, found, strict=True)
             for text in its["text"]]  # fmt: skip
    assert texts == [one["actual"] for one in sent]
    assert max(len(record) for _, record in tenure.labels.records(1, NOW, "labels")) < 500_000


def test_what_was_not_committed_is_sent_again_and_what_was_is_not() -> None:
    _, tenure = _route([{"id": "a", "actual": 1}])
    assert len(_records(tenure)) == 1
    tenure.flushed()
    assert _records(tenure) == []
    _, tenure = _route([{"id": "a", "actual": 1}])
    assert _records(tenure.rewound(NOW)) == []
