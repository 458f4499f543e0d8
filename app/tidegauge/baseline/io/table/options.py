"""How a table is to be read, where the reader is not to find out by itself."""

from dataclasses import dataclass

#: What is read as missing in a column of numbers or of true and false, whatever its case: nobody
#: writes these for anything else. In a column of text only the empty cell is missing: "NA" may be
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
