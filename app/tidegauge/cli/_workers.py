"""What ``tidegauge check`` reports of the workers, by their consumer groups. Pure."""

from tidegauge.contract import duration_text
from tidegauge.kafka import GroupState

#: What the newest record of a role is.
_WROTE = {"ingest": "flush", "detect": "window", "ledger": "record of the audit trail"}

#: INGEST commits every second, also without events. After so long without a commit it is stuck, or
#: has no partition.
_FLUSH_SECONDS = 120.0


def describe_group(state: GroupState, now: float) -> str:
    """Return how a group stands.

    >>> from tidegauge.kafka.admin import RoleGroup
    >>> of = RoleGroup("detect", "detect", "tidegauge-detect", "histograms", "windows")
    >>> describe_group(GroupState(of, 2, True, 1200, 940.0), 1000.0)
    '2 members, 1,200 offsets behind, last window 1 min ago'
    """
    members = f"{state.members} member{'' if state.members == 1 else 's'}"
    said = [members if state.members else "no member", f"{state.behind:,} offsets behind"]
    what = _WROTE.get(state.of.role)
    if what is not None:
        never = f"no {what} yet"
        said.append(never if state.wrote_at is None else f"last {what} {_ago(state, now)}")
    return ", ".join(said)


def _ago(state: GroupState, now: float) -> str:
    return f"{duration_text(max(0.0, now - (state.wrote_at or now)))} ago"


def missing_worker(state: GroupState) -> str:
    """Return what to do where a group has no member; "" if it has one."""
    if state.members:
        return ""
    command = f"tidegauge run --role {state.of.role}"
    if state.started:
        return (
            f"no worker of {state.of.name} runs (group {state.of.group}), so nothing of "
            f"{state.of.reads} is read; start one: {command}"
        )
    return f"no worker of {state.of.name} has run yet; start one: {command}, or all: tidegauge run"


def idle_worker(state: GroupState, now: float) -> str:
    """Return a warning about a worker that runs and doesn't write; "" if it writes."""
    if state.of.role != "ingest" or not state.members or state.wrote_at is None:
        return ""
    if now - state.wrote_at < _FLUSH_SECONDS:
        return ""
    return f"the last flush was {_ago(state, now)}: see /readyz of ingest and its log"
