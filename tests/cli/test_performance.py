"""``tidegauge performance show``: figures with their intervals, or why there are none."""

import io

import msgspec
import pytest

from support.deployment import ROOT
from tidegauge.cli.performance import newest_reports_of_cohorts, performance_table, record_text
from tidegauge.cli.printing import PlainConsole
from tidegauge.contract import Figure, PerformanceReport

REPORT = msgspec.json.decode(
    (ROOT / "schemas" / "examples" / "performance-report.json").read_bytes(),
    type=PerformanceReport,
)


def shown(*reports: PerformanceReport, figures: tuple[str, ...] = ()) -> str:
    out = io.StringIO()
    PlainConsole(file=out, width=160).print(performance_table(reports, figures))
    return out.getvalue()


def test_a_cohort_is_a_row_with_its_counts_and_figures() -> None:
    accuracy = REPORT.performance.figures["accuracy"]
    text = shown(REPORT)
    assert all(name in text for name in ("predicted", "labelled", "accuracy", "f1", "auc"))
    assert f"{accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f})" in text
    assert "500" in text and "412" in text and "87%" in text


def test_a_figure_without_a_value_says_why() -> None:
    performance = msgspec.structs.replace(
        REPORT.performance,
        labelled=0,
        figures={**REPORT.performance.figures, "auc": Figure(n=9, reason="one_class_only")},
    )
    text = shown(msgspec.structs.replace(REPORT, performance=performance, maturity=None))
    assert "one class only" in text


def test_a_figure_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="found 'acuracy', expected one of accuracy, auc"):
        shown(REPORT, figures=("acuracy",))


def test_an_estimate_stands_beside_the_realised_figure_with_its_record() -> None:
    text = shown(REPORT)
    accuracy = REPORT.figure("estimated_accuracy")
    assert accuracy is not None and "estimated" in text
    assert f"{accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f})" in text
    assert record_text(REPORT) == (
        "estimates held in earlier cohorts: accuracy in 61 of 64, auc in 60 of 64, f1 in 62 of 64"
    )
    auc = REPORT.figure("estimated_auc")
    assert auc is not None and f"{auc.value:.3f}" in shown(REPORT, figures=("estimated_auc",))
    # Of numbers and of groups there is none.
    without = msgspec.structs.replace(REPORT, estimated=msgspec.UNSET)
    assert "estimated" not in shown(without) and record_text(without) == ""
    with pytest.raises(ValueError, match="found 'estimated_accuracy'"):
        shown(without, figures=("estimated_accuracy",))


def test_of_each_cohort_and_part_the_newest_report_is_shown() -> None:
    later = msgspec.structs.replace(REPORT, revision=1, time=REPORT.time + 60, id="later")
    other = msgspec.structs.replace(REPORT, variant="canary", id="other")
    found = newest_reports_of_cohorts([later, REPORT, other])
    assert sorted(one.id for one in found) == ["later", "other"]
