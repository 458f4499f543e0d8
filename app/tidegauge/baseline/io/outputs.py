"""The columns of a model's output: which signal each is, and probabilities of predicted classes."""

import shlex
from collections.abc import Callable, Mapping, Sequence

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.column import Role
from tidegauge.baseline.io.table import Table
from tidegauge.contract import OUTPUT_SIGNALS


def check_confidence(
    confidence: str,
    prediction: str | None,
    others: Mapping[str, str | None],
    exclude: Sequence[str],
) -> None:
    """Raise ``BaselineError`` if the options can't be meant together; ``others`` by option."""
    quoted = shlex.quote(confidence)
    if prediction is None:
        raise BaselineError(
            f"--confidence {quoted} needs --prediction, the column with the predicted class"
        )
    for option, name in {"--prediction": prediction, **others}.items():
        if name == confidence:
            raise BaselineError(f"column {confidence!r} is both --confidence and {option}")
    if confidence in exclude:
        raise BaselineError(f"column {confidence!r} is both --confidence and --exclude")


def check_confidences(
    table: Table,
    confidence: str,
    prediction: str,
    roles: Mapping[str, Role],
    warn: Callable[[str], None],
) -> None:
    """Raise ``BaselineError`` if a column holds no probabilities of the classes of another."""
    if roles[prediction] != "categorical":
        raise BaselineError(
            f"column {prediction!r} is read as numbers, and --confidence is of a predicted class: "
            f"a score is named by --prediction alone; if its numbers are classes, --type "
            f"{shlex.quote(prediction)}=categorical"
        )
    if roles[confidence] == "categorical":
        raise BaselineError(
            f"column {confidence!r}, which --confidence names, holds no numbers, expected the "
            f"probability of the predicted class, 0 to 1"
        )
    check_probabilities(table, confidence, "the predicted class, 0 to 1, as events have it", warn)


def check_probabilities(
    table: Table, name: str, of: str, warn: Callable[[str], None], settled_by: str = ""
) -> None:
    """Raise ``BaselineError`` if a column has a number that is no probability."""
    scores, _, _ = table.numbers(name)
    if len(scores) and not 0 <= scores[0] <= scores[-1] <= 1:
        raise BaselineError(
            f"column {name!r} holds {scores[0]:g} to {scores[-1]:g}, expected the probability of "
            f"{of}{settled_by}"
        )
    if len(scores) and not ((scores > 0) & (scores < 1)).any():
        warn(
            f"column {name!r} holds 0 and 1 alone: predicted classes rather than scores, of "
            f"which AUC and calibration say little"
        )


def signal_names(
    roles: Mapping[str, Role], prediction: str | None, confidence: str | None
) -> dict[str, str]:
    """Return the name of each column's signal; raises ``BaselineError`` for a reserved one."""
    names = {name: name for name in roles}
    if prediction is not None:
        is_class = roles[prediction] == "categorical"
        names[prediction] = "label" if is_class else "prediction"
    if confidence is not None:
        names[confidence] = "prediction"
    for name in roles:
        if name in OUTPUT_SIGNALS and name not in (prediction, confidence):
            use = f", or name it with --prediction {name}" if prediction is None else ""
            if names.get(prediction or "") == "label" and confidence is None:
                use = f", or, if it is the probability of the class, --confidence {name}"
            raise BaselineError(
                f"column {name!r} has a name that is reserved for what tidegauge derives itself "
                f"({', '.join(OUTPUT_SIGNALS)}): rename it, --exclude {name}{use}"
            )
    return names
