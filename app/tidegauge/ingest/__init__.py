"""INGEST: reads prediction events, bins them, and writes mergeable histograms, exactly once.

The only room that touches raw events. :class:`Combiner` is Kafka's side, ``Counter`` the pure one.
"""

from tidegauge.ingest.combiner import Combiner
from tidegauge.ingest.garbage import collect_seldom

__all__ = ["Combiner", "collect_seldom"]
