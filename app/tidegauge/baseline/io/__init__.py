"""Baselines made of files and kept in Redis: the reader of tables, the store, the workers' cache.

Needs the extra ``processor``.
"""

from typing import TYPE_CHECKING

from tidegauge._face import face

if TYPE_CHECKING:
    from tidegauge.baseline.io.builder import build as build
    from tidegauge.baseline.io.cache import BaselineCache as BaselineCache
    from tidegauge.baseline.io.importance import read_importances as read_importances
    from tidegauge.baseline.io.nearest import (
        name_of as name_of,
        nearest_baseline as nearest_baseline,
        without_baseline as without_baseline,
    )
    from tidegauge.baseline.io.store import (
        BaselineNotFound as BaselineNotFound,
        BaselineStore as BaselineStore,
        CorruptBaseline as CorruptBaseline,
        Key as Key,
        Pointer as Pointer,
        StoreError as StoreError,
        StoreUnavailable as StoreUnavailable,
        earlier_version as earlier_version,
        newer_version as newer_version,
    )
    from tidegauge.baseline.io.summary import ColumnSummary as ColumnSummary
    from tidegauge.baseline.io.table.column import Role as Role
    from tidegauge.baseline.io.table.options import ReadOptions as ReadOptions
    from tidegauge.baseline.io.types_file import read_types as read_types

face(
    __name__,
    {
        "builder": ("build",),
        "cache": ("BaselineCache",),
        "importance": ("read_importances",),
        "nearest": ("name_of", "nearest_baseline", "without_baseline"),
        "store": (
            "BaselineNotFound",
            "BaselineStore",
            "CorruptBaseline",
            "Key",
            "Pointer",
            "StoreError",
            "StoreUnavailable",
            "earlier_version",
            "newer_version",
        ),
        "summary": ("ColumnSummary",),
        "table.column": ("Role",),
        "table.options": ("ReadOptions",),
        "types_file": ("read_types",),
    },
)
