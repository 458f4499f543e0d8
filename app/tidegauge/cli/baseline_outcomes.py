"""What ``tidegauge baseline`` shows of a baseline's target and of its own outcomes."""

from rich.console import Group, RenderableType

from tidegauge.baseline import Baseline
from tidegauge.cli.printing import folding_table, plain
from tidegauge.contract import (
    BinaryTarget,
    Figure,
    MulticlassTarget,
    counted,
    printable,
)
from tidegauge.outcomes import reference_figures

#: Classes that are named.
_MOST = 5


def outcomes_line(baseline: Baseline) -> str:
    """Say what labels are compared with."""
    its = baseline.outcomes
    if not its:
        return "no labels: made without --label"
    target = its.target
    if isinstance(target, BinaryTarget):
        what = (
            f"{printable(target.positive)!r} (not {printable(target.negative)!r}) from a score of "
            f"{target.threshold:g} on"
        )
    elif isinstance(target, MulticlassTarget):
        named = ", ".join(repr(printable(text)) for text in target.classes[:_MOST])
        rest = len(target.classes) - _MOST
        what = f"{counted(len(target.classes), 'class', 'classes')}: {named}"
        what += f" and {rest} more" if rest > 0 else ""
    else:
        what = "numbers"
    return f"labels: {target.problem}, {what}; {its.labelled:,} of {its.predicted:,} rows have one"


def outcomes_table(baseline: Baseline) -> RenderableType:
    """Return a table of the figures that the model had on the rows of its baseline."""
    table = folding_table(
        "figure", "value", "95 % interval", "± bins", "n",
        whole=("figure", "value", "95 % interval"), right=("value", "± bins", "n"),
    )  # fmt: skip
    for name, figure in reference_figures(baseline).items():
        table.add_row(name, *figure_cells(figure))
    return Group(plain("outcomes of the baseline's own rows", "bold"), table)


def figure_cells(figure: Figure) -> tuple[str, str, str, str]:
    """Return value, interval, binning error and n of a figure; the reason if it has no value."""
    if figure.value is None:
        return (str(figure.reason or "").replace("_", " "), "", "", f"{figure.n:,}")
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"{figure.low:.4g} to {figure.high:.4g}"
    # What is left of rounding is no error of bins.
    bins = f"{figure.binning_error:.1g}" if figure.binning_error > 1e-6 else ""
    return (f"{figure.value:.4g}", interval, bins, f"{figure.n:,}")
