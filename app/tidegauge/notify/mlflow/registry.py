"""MLflow's model registry by its REST API, which is the same for MLflow 2 and 3.

https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

import time
from collections.abc import Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec

from tidegauge.contract import DecodingError, decode
from tidegauge.notify.http import request
from tidegauge.notify.outcome import Refused, RetryLater

_API = "/api/2.0/mlflow"

#: So short an answer would be late for certain.
_LEAST_SECONDS = 0.01

A = TypeVar("A")


class ModelVersion(NamedTuple):
    """A version of a registered model: its name, MLflow's number of it, and what is on it."""

    name: str
    number: str
    description: str
    tags: Mapping[str, str]


class _Tag(msgspec.Struct):
    key: str
    value: str = ""


class _Version(msgspec.Struct):
    name: str
    version: str
    description: str = ""
    tags: list[_Tag] = []


class _One(msgspec.Struct):
    model_version: _Version


class _Several(msgspec.Struct):
    # MLflow leaves an empty list out.
    model_versions: list[_Version] = []


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
                return _version(self._get("model-versions/get", query, _One).model_version)
            query = {"name": model, "alias": version}
            return _version(self._get("registered-models/alias", query, _One).model_version)
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
        return _version(found[0])

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
        body = {"name": version.name, "version": version.number, **fields}
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


def _version(found: _Version) -> ModelVersion:
    tags = {tag.key: tag.value for tag in found.tags}
    return ModelVersion(found.name, found.version, found.description, tags)


def _quoted(text: str) -> str:
    """Quote a text for a filter, whose quotes know no escapes; raises :class:`Refused`.

    >>> print(_quoted("credit"), _quoted("l'an"))
    'credit' "l'an"
    """
    quote = '"' if "'" in text else "'"
    if quote in text:
        raise Refused("MLflow can't search for a text with both kinds of quotes")
    return f"{quote}{text}{quote}"
