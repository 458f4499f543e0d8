"""The reports of performance: figures of each cohort, recomputed from its counts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from chaos.judge.findings import Findings, OutputRecord, read_output
from chaos.judge.labels import COHORT_SECONDS, CellName, Tally

#: Figures of both are computed in another order.
_TOLERANCE = 1e-9


class Report(msgspec.Struct):
    """A report of performance, as far as it is judged."""

    id: str
    model: str
    variant: str
    group: dict[str, str]
    cohort_start: int
    cohort_end: int
    revision: int
    performance: dict[str, Any]
    joinable: int

    def __str__(self) -> str:
        return f"{self.model}/{self.variant} {self.cohort_start} revision {self.revision}"


def judge_reports(
    expected: Mapping[CellName, Tally], records: Iterable[OutputRecord], findings: Findings
) -> None:
    """Judge the last report of each cohort, and that each id has one content."""
    last: dict[CellName, Report] = {}
    for copies in read_output(records, Report, "performance", findings).values():
        report = copies.contents[0]
        name = CellName(report.model, "cohort", report.cohort_start, report.variant)
        if report.group or report.cohort_end != report.cohort_start + COHORT_SECONDS:
            findings.add("WRONG", f"{report} is of {report.group} or of another length", at=0.0)
        elif name not in last or report.revision > last[name].revision:
            last[name] = report
    for name, tally in sorted(expected.items()):
        if name.kind != "cohort":
            continue
        if name not in last:
            if tally.n:
                findings.add("LOST", f"{name} has {tally.n} labels and no report", at=name.start)
            continue
        report = last.pop(name)
        for what in _misreported(report, tally):
            findings.add("WRONG", f"performance {report}: {what}", at=name.start)
        findings.count("cohorts_reported")
    for name, report in last.items():
        findings.add("WRONG", f"performance {report}: there is no such cohort", at=name.start)


def _misreported(report: Report, tally: Tally) -> Iterable[str]:
    found = report.performance
    counts = {"predicted": sum(tally.predicted.values()), "labelled": tally.n}
    for name, number in counts.items():
        if found[name] != number:
            yield f"{found[name]} {name}, expected {number}"
    if found["labelled"] != tally.n:
        return
    for name, value in _figures(tally).items():
        figure = found["figures"][name]
        said = figure.get("value")
        if said is None and figure.get("reason"):
            continue
        if said is None or not abs(said - value) <= _TOLERANCE:
            yield f"{name} is {said}, expected {value}"


def _figures(tally: Tally) -> dict[str, float]:
    """Return figures of a cohort by the definitions in docs/statistics.md."""
    if not tally.n:
        return {}
    by = [[0, 0], [0, 0]]  # actual, predicted
    bins: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for place, count in tally.outcomes.items():
        rest, predicted = divmod(place, 3)
        score, actual = divmod(rest, 2)
        by[actual][predicted] += count
        bins[score][actual] += count
    (right_negative, false_positive), (false_negative, right_positive) = by
    positives = false_negative + right_positive
    found = {"accuracy": (right_negative + right_positive) / tally.n}
    with suppress(ZeroDivisionError):
        found["recall"] = right_positive / positives
    with suppress(ZeroDivisionError):
        found["precision"] = right_positive / (right_positive + false_positive)
    of_positives = sum(total for at, total in tally.sums.items() if at % 2)
    squares = sum(tally.squares.values())
    found["brier"] = ((squares - 2 * of_positives) / 2**30 + positives) / tally.n
    pairs, below = 0.0, 0
    for _, (negative, positive) in sorted(bins.items()):
        pairs += positive * (below + negative / 2)
        below += negative
    with suppress(ZeroDivisionError):
        found["auc"] = pairs / (positives * (tally.n - positives))
    return found
