"""INGEST: reads prediction events, bins them, and writes mergeable histograms, exactly once.

The only room that touches raw events. :class:`Combiner` is Kafka's side, ``Counter`` the pure one.
"""

from tidegauge.ingest.combiner import Combiner

__all__ = ["Combiner"]
