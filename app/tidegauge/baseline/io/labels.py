"""The column of actuals: which kind of target it makes, and each row's prediction and actual.

What the model predicts is never guessed where the columns can be read in two ways: the error names
the options that settle it.
"""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegauge.baseline import BaselineError
from tidegauge.baseline.io.column import Role
from tidegauge.baseline.io.outputs import check_probabilities
from tidegauge.baseline.io.signals import text_spellings
from tidegauge.baseline.io.table import Table
from tidegauge.contract import (
    CLASS_CHARACTERS,
    MOST_CLASSES,
    BinaryTarget,
    MulticlassTarget,
    OutcomeTarget,
    Problem,
    RegressionTarget,
    class_code,
    class_text,
)
from tidegauge.stats import Floats

#: Quantiles of the residuals that are edges of bins, beside the ends and what is beyond them.
_RESIDUAL_BINS = 64

#: A whole number with a decimal point, which numbers of labels are spelled without.
_WHOLE = re.compile(r"-?\d{1,15}\.0*", re.ASCII)

#: How far below its true value a probability may be written.
_ROUNDED = 0.01

#: The code of a prediction that is no class.
_NONE = 65_535

_KINDS: Mapping[str, str] = {
    "instant": "holds dates or times",
    "nested": "holds lists or objects",
    "binary": "holds binary data",
    "empty": "has no value",
}


@dataclass(frozen=True)
class LabelOptions:
    """The column of actuals, and what it means where the columns don't show it."""

    column: str
    positive: str | None = None
    threshold: float | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class LabelledColumns:
    """The target, and prediction and actual of the rows that have both.

    ``value`` is a score or a number, NaN where there is only a class; ``predicted`` the code of
    the class, 65535 where the score decides; ``actual`` a code of a class or a number. ``rows`` is
    how many rows have a prediction.
    """

    target: OutcomeTarget
    value: Floats
    predicted: NDArray[np.uint16]
    actual: Floats
    rows: int


def check_labels(labels: LabelOptions, prediction: str | None, exclude: Sequence[str]) -> None:
    """Raise ``BaselineError`` if the options can't be meant together."""
    quoted = shlex.quote(labels.column)
    if prediction is None:
        raise BaselineError(f"--label {quoted} needs --prediction, the column it is compared with")
    if labels.column == prediction:
        raise BaselineError(f"column {prediction!r} is both --label and --prediction")
    if labels.column in exclude:
        raise BaselineError(
            f"column {labels.column!r} is both --label and --exclude: --label leaves it out already"
        )
    if labels.threshold is not None and not 0 <= labels.threshold <= 1:
        raise BaselineError(f"--threshold {labels.threshold:g}: expected 0 to 1")
    binary = labels.positive is not None or labels.threshold is not None
    if binary and labels.problem not in (None, "binary"):
        raise BaselineError(
            f"--positive and --threshold are of two classes, and --problem is {labels.problem}"
        )


def labelled_columns(
    table: Table,
    labels: LabelOptions,
    prediction: str,
    role: Role,
    warn: Callable[[str], None],
    confidence: str | None = None,
) -> LabelledColumns:
    """Read the target and the rows; ``role`` is how the column ``prediction`` is read.

    ``confidence`` is the column with the probability of the predicted class.

    Raises ``BaselineError`` if the columns make no target, or could make two.
    """
    column = table.columns[labels.column]
    if column.kind in _KINDS:
        raise BaselineError(
            f"column {column.name!r}, which --label names, {_KINDS[column.kind]}: expected the "
            f"class or the number that came true"
        )
    problem = labels.problem or _problem(table, labels, prediction, role)
    if problem == "regression":
        return _of_numbers(table, labels.column, prediction, role)
    actual = _texts(table, labels.column)
    if problem == "binary":
        if confidence is not None:
            raise BaselineError(
                f"--confidence {shlex.quote(confidence)} is of several classes: of two, name the "
                f"probability of the positive one by --prediction; or --problem multiclass"
            )
        target: BinaryTarget | MulticlassTarget = _binary(labels, actual)
        if role != "categorical":
            check_probabilities(
                table, prediction, "the positive class, 0 to 1", warn,
                ": of a log-odds x, 1 / (1 + exp(-x)), in events too; or name a column of "
                "predicted classes",
            )  # fmt: skip
    else:
        if role != "categorical":
            raise BaselineError(
                f"column {prediction!r} is read as numbers, and of several classes --prediction "
                f"names the class that was predicted: --type {shlex.quote(prediction)}=categorical"
            )
        target = _multiclass(labels.column, actual, warn)
        if confidence is not None:
            _check_largest(table, confidence, actual, _texts(table, prediction), warn)
    if role == "categorical":
        _check_classes(prediction, _texts(table, prediction), target)
    return _of_classes(table, labels.column, prediction, role, target, confidence)


