"""Drift monitoring for models on Kafka.

A serving node needs ``PredictionLogger`` alone; what it imports is the base install and no more.
Both names are resolved on first use, so that ``tidegauge.stats`` and its like import no Kafka.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegauge.producer import PredictionLogger as PredictionLogger

    __version__: str

__all__ = ["PredictionLogger", "__version__"]


def __getattr__(name: str) -> object:
    if name == "PredictionLogger":
        from tidegauge.producer import PredictionLogger

        return PredictionLogger
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("tidegauge")
        except PackageNotFoundError:
            return "0+uninstalled"  # run from a source tree that was never installed
    raise AttributeError(f"module 'tidegauge' has no attribute {name!r}")
