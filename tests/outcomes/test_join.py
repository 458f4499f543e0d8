"""The join against an oracle that has a dictionary of ids, on random logs cut into any batches."""

from collections import Counter

import numpy as np
import pytest

from support.outcome_log import RETENTION, random_log, record_of
from support.outcome_oracle import Oracle
from tidegauge.contract import DecodingError
from tidegauge.outcomes import (
    JoinLimits,
    OutcomeJoin,
    Strata,
    by_id,
    held,
    join,
    names,
    packed,
    read_input,
    sorted_rows,
)

LIMITS = JoinLimits(early_seconds=20, early_labels=1_000, lag_seconds=100)


def _oracle(log, limits=LIMITS):
    oracle = Oracle(limits.early_seconds, limits.early_labels, limits.lag_seconds, RETENTION)
    for time, events in log:
        oracle.take(time, events)
    return {
        "counted": oracle.counted(),
        "joinable": oracle.joinable,
        "results": +oracle.results,
        "unused": sorted(oracle.unused),
        "duplicates": oracle.duplicates,
        "late": oracle.late,
        "waiting": oracle.waiting(),
    }


def _joined(log, seed, limits=LIMITS, *, settle=0.3, largest=12):
    rng = np.random.default_rng(seed)
    strata = Strata(RETENTION.__getitem__)
    its = OutcomeJoin(strata, limits)
    records = [read_input(record_of(events, time), time) for time, events in log]
    counted, joinable = Counter(), Counter()
    while records:
        n = int(rng.integers(1, largest))
        batch, records = records[:n], records[n:]
        found = its.take(batch)
        for value, time, stratum, predicted, actual, arrived, sign in found.labelled.tolist():
            name = strata.names[stratum]
            key = (name.model, name.version, name.variant, name.groups)
            counted[key, value, predicted, time, actual, arrived] += sign
        for _, time, stratum, _ in found.joinable.tolist():
            name = strata.names[stratum]
            joinable[(name.model, name.version, name.variant, name.groups), time] += 1
        if rng.random() < settle or not records:
            its.settle()
    return {
        "counted": Counter({key: n for key, n in counted.items() if n}),
        "joinable": joinable,
        "results": +its.held.results,
        "unused": sorted((it.partition, it.offset, it.reason) for it in its.held.unused),
        "duplicates": its.held.duplicate_predictions,
        "late": its.held.late_predictions,
        "waiting": its.held.waiting,
    }


@pytest.mark.parametrize("seed", range(14))
def test_any_batches_give_what_the_oracle_counts(seed):
    expected = _oracle(random_log(seed))
    for batches in range(3):
        assert _joined(random_log(seed), batches, largest=(2, 12, 61)[batches]) == expected


def test_who_has_no_room_to_wait_does_not_depend_on_batches():
    limits = JoinLimits(early_seconds=200, early_labels=5, lag_seconds=100)
    refused = 0
    for seed in range(4):
        expected = _joined(random_log(seed), 0, limits, largest=2)
        refused += expected["results"]["unknown"]
        for batches in range(1, 3):
            assert _joined(random_log(seed), batches, limits) == expected
    assert refused > 40


def test_the_logs_have_every_case():
    results = sum((_oracle(random_log(seed))["results"] for seed in range(14)), Counter())
    assert min(results.values()) >= 3 and len(results) == 9, results


def _corrections_off(monkeypatch):
    # A correction counts the new label and leaves the old one counted.
    add = by_id.IdFold.add
    monkeypatch.setattr(by_id.IdFold, "add", lambda *its: add(*its) if its[-1] > 0 else None)


def _labels_held_off(monkeypatch):
    # A label that comes twice counts twice, unless in one batch.
    monkeypatch.setattr(sorted_rows.SortedRows, "of_use", lambda self, found, clock: found.only([]))


def _first_prediction_off(monkeypatch):
    # A prediction that comes twice is held twice, unless in one batch.
    def add(self, events):
        events = events[~events["carried"]]
        self.held.pending.add(events["id"], packed.as_rows(held.PENDING, events))
        return packed.as_rows(held.PENDING, events)

    monkeypatch.setattr(join.OutcomeJoin, "_add_predictions", add)


def _scopes_off(monkeypatch):
    # A label of one model counts for all.
    monkeypatch.setattr(
        names.StratumColumns, "in_scope", lambda self, stratum, _: np.ones(len(stratum), bool)
    )


@pytest.mark.parametrize(
    "off", [_corrections_off, _labels_held_off, _first_prediction_off, _scopes_off]
)
def test_the_oracle_sees_an_invariant_that_is_off(off, monkeypatch):
    off(monkeypatch)
    logs = map(random_log, range(4))
    assert any(_joined(log, 1)["counted"] != _oracle(log)["counted"] for log in logs)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"", "there is no value"),
        (b'{"kind":"other"}', "Invalid value 'other'"),
        (b'{"kind":"predictions","time":0,"strata":[{"model":"m","version":"1","baseline":"b",'
         b'"target":0}]}', "target 0 of 0"),
        (b'{"kind":"predictions","time":0,"entries":"AAAA"}', "entries has 3 bytes"),
        (b'{"kind":"predictions","time":0,"predicted":[{"stratum":0,"cohort_start":0,'
         b'"counts":{}}]}', "stratum 0 of 0"),
        (b'{"kind":"labels","time":0,"topic":"labels","labels":"AAA"}', "base64"),
    ],
)  # fmt: skip
def test_a_record_that_no_writer_has_written(record, why):
    with pytest.raises(DecodingError, match=why):
        read_input(record, 1.8e9)


def test_counts_of_predictions_beyond_their_target():
    record = b"""{"kind":"predictions","time":0,"targets":[{"problem":"regression",
    "residual_edges":[]}],"strata":[{"model":"m","version":"1","baseline":"b","target":0}],
    "predicted":[{"stratum":0,"cohort_start":0,"counts":{"bins":[BIN],"counts":[COUNT]}}]}"""
    with pytest.raises(DecodingError, match="bin 1, beyond those of its target"):
        read_input(record.replace(b"BIN", b"1").replace(b"COUNT", b"3"), 1.8e9)
    with pytest.raises(DecodingError, match="below zero"):
        read_input(record.replace(b"BIN", b"0").replace(b"COUNT", b"-3"), 1.8e9)


def test_a_time_of_the_log_that_no_broker_gives():
    record = b'{"kind":"predictions","time":0}'
    for time in (0.0, -1.0, float("nan"), 1e12):
        with pytest.raises(DecodingError, match="time of the log"):
            read_input(record, time)
