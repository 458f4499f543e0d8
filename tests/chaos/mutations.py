"""Ways to break the product on purpose: a suite that finds none of them proves nothing.

Each switches off one of the things that counting rests on, in one worker process, before it
begins. ``chaos.worker`` applies the one that the environment names.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

#: Environment variable with the name of the mutation to apply.
VARIABLE = "CHAOS_MUTATION"


def no_gap_detection() -> None:
    """DETECT joins what it is given and never asks whether something before it is missing."""
    from tidegauge.detect.partition import PartitionState

    replace(PartitionState, "gap", lambda self, record, offset: None)


MUTATIONS: Mapping[str, Callable[[], None]] = {
    "no_gap_detection": no_gap_detection,
}


def replace(owner: Any, name: str, new: Any) -> None:
    """Set an attribute that is there; raises ``AttributeError`` if the product has changed."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner} has no {name} to replace; mend this mutation")
    setattr(owner, name, new)


def apply_named_mutation() -> None:
    """Apply the mutation that the environment names; raises ``KeyError`` if there is no such."""
    MUTATIONS[os.environ[VARIABLE]]()
