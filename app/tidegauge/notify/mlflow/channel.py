"""The way of alerts and actions to a model registry.

They come from the audit trail and not from their own topics: there alerts, actions and what became
of those are in one order, each once, with a number by which a record that comes again is known.
"""

import base64
from fnmatch import fnmatchcase

from tidegauge.config import TopicSettings
from tidegauge.contract import AuditRecord, decode
from tidegauge.notify.channel import Channel
from tidegauge.notify.config import MlflowReceiver
from tidegauge.notify.http import origin
from tidegauge.notify.mlflow.note import noted
from tidegauge.notify.mlflow.registry import Registry
from tidegauge.notify.mlflow.tags import BY_RULE, changed, state_of

#: What is recorded; pending alerts and reminders change nothing for a model.
_EVENTS = frozenset(
    {
        "alert.firing",
        "alert.raised",
        "alert.resolved",
        "action.requested",
        "action.withheld",
        "action.taken",
        "action.failed",
    }
)


class MlflowChannel(Channel[AuditRecord]):
    """To the model registry of an MLflow server."""

    receiver: MlflowReceiver

    @property
    def target(self) -> str:
        """Scheme, host and port."""
        return origin(self.receiver.tracking_uri)

    def topic(self, topics: TopicSettings) -> str:
        """Return that of the audit trail."""
        return topics.audit

    def read(self, value: bytes) -> AuditRecord | None:
        """Decode a record of an alert that fires or is over, or of an action."""
        record = decode(value, AuditRecord)
        return record if record.event in _EVENTS else None

    def wants(self, record: AuditRecord) -> bool:
        """Whether it fits; what a record doesn't name fits all: an alert no action, for example."""
        match, severity = self.receiver.match, record.inputs.get("severity")
        # Who was told of the lower severity is told of the rise and of the end.
        severities = {severity, *record.inputs.get("severities_before", "").split()}
        action = record.inputs.get("action")
        rule = record.actor.removeprefix(BY_RULE) if record.actor.startswith(BY_RULE) else None
        return (
            (
                match.severities is None
                or severity is None
                or not severities.isdisjoint(match.severities)
            )
            and (match.actions is None or action is None or action in match.actions)
            and any(fnmatchcase(record.model, glob) for glob in match.models)
            and (rule is None or any(fnmatchcase(rule, glob) for glob in match.rules))
        )

    def deliver(self, record: AuditRecord, note: str = "") -> None:
        """Make the model version say it: its tags first, then its description.

        Only what differs is written, so doing it again changes nothing.
        """
        receiver = self.receiver
        registry = Registry(
            receiver.tracking_uri, self._headers(), timeout_seconds=receiver.timeout_seconds
        )
        version = registry.find(
            receiver.model_name.format(model=record.model), record.version, receiver.version_tag
        )
        tags = changed(version.tags, record)
        for key, value in tags.items():
            registry.set_tag(version, key, value)
        state = state_of({**version.tags, **tags})
        description = noted(version.description, record, state, entries=receiver.entries)
        if description != version.description:
            registry.describe(version, description)

    def _headers(self) -> dict[str, str]:
        receiver = self.receiver
        if receiver.authorization is not None:
            return {"Authorization": receiver.authorization.reveal()}
        if receiver.password is not None:
            pair = f"{receiver.username}:{receiver.password.reveal()}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return {}