def _problem(table: Table, labels: LabelOptions, prediction: str, role: Role) -> Problem:
    if labels.positive is not None or labels.threshold is not None:
        return "binary"
    name, column = labels.column, table.columns[labels.column]
    two = "give --positive CLASS and --threshold SCORE"
    if column.kind != "numeric" or role == "categorical":
        texts = _texts(table, name)
        values = len(texts)
        if role != "categorical" and values > 2:
            raise BaselineError(
                f"column {name!r} holds {values:,} classes, and {prediction!r} holds numbers: name "
                f"the column with the predicted class by --prediction, or if its numbers are "
                f"classes, --type {shlex.quote(prediction)}=categorical"
            )
        if values <= 2:
            more = "; or --problem multiclass" if role == "categorical" else ""
            raise BaselineError(f"column {name!r} holds {_listed(texts)}: {two}{more}")
        return "multiclass"
    actual, _, _ = table.numbers(name)
    distinct = np.unique(actual)
    if len(distinct) <= 2:
        raise BaselineError(
            f"column {name!r} holds {len(distinct)} different numbers: {two}; or --problem "
            f"regression"
        )
    predicted, _, _ = table.numbers(prediction)
    whole = not np.mod(distinct, 1).any() and len(distinct) <= MOST_CLASSES
    if whole and np.isin(predicted, distinct).all():
        raise BaselineError(
            f"columns {name!r} and {prediction!r} hold the same {len(distinct)} whole numbers: "
            f"--problem regression; or, if they are classes, --problem multiclass --type "
            f"{shlex.quote(prediction)}=categorical"
        )
    return "regression"


def _texts(table: Table, name: str) -> Counter[str]:
    """Return how often each class was seen, spelled as in events.

    Text of a typed file is spelled as a CSV's: no label that is a number or a boolean is "1.0" or
    "True".
    """
    counts, _ = table.categories(name)
    spelled = text_spellings(counts, table.columns[name].spelled_as)
    found: Counter[str] = Counter()
    for text, n in counts.items():
        one = class_text(spelled[text])
        found[class_text(float(one)) if _WHOLE.fullmatch(one) else one] += n
    if {text.lower() for text in found} <= {"true", "false"}:
        truths: Counter[str] = Counter()
        for text, n in found.items():
            truths[text.lower()] += n
        return truths
    return found


def _binary(labels: LabelOptions, actual: Counter[str]) -> BinaryTarget:
    name = labels.column
    if labels.positive is None or labels.threshold is None:
        lacking = "--positive, the class of which the score is the probability"
        if labels.positive is not None:
            lacking = "--threshold, the score from which on the positive class is predicted"
        raise BaselineError(f"two classes need {lacking}; column {name!r} holds {_listed(actual)}")
    if len(actual) != 2:
        raise BaselineError(
            f"column {name!r} holds {_listed(actual)}, and two classes are expected: a text that "
            f"means missing is named by --na, and several classes by --problem multiclass"
        )
    first, second = sorted(actual)
    _check_length(name, actual)
    order = BinaryTarget(positive=second, negative=first, threshold=labels.threshold)
    code = class_code(order, labels.positive)
    if code is None:
        raise BaselineError(
            f"--positive {shlex.quote(labels.positive)}: column {name!r} holds {_listed(actual)}"
        )
    if code == 1:
        return order
    return BinaryTarget(positive=first, negative=second, threshold=labels.threshold)


def _multiclass(name: str, actual: Counter[str], warn: Callable[[str], None]) -> MulticlassTarget:
    if len(actual) < 2:
        raise BaselineError(
            f"column {name!r} holds {_listed(actual)}, expected two classes or more"
        )
    _check_length(name, actual)
    classes = sorted(actual, key=lambda text: (-actual[text], text))
    if len(classes) > MOST_CLASSES:
        share = sum(actual[it] for it in classes[MOST_CLASSES:]) / actual.total()
        warn(
            f"column {name!r} has {len(classes):,} classes: the commonest {MOST_CLASSES} are "
            f"counted one by one, the others as one ({share:.1%} of the rows)"
        )
    return MulticlassTarget(classes=tuple(sorted(classes[:MOST_CLASSES])))


def _check_length(name: str, actual: Counter[str]) -> None:
    for text in actual:
        if not 1 <= len(text) <= CLASS_CHARACTERS:
            raise BaselineError(
                f"column {name!r} holds a class of {len(text)} characters, expected 1 to "
                f"{CLASS_CHARACTERS}"
            )


def _check_classes(
    prediction: str, predicted: Counter[str], target: BinaryTarget | MulticlassTarget
) -> None:
    """Refuse predicted classes that are spelled otherwise than the actual ones."""
    of_binary = isinstance(target, BinaryTarget)
    known = {text for text in predicted if class_code(target, text) in range(len(target.texts))}
    strange = predicted.keys() - known
    if strange and (of_binary or not known):
        raise BaselineError(
            f"column {prediction!r} holds {min(strange)!r}, and the classes are "
            f"{', '.join(map(repr, target.texts[:5]))}: both must spell them alike"
        )


