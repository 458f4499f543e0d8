"""Cells of outcomes on the wire: bytes, bounds, and what no tenure can have counted."""

from typing import Any

import msgspec
import pytest

from tidegauge.contract import (
    BinaryCounts,
    BinaryTarget,
    DecodingError,
    HistogramRecord,
    OutcomeCell,
    RegressionTarget,
    ScoreSums,
    SparseCounts,
    StratumCounts,
    decode,
    encode,
    outcome_partition,
)

_TARGET = BinaryTarget(positive="1", negative="0", threshold=0.5)


def _cell(**changes: Any) -> OutcomeCell:
    fields: dict[str, Any] = {
        "model": "credit",
        "kind": "cohort",
        "window_start": 3600,
        "window_seconds": 3600,
        "targets": [_TARGET],
        "strata": [
            StratumCounts(
                version="3",
                variant="canary",
                groups={"region": "EU"},
                baseline="b1",
                target=0,
                labelled=BinaryCounts(
                    outcomes=SparseCounts(bins=[0, 767], counts=[2, -1]),
                    scores=ScoreSums(bins=[0], counts=[1], sums=[2**30], squares=[2**30]),
                ),
                lags=SparseCounts(bins=[20], counts=[1]),
            )
        ],
    }
    return OutcomeCell(**fields | changes)


def test_a_cell_is_read_as_it_was_written_with_counts_that_fall() -> None:
    assert decode(encode(_cell()), OutcomeCell) == _cell()


def test_a_histogram_record_without_outcomes_does_not_name_them() -> None:
    record = HistogramRecord(
        tenure="t", seq=1, time=1.0, source="p", source_partitions=1, ranges={}, clocks={}, cells=[]
    )
    assert b"outcomes" not in msgspec.json.encode(record)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"window_start": 3601}, "no multiple"),
        ({"window_seconds": 0}, ">= 1"),
        ({"strata": []}, "length >= 1"),
        ({"targets": []}, "length >= 1"),
        ({"kind": "week"}, "week"),
        ({"targets": [RegressionTarget(residual_edges=())]}, "its target is regression"),
        ({"model": ""}, "length >= 1"),
    ],
)
def test_a_cell_that_no_worker_can_have_written_is_refused(
    change: dict[str, Any], why: str
) -> None:
    document = msgspec.to_builtins(_cell()) | {
        name: msgspec.to_builtins(value) for name, value in change.items()
    }
    with pytest.raises(DecodingError, match=why):
        decode(encode(document), OutcomeCell)


@pytest.mark.parametrize(
    "counts",
    [
        {"bins": [1], "counts": []},
        {"bins": [2, 1], "counts": [1, 1]},
        {"bins": [1, 1], "counts": [1, 1]},
        {"bins": [-1], "counts": [1]},
        {"bins": [10_000], "counts": [1]},
        {"bins": [0], "counts": [2**63]},
        {"bins": [0], "counts": [1.5]},
    ],
)
def test_bins_and_counts_that_do_not_fit_are_refused(counts: dict[str, list[float]]) -> None:
    with pytest.raises(DecodingError):
        decode(encode(counts), SparseCounts)


def test_a_target_that_a_stratum_names_must_be_there() -> None:
    document = msgspec.to_builtins(_cell())
    document["strata"][0]["target"] = 1
    with pytest.raises(DecodingError, match="target 1 of 1"):
        decode(encode(document), OutcomeCell)


def test_all_of_a_model_goes_to_one_partition_which_never_changes() -> None:
    assert [outcome_partition(model, 8) for model in ("credit", "shop", "東京")] == [6, 3, 2]
