"""What a model's labels are compared with, and how an actual becomes a class or a number.

The target stands in the baseline document. Two readings of one label would give two accuracies, so
problem, positive class and threshold are stated there, and the text of a class has one form.
"""

import math
import re
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import msgspec

from tidegauge.contract.record import doc

Problem = Literal["binary", "multiclass", "regression"]

#: Classes of a target; the rest is counted as one more, "other".
MOST_CLASSES = 50

#: More edges than a histogram of residuals has.
MOST_RESIDUAL_EDGES = 200

#: Characters of a class; longer texts are "other", or no class of a binary target.
CLASS_CHARACTERS = 200

ClassText = Annotated[str, msgspec.Meta(min_length=1, max_length=CLASS_CHARACTERS)]


class BinaryTarget(msgspec.Struct, kw_only=True, frozen=True, tag="binary", tag_field="problem"):
    """Two classes, one of which is the positive one; the score is its probability.

    Codes of classes: 0 ``negative``, 1 ``positive``; of predictions also 2, none.
    """

    problem: ClassVar[Problem] = "binary"

    positive: Annotated[ClassText, doc("The class that the score is the probability of.")]
    negative: Annotated[ClassText, doc("The other class.")]
    threshold: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="A prediction without a label predicts the positive class if its score "
            "is this or more.",
        ),
    ]

    def __post_init__(self) -> None:
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are both {self.positive!r}")

    @property
    def texts(self) -> tuple[str, ...]:
        """The classes in the order of their codes."""
        return (self.negative, self.positive)

    @property
    def actual_codes(self) -> int:
        """How many codes an actual may have."""
        return 2

    @property
    def predicted_codes(self) -> int:
        """How many codes a prediction may have; the last is none."""
        return 3


class MulticlassTarget(
    msgspec.Struct, kw_only=True, frozen=True, tag="multiclass", tag_field="problem"
):
    """Several classes; the score is the probability of the predicted one.

    Codes of classes: their index; ``len(classes)`` is other; of predictions one more, none.
    """

    problem: ClassVar[Problem] = "multiclass"

    classes: Annotated[
        tuple[ClassText, ...],
        msgspec.Meta(
            min_length=2,
            max_length=MOST_CLASSES,
            description="Those that are counted one by one; all others are counted as one.",
        ),
    ]

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes names a class twice")

    @property
    def texts(self) -> tuple[str, ...]:
        """The classes in the order of their codes."""
        return self.classes

    @property
    def actual_codes(self) -> int:
        """How many codes an actual may have; the last is other."""
        return len(self.classes) + 1

    @property
    def predicted_codes(self) -> int:
        """How many codes a prediction may have; the last two are other and none."""
        return len(self.classes) + 2


class RegressionTarget(
    msgspec.Struct, kw_only=True, frozen=True, tag="regression", tag_field="problem"
):
    """A number. Predictions have one code, 0."""

    problem: ClassVar[Problem] = "regression"

    residual_edges: Annotated[
        tuple[float, ...],
        msgspec.Meta(
            max_length=MOST_RESIDUAL_EDGES,
            description="Bins of prediction minus actual, quantiles of the baseline's: bin i holds "
            "edges[i-1] ≤ residual < edges[i]; the outer ones are open.",
        ),
    ]

    centre: Annotated[
        float,
        doc(
            "A number near the baseline's actuals, from which powers of actuals are counted: of "
            "large actuals that vary little, squares would lose their digits."
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        edges = self.residual_edges
        if not math.isfinite(self.centre):
            raise ValueError("centre must be finite")
        if not all(map(math.isfinite, edges)) or any(a >= b for a, b in pairwise(edges)):
            raise ValueError("residual_edges must be finite and strictly increasing")

    @property
    def predicted_codes(self) -> int:
        """How many codes a prediction may have."""
        return 1


ClassTarget = BinaryTarget | MulticlassTarget
OutcomeTarget = BinaryTarget | MulticlassTarget | RegressionTarget

#: A number as JSON and CSV write it; Python's ``float`` takes "1_0", "nan" and Arabic digits too.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

#: Up to here a float holds every integer.
_EXACT = 2**53

_TRUTH = {"1": "true", "0": "false", "true": "1", "false": "0"}


def class_text(value: str | float | bool) -> str:
    """Return the canonical text of a class.

    A boolean is "true" or "false", an integer-valued number its integer; blanks around a text are
    dropped.

    >>> class_text(True), class_text(1.0), class_text(1), class_text(" yes "), class_text(0.5)
    ('true', '1', '1', 'yes', '0.5')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return str(int(value))
    return str(value)


def class_code(target: ClassTarget, value: str | float | bool) -> int | None:
    """Return the code of a class; None if it is none of a binary target's.

    A text that is no class as it stands is read as a number ("1.0" is the class "1") or, where the
    classes are 0 and 1, as a truth value in any case ("True" is "1"), and the other way round.

    >>> target = BinaryTarget(positive="1", negative="0", threshold=0.5)
    >>> [class_code(target, value) for value in ("1", 1, 1.0, True, "True", "1.0", "yes", 2)]
    [1, 1, 1, 1, 1, 1, None, None]
    >>> class_code(MulticlassTarget(classes=("cat", "dog")), "bird")
    2
    """
    texts = target.texts
    text = class_text(value)
    if text not in texts:
        text = _other_form(text, texts)
    if text in texts:
        return texts.index(text)
    return None if isinstance(target, BinaryTarget) else len(texts)


def _other_form(text: str, texts: tuple[str, ...]) -> str:
    number = actual_number(text)
    if number is not None:
        text = class_text(number)
    if text not in texts and set(texts) in ({"0", "1"}, {"true", "false"}):
        return _TRUTH.get(text.lower(), text) if text.lower() not in texts else text.lower()
    return text


def actual_number(value: str | float | bool) -> float | None:
    """Return the number that an actual of a regression is; None if it is no finite number.

    >>> actual_number(2), actual_number(" 2.5e3"), actual_number(True), actual_number("nan")
    (2.0, 2500.0, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond what a float holds
        return None
    return number if math.isfinite(number) else None
