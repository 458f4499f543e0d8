"""DETECT: merges histograms into windows, closes them by event time, judges and publishes them.

``partition``, ``watermark``, ``report`` and ``closing`` are pure; ``Detector`` is Faust's side.
"""

from tidegauge.detect.detector import Detector

__all__ = ["Detector"]
