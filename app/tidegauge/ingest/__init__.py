"""INGEST: reads prediction events, bins them, and writes mergeable histograms, exactly once.

The only room that touches raw events. :class:`Combiner` is Kafka's side, ``Counter`` the pure one.
"""

from tidegauge.ingest.combiner import Combiner
from tidegauge.ingest.garbage import collect_seldom
from tidegauge.ingest.history import RecordedEvent, read_events

__all__ = ["Combiner", "RecordedEvent", "collect_seldom", "read_events"]
