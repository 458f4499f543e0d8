"""Alerts and actions on the model version that they are about, in MLflow's model registry.

The channel reads the audit trail instead of the topics of alerts and actions: there, alerts,
actions and their outcomes are in one order, each once, and a number identifies a repeated record.

The registry is MLflow's REST API, which is the same for MLflow 2 and 3:
https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

import base64
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from tidegauge.config import TopicSettings
from tidegauge.contract import AuditRecord, DecodingError, decode
from tidegauge.notify.channel import Channel, Refused, RetryLater, origin, request
from tidegauge.notify.config import MlflowReceiver
from tidegauge.notify.mlflow_record import BY_RULE, changed, noted, state_of

_API = "/api/2.0/mlflow"

#: A request with less time left than this is not sent.
_LEAST_SECONDS = 0.01

A = TypeVar("A")


class _Tag(msgspec.Struct):
    key: str
    value: str = ""


class ModelVersion(msgspec.Struct):
    """A version of a registered model: its name, MLflow's number of it, and what is on it."""

    name: str
    version: str
    description: str = ""
    tags: list[_Tag] = []


class _One(msgspec.Struct):
    model_version: ModelVersion


class _Several(msgspec.Struct):
    # MLflow leaves an empty list out.
    model_versions: list[ModelVersion] = []


class Registry:
    """The registry at ``tracking_uri``, for one attempt of ``timeout_seconds`` in all.

    Methods raise :class:`RetryLater` and :class:`Refused`.
    """

    def __init__(
        self, tracking_uri: str, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> None:
        self._base = tracking_uri.rstrip("/") + _API
        self._headers = headers
        self._seconds = timeout_seconds
        self._until = time.monotonic() + timeout_seconds

    def find(self, model: str, version: str, tag: str | None) -> ModelVersion:
        """Return the version of a registered model that a version of tidegauge's stands for.

        With ``tag`` it is the one where that tag has the value ``version``. Otherwise a number is
        MLflow's own, and everything else an alias.
        """
        try:
            if tag is not None:
                return self._tagged(model, tag, version)
            if version.isascii() and version.isdigit():
                query = {"name": model, "version": version}
                return self._get("model-versions/get", query, _One).model_version
            query = {"name": model, "alias": version}
            return self._get("registered-models/alias", query, _One).model_version
        except Refused as error:
            kind = f"tag {tag} =" if tag is not None else "version or alias"
            raise Refused(f"registered model {model!r}, {kind} {version!r}: {error}") from error

    def set_tag(self, version: ModelVersion, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._send("POST", "model-versions/set-tag", version, {"key": key, "value": value})

    def describe(self, version: ModelVersion, description: str) -> None:
        """Write the description of a version."""
        self._send("PATCH", "model-versions/update", version, {"description": description})

    def _tagged(self, model: str, tag: str, version: str) -> ModelVersion:
        wanted = f"name = {_quoted(model)} AND tags.`{tag}` = {_quoted(version)}"
        query = {"filter": wanted, "max_results": "2"}
        found = self._get("model-versions/search", query, _Several).model_versions
        if len(found) != 1:
            raise Refused(f"found {'several' if found else 'no'} versions, expected one")
        return found[0]

    def _get(self, path: str, query: Mapping[str, str], type: type[A]) -> A:
        answer = request(
            "GET",
            f"{self._base}/{path}?{urlencode(query)}",
            None,
            self._headers,
            timeout_seconds=self._left(),
        )
        try:
            return decode(answer, type)
        except DecodingError as error:
            raise Refused(f"the answer is not one of MLflow's REST API: {error}") from error

    def _send(
        self, method: str, path: str, version: ModelVersion, fields: Mapping[str, str]
    ) -> None:
        body = {"name": version.name, "version": version.version, **fields}
        request(
            method,
            f"{self._base}/{path}",
            msgspec.json.encode(body),
            self._headers,
            timeout_seconds=self._left(),
        )

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left < _LEAST_SECONDS:
            raise RetryLater(f"not all answers within {self._seconds:g} s")
        return left


def _quoted(text: str) -> str:
    """Quote a text for a filter, whose quotes know no escapes; raises :class:`Refused`.

    >>> print(_quoted("credit"), _quoted("l'an"))
    'credit' "l'an"
    """
    quote = '"' if "'" in text else "'"
    if quote in text:
        raise Refused("MLflow can't search for a text with both kinds of quotes")
    return f"{quote}{text}{quote}"


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
        """Whether the record matches; a field that it doesn't have, such as an action, matches."""
        match, severity = self.receiver.match, record.inputs.get("severity")
        # A receiver of the lower severity also gets the rise and the end.
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
        """Write the tags of the model version, then its description.

        Only what differs is written, so doing it again changes nothing.
        """
        receiver = self.receiver
        registry = Registry(
            receiver.tracking_uri, self._headers(), timeout_seconds=receiver.timeout_seconds
        )
        version = registry.find(
            receiver.model_name.format(model=record.model), record.version, receiver.version_tag
        )
        before = {tag.key: tag.value for tag in version.tags}
        tags = changed(before, record)
        for key, value in tags.items():
            registry.set_tag(version, key, value)
        state = state_of({**before, **tags})
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
