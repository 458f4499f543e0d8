"""A part of the benchmark of detection: what it prints, and the figures that it yields by case."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from _detection_document import table
from _detection_packages import Row


class Options(NamedTuple):
    """What was asked for."""

    quick: bool
    seed: int

    @property
    def runs(self) -> int:
        """Return of how many models delays are the mean."""
        return 200 if self.quick else 400


#: A figure, the case that it is of, and its value; or a row of other packages.
Figure = tuple[str, str, float | int | Mapping[str, object] | None]
Found = Iterator[Figure | Row]


class Part:
    """Tables, as they are printed, and as texts for the document."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def show(self, head: Sequence[str], rows: Iterable[list[str]], about: str = "") -> None:
        """Print each row as it is found, and keep the table, with a paragraph about it."""
        if about:
            self.texts.append(about)
        print("\n" + " | ".join(head), flush=True)
        kept = []
        for row in rows:
            print(" | ".join(row), flush=True)
            kept.append(row)
        self.texts.append(table(head, kept))
