"""How often Python's cyclic garbage collector looks at the objects of a worker."""

import gc

#: A batch is thousands of messages, so by the default of 700 the collector would walk through
#: batches that are about to be freed anyway, and with every tenth of them through more: a fifth of
#: INGEST's time. Counting leaves no cycles; what else does has hundreds of objects, not millions.
COLLECT_AFTER = 50_000


def collect_seldom() -> None:
    """Leave what has been imported alone, and look for cycles after ``COLLECT_AFTER`` objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
