"""What is known of one column of a table, and the options of the reader."""

from dataclasses import dataclass, field
from typing import Literal

#: Texts, in any case, that are missing values in a column of numbers or of true and false: they
#: have no other use. In a column of text only the empty cell is missing: "NA" may be
#: Namibia.
PLAINLY_MISSING = (
    "na", "n/a", "n.a.", "#n/a", "#na", "null", "(null)", "none", "nil", "nan", "-nan", "nat",
    "<na>", r"\n", "__hive_default_partition__",
)  # fmt: skip

#: What is read so too, and said: it may be a slip.
MAYBE_MISSING = (
    "?", "-", "--", ".", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!",
    "1.#qnan", "1.#ind", "-1.#ind",
)  # fmt: skip

MISSING = PLAINLY_MISSING + MAYBE_MISSING


@dataclass(frozen=True)
class ReadOptions:
    """Options of ``tidegauge baseline create``; None: the reader finds out.

    ``missing`` are texts that are missing in every column, beside :data:`MISSING`.
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()


#: What the values of a column are, judged by all of them.
Kind = Literal["numeric", "boolean", "string", "instant", "nested", "binary", "empty"]

#: What a column is read as; percent: numbers of which the sign is left out.
Role = Literal["numeric", "categorical", "percent"]

#: Where a column comes from: cells of text, JSON, or a file that has types.
Nature = Literal["text", "json", "typed"]


@dataclass(frozen=True)
class NumberForm:
    """How a column of text writes numbers.

    ``decimal`` is the decimal sign; ``groups`` are the signs between thousands, which are left out;
    ``percent``: each has a percent sign; ``share``: it means hundredths.
    """

    decimal: str = "."
    groups: str = ""
    percent: bool = False
    share: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the numbers are written as in every programming language."""
        return self == NumberForm()


@dataclass(frozen=True)
class Column:
    """A column, by its name and its ``place`` in the SQL of the reader.

    ``offender`` is the first value that is no number, and its row, where most or none are.
    ``missing_texts`` are those that are missing in this column, in lower case.
    """

    name: str
    place: str
    nature: Nature
    type: str
    kind: Kind = "empty"
    form: NumberForm = field(default_factory=NumberForm)
    offender: str = ""
    doubts: tuple[str, ...] = ()
    missing_texts: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
