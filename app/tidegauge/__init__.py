"""Drift monitoring for models on Kafka.

A serving node needs ``PredictionLogger`` alone, and ``OutcomeLogger`` where labels come from; what
they import is the base install and no more. All names are resolved on first use, so that
``tidegauge.stats`` and its like import no Kafka.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegauge.producer import (
        OutcomeLogger as OutcomeLogger,
        PredictionLogger as PredictionLogger,
    )

    __version__: str

__all__ = ["OutcomeLogger", "PredictionLogger", "__version__"]


def __getattr__(name: str) -> object:
    if name in ("PredictionLogger", "OutcomeLogger"):
        from tidegauge import producer

        return getattr(producer, name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("tidegauge")
        except PackageNotFoundError:
            return "0+uninstalled"  # run from a source tree that was never installed
    raise AttributeError(f"module 'tidegauge' has no attribute {name!r}")
