"""One reader of tables: CSV, Parquet, Arrow, NDJSON and JSON, by DuckDB.

It decides by all values what each column holds, and reports the decision and its reason. Nothing
larger than one column is held in memory. Needs the extra ``processor``.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.baseline.io.table.column import (
        Column as Column,
        Kind as Kind,
        ReadOptions as ReadOptions,
        Role as Role,
    )
    from tidegauge.baseline.io.table.rows import NumericRows as NumericRows, TimedRows as TimedRows
    from tidegauge.baseline.io.table.table import Table as Table, open_table as open_table

face(__name__)
