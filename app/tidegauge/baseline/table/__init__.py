"""One reader of tables: CSV, Parquet, Arrow, NDJSON and JSON, by DuckDB.

It decides what each column holds, by all of its values, and says what it decided and why. Nothing
larger than one column is held in memory. Needs the extra ``processor``.
"""

from tidegauge.baseline.table.column import Column, Kind, Role
from tidegauge.baseline.table.options import ReadOptions
from tidegauge.baseline.table.rows import CategoryRows, NumericRows, TimedRows
from tidegauge.baseline.table.table import Table, open_table

__all__ = [
    "CategoryRows",
    "Column",
    "Kind",
    "NumericRows",
    "ReadOptions",
    "Role",
    "Table",
    "TimedRows",
    "open_table",
]
