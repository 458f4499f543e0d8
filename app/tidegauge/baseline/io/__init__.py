"""Baselines made of files and kept in Redis: the reader of tables, the store, the workers' cache.

The reader takes CSV, Parquet, Arrow, NDJSON and JSON, by DuckDB. All values of a column decide what
it holds, and the decision is reported with its reason. Nothing larger than one column is held in
memory. Needs the extra ``processor``.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.baseline.io.builder import build as build
    from tidegauge.baseline.io.cache import BaselineCache as BaselineCache
    from tidegauge.baseline.io.choices import (
        read_importances as read_importances,
        read_types as read_types,
    )
    from tidegauge.baseline.io.column import ReadOptions as ReadOptions, Role as Role
    from tidegauge.baseline.io.daily import (
        over_all_spans as over_all_spans,
        signal_hours as signal_hours,
    )
    from tidegauge.baseline.io.joint import JointOptions as JointOptions
    from tidegauge.baseline.io.labels import (
        LabelledColumns as LabelledColumns,
        LabelOptions as LabelOptions,
    )
    from tidegauge.baseline.io.pointers import (
        Key as Key,
        Pointer as Pointer,
        earlier_version as earlier_version,
        name_of as name_of,
        nearest_baseline as nearest_baseline,
        newer_version as newer_version,
        without_baseline as without_baseline,
    )
    from tidegauge.baseline.io.rows import text_rows as text_rows
    from tidegauge.baseline.io.signals import ColumnSummary as ColumnSummary
    from tidegauge.baseline.io.store import (
        BaselineNotFound as BaselineNotFound,
        BaselineStore as BaselineStore,
        CorruptBaseline as CorruptBaseline,
        StoreError as StoreError,
        StoreUnavailable as StoreUnavailable,
    )

face(__name__)
