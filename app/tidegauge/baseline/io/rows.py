"""The rows of a table as texts, one after another, for what is no baseline."""

from collections.abc import Iterator
from pathlib import Path

from tidegauge.baseline.io.builder import MEMORY_BYTES
from tidegauge.baseline.io.column import ReadOptions
from tidegauge.baseline.io.table import open_table


def text_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield each row of a file as texts by column, without those that are missing.

    Cells of a CSV are as they are in the file, values of other formats as events spell them. Raises
    ``BaselineError`` for what is no table.
    """
    with open_table(path, ReadOptions(), memory_bytes=MEMORY_BYTES) as table:
        roles = dict.fromkeys(table.columns, "categorical")
        for batch in table.timed(None, roles):  # type: ignore[arg-type]
            columns = [(name, *column) for name, column in batch.columns.items()]
            for at in range(len(batch.seconds)):
                yield {
                    name: texts[places[at]] for name, places, texts in columns if places[at] >= 0
                }
