"""The extension ``tidegauge_native``, built of ``native/`` (Rust), where it is installed."""

import importlib
import importlib.util
from typing import Any

#: The extension, or None: everything works without it, more slowly.
MODULE: Any = (
    importlib.import_module("tidegauge_native")
    if importlib.util.find_spec("tidegauge_native")
    else None
)


def is_installed() -> bool:
    """Whether the native decoder is there."""
    return MODULE is not None
