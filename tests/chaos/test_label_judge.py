"""The judge of labels: right outputs are exact, and every kind of wrong one is found."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from chaos.judge.findings import Findings, OutputRecord
from chaos.judge.labels import CellName, Tally
from chaos.judge.made_labels import expected_of, made
from chaos.judge.outcomes import CellReader, judge_labels

SOURCE = "tidegauge.outcomes"
BASELINE = "b" * 64

_EXPECTED = expected_of(*made(1))


def record(tenure: str, seq: int, start: int, to: int, cells: list[Any], **other: Any) -> bytes:
    fields = {
        "tenure": tenure, "seq": seq, "source": SOURCE, "outcomes": cells,
        "ranges": {"0": {"start": start, "to": to}},
    }  # fmt: skip
    return json.dumps(fields | other).encode()


def sparse(counts: dict[int, int], name: str = "counts") -> dict[str, list[int]]:
    return {"bins": sorted(counts), name: [counts[it] for it in sorted(counts)]}


def cells(of: dict[CellName, Tally]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for name, tally in of.items():
        target = {"problem": "binary", "positive": "1", "negative": "0", "threshold": 0.5}
        cell = {"model": name.model, "kind": name.kind, "window_start": name.start}
        found.setdefault(name[:3], cell | {"targets": [target], "strata": []})
        found[name[:3]]["strata"].append(stratum(name, tally))
    return list(found.values())


def stratum(name: CellName, tally: Tally) -> dict[str, Any]:
    scores = sparse(tally.counts) | sparse(tally.sums, "sums") | sparse(tally.squares, "squares")
    return {
        "version": "1", "variant": name.variant, "baseline": BASELINE,
        "labelled": {
            "problem": "binary", "outcomes": sparse(tally.outcomes), "scores": scores,
            "log_loss": tally.log_loss, "log_loss_squared": tally.log_loss_squared,
        },
        "lags": sparse(tally.lags), "predicted": sparse(tally.predicted),
        "joinable": tally.joinable,
    }  # fmt: skip


class Outputs:
    """What a product that makes no mistakes leaves, of two tenures; to be spoilt."""

    def __init__(self) -> None:
        self.expected = copy.deepcopy(_EXPECTED)
        whole = cells(self.expected.cells)
        half = len(whole) // 2
        self.records = [
            record("a", 1, 0, 3, whole[: half // 2]),
            record("a", 2, 0, 5, whole[:half]),
            record("b", 1, 5, 9, whole[half:]),
        ]
        self.letters = [
            {"partition": p, "offset": o, "reason": why.reason, "label_problem": why.problem}
            for (p, o), why in self.expected.letters.items()
        ]
        self.reports = [
            {
                "id": f"{name.variant}{name.model}{name.start}", "model": name.model,
                "variant": name.variant, "group": {}, "cohort_start": name.start,
                "cohort_end": name.start + 60, "revision": 0, "joinable": 0,
                "performance": {
                    "predicted": sum(tally.predicted.values()), "labelled": tally.n,
                    "figures": {
                        "accuracy": {"value": accuracy(tally)},
                        **{
                            it: {"reason": "one_class_only"}
                            for it in ("recall", "precision", "brier", "auc")
                        },
                    },
                },
            }
            for name, tally in self.expected.cells.items()
            if name.kind == "cohort"
        ]  # fmt: skip

    def judge(self) -> list[str]:
        findings = Findings([])
        reader = CellReader(SOURCE)
        for value in self.records:
            reader.take(value)
        letters, reports = (
            [OutputRecord(0, n, 0, json.dumps(it).encode()) for n, it in enumerate(its)]
            for its in (self.letters, self.reports)
        )
        judge_labels(self.expected, reader.counted(), letters, reports, {BASELINE}, findings)
        return findings.lines()

    def change(self, number: int, change: Callable[[dict[str, Any]], None]) -> None:
        found = json.loads(self.records[number])
        change(found)
        self.records[number] = json.dumps(found).encode()


def accuracy(tally: Tally) -> float:
    right = sum(n for at, n in tally.outcomes.items() if at // 3 % 2 == at % 3)
    return right / tally.n if tally.n else 0.0


def test_right_outputs_are_exact() -> None:
    assert Outputs().judge() == []


def _labelled(found: dict[str, Any]) -> dict[str, Any]:
    its = [one for it in found["outcomes"] for one in it["strata"]
           if it["kind"] == "cohort" and one["labelled"]["outcomes"]["bins"]]  # fmt: skip
    first: dict[str, Any] = its[0]
    return first


def one_label_twice(made: Outputs) -> None:
    made.change(1, lambda it: _add(_labelled(it)["labelled"]["outcomes"], 1))


def one_label_lost(made: Outputs) -> None:
    made.change(1, lambda it: _add(_labelled(it)["labelled"]["outcomes"], -1))


def another_score(made: Outputs) -> None:
    made.change(1, lambda it: _add(_labelled(it)["labelled"]["scores"], 1, "sums"))


def another_delay(made: Outputs) -> None:
    made.change(1, lambda it: _labelled(it)["lags"].update(bins=[3]))


def more_can_be_joined(made: Outputs) -> None:
    made.change(1, lambda it: _labelled(it).update(joinable=_labelled(it)["joinable"] + 1))


def a_tenure_is_lost(made: Outputs) -> None:
    del made.records[2]


def tenures_overlap(made: Outputs) -> None:
    made.change(2, lambda it: it["ranges"]["0"].update(start=4))


def a_letter_is_lost(made: Outputs) -> None:
    made.letters.pop()


def a_letter_comes_twice(made: Outputs) -> None:
    made.letters.append(made.letters[0])


def a_letter_of_a_label_that_counts(made: Outputs) -> None:
    made.letters.append({"partition": 99, "offset": 0, "reason": "empty"})


def another_reason(made: Outputs) -> None:
    made.letters[0]["label_problem"] = "expired_label"


def another_figure(made: Outputs) -> None:
    made.reports[0]["performance"]["figures"]["accuracy"]["value"] += 1e-6


def fewer_predictions(made: Outputs) -> None:
    made.reports[0]["performance"]["predicted"] -= 1


def a_report_is_lost(made: Outputs) -> None:
    made.reports.pop()


def _add(counts: dict[str, list[int]], by: int, name: str = "counts") -> None:
    counts[name][0] += by


@pytest.mark.parametrize(
    ("spoil", "kind", "what"),
    [
        (one_label_twice, "DUPLICATED", "outcomes differs by"),
        (one_label_lost, "LOST", "outcomes differs by"),
        (another_score, "WRONG", "sums differs by"),
        (another_delay, "WRONG", "lags differs by"),
        (more_can_be_joined, "WRONG", "joinable, expected"),
        (a_tenure_is_lost, "LOST", "differs by"),
        (tenures_overlap, "DUPLICATED", "a tenure begins at 4, not 5"),
        (a_letter_is_lost, "LOST", "was never sent"),
        (a_letter_comes_twice, "DUPLICATED", "was sent again"),
        (a_letter_of_a_label_that_counts, "WRONG", "the label is of use"),
        (another_reason, "WRONG", "expected Refusal"),
        (another_figure, "WRONG", "accuracy is"),
        (fewer_predictions, "WRONG", "predicted, expected"),
        (a_report_is_lost, "LOST", "and no report"),
    ],
)
def test_a_wrong_output_is_found(spoil: Callable[[Outputs], None], kind: str, what: str) -> None:
    outputs = Outputs()
    spoil(outputs)
    found = [line for line in outputs.judge() if line.startswith(kind) and what in line]
    assert found, outputs.judge()
