"""What an action names that the log of histograms doesn't tell: looked up as it is published."""

from collections.abc import Callable, Mapping

import msgspec

from tidegauge.baseline.store import Key, Pointer, earlier_version
from tidegauge.contract import Action, DataRange
from tidegauge.detect.partition import DataWanted

#: The pointers to promoted baselines, as far as this worker knows them.
Pointers = Callable[[], Mapping[Key, Pointer]]


def with_data(action: Action, data: DataWanted, find: Callable[[DataWanted], DataRange]) -> Action:
    """Return a retraining with the range of its data."""
    return msgspec.structs.replace(action, data=find(data))


def with_target(action: Action, pointers: Mapping[Key, Pointer]) -> Action:
    """Return a rollback with the version to go back to; if none is known, its reason says so."""
    to_version = earlier_version(pointers, action.model, action.version)
    if to_version is not None:
        return msgspec.structs.replace(action, to_version=to_version)
    unknown = f"no version of {action.model} is known to have been promoted before it"
    return msgspec.structs.replace(action, reason=f"{action.reason}; {unknown}")
