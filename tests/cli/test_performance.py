"""``tidegauge performance show``: figures with their intervals, or why there are none."""

import io

import msgspec
import pytest

from support.deployment import ROOT
from tidegauge.cli.performance import newest_reports_of_cohorts, performance_table
from tidegauge.cli.printing import PlainConsole
from tidegauge.contract import Figure, PerformanceReport

REPORT = msgspec.json.decode(
    (ROOT / "schemas" / "examples" / "performance-report.json").read_bytes(),
    type=PerformanceReport,
)


def shown(*reports: PerformanceReport, figures: tuple[str, ...] = ()) -> str:
    out = io.StringIO()
    PlainConsole(file=out, width=120).print(performance_table(reports, figures))
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


def test_of_each_cohort_and_part_the_newest_report_is_shown() -> None:
    later = msgspec.structs.replace(REPORT, revision=1, time=REPORT.time + 60, id="later")
    other = msgspec.structs.replace(REPORT, variant="canary", id="other")
    found = newest_reports_of_cohorts([later, REPORT, other])
    assert sorted(one.id for one in found) == ["later", "other"]
