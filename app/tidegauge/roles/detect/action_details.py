"""What an action names that the log of histograms doesn't tell: looked up as it is published."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from tidegauge.alerting import AlertState, RuleSet
from tidegauge.baseline.io import Key, Pointer, earlier_version
from tidegauge.contract import Action, DataRange
from tidegauge.windows import DataWanted, Slice

#: The pointers to promoted baselines, as far as this worker knows them.
Pointers = Callable[[], Mapping[Key, Pointer]]

#: The versions of an action's model on which a rule fires that asks to go back, as far as this
#: worker knows, with that rule.
Unsound = Callable[[Action], Mapping[str, str]]


def with_data(action: Action, data: DataWanted, find: Callable[[DataWanted], DataRange]) -> Action:
    """Return a retraining with the range of its data."""
    return msgspec.structs.replace(action, data=find(data))


def with_target(
    action: Action, pointers: Mapping[Key, Pointer], unsound: Mapping[str, str]
) -> Action:
    """Return a rollback with the version to go back to; if none is known, its reason says so.

    ``unsound`` has, by version, the rule that fires on it and asks to leave it too: such a version
    is passed over, and the reason says that.
    """
    passed: list[str] = []

    def earlier() -> str | None:
        return earlier_version(pointers, action.model, action.version, without=passed)

    while (to_version := earlier()) is not None and to_version in unsound:
        passed.append(to_version)
    reasons = [action.reason, *(f"not to {it}, on which {unsound[it]} fires" for it in passed)]
    if to_version is None:
        which = "other version" if passed else "version"
        reasons.append(f"no {which} of {action.model} is known to have been promoted before it")
    return msgspec.structs.replace(action, to_version=to_version, reason="; ".join(reasons))


def unsound_versions(
    slices: Iterable[tuple[Slice, AlertState]], action: Action, rules: RuleSet
) -> dict[str, str]:
    """Return the versions of the action's model on which a rule fires that asks to go back.

    Slices of the action's segment count, and those of all the traffic.
    """
    asking = {rule.name for rule in rules.rules if rule.action == "rollback"}
    found: dict[str, str] = {}
    for where, state in slices:
        if where.model != action.model or dict(where.segment) not in ({}, action.segment):
            continue
        for episode in state.firing:
            if episode.rule in asking:
                found[where.version] = min(episode.rule, found.get(where.version, episode.rule))
    return found
