"""How mutations replace parts of the product."""

import time
from collections.abc import Callable
from typing import Any

#: How long a crash has to come between two writes that belong together, seconds. Without it, it
#: would take thousands of crashes to hit the millisecond.
WINDOW_SECONDS = 0.3


def replace(owner: Any, name: str, new: Any) -> None:
    """Set an attribute that is there; raises ``AttributeError`` if the product has changed."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner} has no {name} to replace; mend this mutation")
    setattr(owner, name, new)


def offsets_first(whole: Callable[..., None]) -> Callable[..., None]:
    """Return a commit that commits the offsets of ``whole`` in a transaction before."""

    def apart(producer: Any, *, offsets: Any, group: Any, **rest: Any) -> None:
        producer.begin_transaction()
        producer.send_offsets_to_transaction(offsets, group, 10)
        producer.commit_transaction(10)
        time.sleep(WINDOW_SECONDS)
        whole(producer, offsets=offsets, group=group, **rest)

    return apart