def _check_largest(
    table: Table,
    confidence: str,
    actual: Counter[str],
    predicted: Counter[str],
    warn: Callable[[str], None],
) -> None:
    """Warn of a probability that can't be the largest of all classes: it may be of another one."""
    scores, _, _ = table.numbers(confidence)
    classes = len(actual.keys() | predicted.keys())
    # Scores are rounded in files.
    small = int((scores < (1 - _ROUNDED) / classes).sum())
    if small:
        warn(
            f"column {confidence!r} is below 1/{classes} in {small:,} of {len(scores):,} rows, and "
            f"the likeliest of {classes} classes has at least that: expected the probability of "
            f"the class in the same row"
        )


def _of_classes(
    table: Table,
    label: str,
    prediction: str,
    role: Role,
    target: BinaryTarget | MulticlassTarget,
    confidence: str | None,
) -> LabelledColumns:
    value, predicted, actual, rows = [], [], [], 0
    roles: dict[str, Role] = {label: "categorical", prediction: role}
    if confidence is not None:
        roles[confidence] = "numeric"
    for batch in table.timed(None, roles):
        codes = _codes(table, label, batch.columns[label], target)
        if role == "categorical":
            held = _codes(table, prediction, batch.columns[prediction], target)
            there = held >= 0
            scores = np.full(len(held), np.nan)
            if confidence is not None:
                scores = np.asarray(batch.columns[confidence], dtype=np.float64)
            classes = np.where(held < 0, _NONE, held).astype(np.uint16)
        else:
            scores = np.asarray(batch.columns[prediction], dtype=np.float64)
            there, classes = np.isfinite(scores), np.full(len(scores), _NONE, dtype=np.uint16)
        rows += int(there.sum())
        both = there & (codes >= 0)
        value.append(scores[both])
        predicted.append(classes[both])
        actual.append(codes[both].astype(np.float64))
    scores = np.concatenate(value)
    if not len(scores):
        raise BaselineError(f"no row has both {prediction!r} and {label!r}")
    return LabelledColumns(target, scores, np.concatenate(predicted), np.concatenate(actual), rows)


def _codes(
    table: Table,
    name: str,
    column: object,
    target: BinaryTarget | MulticlassTarget,
) -> NDArray[np.int64]:
    """Return the code of each row's class; -1 where there is none, or none of the target's."""
    assert isinstance(column, tuple)  # noqa: S101 - as it was asked for
    places, texts = column
    spelled = text_spellings(texts, table.columns[name].spelled_as)
    codes = [class_code(target, spelled[text]) for text in texts]
    of_texts = np.array([-1 if code is None else code for code in codes] + [-1], dtype=np.int64)
    return np.asarray(of_texts[places])


def _of_numbers(table: Table, label: str, prediction: str, role: Role) -> LabelledColumns:
    kind = table.columns[label].kind
    for name, is_number in ((prediction, role != "categorical"), (label, kind == "numeric")):
        if not is_number:
            raise BaselineError(
                f"column {name!r} holds no numbers, as a regression's do: --problem binary or "
                f"multiclass, or --type {shlex.quote(name)}=numeric"
            )
    value, actual, rows = [], [], 0
    for batch in table.timed(None, {label: "numeric", prediction: role}):
        numbers = np.asarray(batch.columns[prediction], dtype=np.float64)
        actuals = np.asarray(batch.columns[label], dtype=np.float64)
        there = np.isfinite(numbers)
        rows += int(there.sum())
        both = there & np.isfinite(actuals)
        value.append(numbers[both])
        actual.append(actuals[both])
    numbers, actuals = np.concatenate(value), np.concatenate(actual)
    if not len(numbers):
        raise BaselineError(f"no row has both {prediction!r} and {label!r}")
    target = RegressionTarget(
        residual_edges=residual_edges(numbers - actuals), centre=float(np.median(actuals))
    )
    codes = np.full(len(numbers), _NONE, dtype=np.uint16)
    return LabelledColumns(target, numbers, codes, actuals, rows)


def residual_edges(residuals: Floats) -> tuple[float, ...]:
    """Return edges of bins for residuals: their quantiles, and beyond their ends as far again.

    So a model that gets worse has quantiles of residuals, too.

    >>> edges = residual_edges(np.array([-1.0, 0.0, 0.0, 1.0]))
    >>> edges[0], edges[-1]
    (-9.0, 9.0)
    """
    quantiles = np.quantile(residuals, np.linspace(0, 1, _RESIDUAL_BINS + 1))
    low, high = float(quantiles[0]), float(quantiles[-1])
    # Of a model without errors any error is worse.
    width = high - low or max(abs(low), 1.0) * 1e-6
    steps = width * np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    edges = np.unique(np.concatenate([low - steps, quantiles, high + steps]))
    return tuple(edges[np.isfinite(edges)].tolist())


def _listed(counts: Counter[str]) -> str:
    shown = [repr(text) for text in sorted(counts, key=lambda it: (-counts[it], it))[:5]]
    more = f" and {len(counts) - 5:,} more" if len(counts) > 5 else ""
    return f"{', '.join(shown)}{more}" if shown else "nothing"
