"""How a table is to be read, where the reader is not to find out by itself."""

from dataclasses import dataclass

#: What is read as missing in a column of numbers or of true and false, whatever its case. In a
#: column of text only the empty cell is missing: "NA" may be Namibia.
MISSING = (
    "na", "n/a", "n.a.", "#n/a", "#na", "null", "(null)", "none", "nil", "nan", "-nan", "nat",
    "<na>", r"\n", "1.#qnan", "1.#ind", "-1.#ind",
    "?", "-", "--", ".", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!",
)  # fmt: skip

#: Those of them that nobody writes for anything else: no warning is due.
PLAINLY_MISSING = frozenset(
    {"na", "n/a", "n.a.", "#n/a", "null", "(null)", "none", "nan", "-nan", "nat", "<na>", r"\n"}
)


@dataclass(frozen=True)
class ReadOptions:
    """Options of ``tidegauge baseline create``; None: the reader finds out.

    ``missing`` are texts that are missing in every column, beside :data:`MISSING`.
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()
