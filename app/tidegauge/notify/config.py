"""The receiver file: the receivers as it has them, and reading it."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from tidegauge.config import UNSHOWN, FileFormat, Location, Problem, Settings, read_file
from tidegauge.contract import ActionKind, Alert, Severity, duration
from tidegauge.notify.withholding import Limit


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as https://example.com/path")
    if parts.username or parts.password:
        raise ValueError("found a user or password in the address; give 'authorization' instead")
    return value


Url = Annotated[str, AfterValidator(_web_address)]
_Glob = Annotated[str, Field(min_length=1, max_length=200)]
_ADDRESS = re.compile(r"^[^@\s<>,;]+@[^@\s<>,;]+$")


def _mail_address(value: str) -> str:
    if not _ADDRESS.match(value):
        raise ValueError("expected a mail address such as oncall@example.com")
    return value


_Address = Annotated[str, AfterValidator(_mail_address)]


_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")

#: Stands for the path of a file that doesn't exist.
_NAMED = "that 'file' names"


def _known_part(path: str) -> str:
    """Return a path as far as it is there: what comes after that may be the secret itself."""
    at = Path(path)
    with suppress(OSError, ValueError):
        if at.exists():
            return path
        there = next(one for one in at.parents if one.is_dir())
        if there not in (Path("/"), Path(".")):
            return f"{there}/{UNSHOWN}"
    return _NAMED


class _Strict(BaseModel):
    # Strict: 25 in quotes, or yes for a number, is a slip to be shown, not guessed at.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Secret(_Strict):
    """Where a secret is: in an environment variable or in a file. Read once, and never shown."""

    env: str | None = None
    file: str | None = None
    _value: SecretStr

    @model_validator(mode="after")
    def _read(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("expected one of 'env' and 'file'")
        if self.env is not None:
            if self.env.startswith("TIDEGAUGE_"):
                raise ValueError(
                    "names that begin with TIDEGAUGE_ are settings; choose another, "
                    "such as NOTIFY_SECRET"
                )
            # Only what looks like a name is shown: somebody may have written the secret here.
            named = self.env if _VARIABLE.fullmatch(self.env) else "that 'env' names"
            value, where = os.environ.get(self.env, ""), f"environment variable {named}"
        else:
            path = self.file or ""
            where = f"file {_known_part(path)}"
            try:
                value = Path(path).read_text("utf-8").strip()
            except UnicodeDecodeError as error:
                raise ValueError(f"{where} can't be read: not UTF-8") from error
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or "no path"
                raise ValueError(f"{where} can't be read: {why}") from error
        if not value:
            raise ValueError(f"{where} is not set or empty")
        self._value = SecretStr(value)
        return self

    def reveal(self) -> str:
        """Return the secret."""
        return self._value.get_secret_value()


class Match(_Strict):
    """Which alerts a receiver gets; each left out means all."""

    severities: Annotated[list[Severity], Field(min_length=1)] | None = None
    models: Annotated[list[_Glob], Field(min_length=1)] = ["*"]
    rules: Annotated[list[_Glob], Field(min_length=1)] = ["*"]
    #: Alerts that have asked for one of these, such as ``[page]``.
    actions: Annotated[list[ActionKind], Field(min_length=1)] | None = None

    def takes(self, alert: Alert) -> bool:
        """Whether an alert is one of them; it stays so if its severity rises."""
        severities = {alert.severity, *alert.severities_before}
        return (
            (self.severities is None or not severities.isdisjoint(self.severities))
            and (self.actions is None or alert.action in self.actions)
            and any(fnmatchcase(alert.model, glob) for glob in self.models)
            and any(fnmatchcase(alert.rule, glob) for glob in self.rules)
        )


#: The longest period of a rate limit: a digest that is a week old is of no use.
_LONGEST_PERIOD_SECONDS = 24 * 3600.0


def _period(value: str) -> str:
    seconds = duration(value)
    if not 1 <= seconds <= _LONGEST_PERIOD_SECONDS:
        raise ValueError(f"found {value}, expected 1s to 24h")
    return value


class RateLimit(_Strict):
    """At most ``messages`` in a period of ``per``; what is beyond comes as one digest after it."""

    messages: Annotated[int, Field(ge=1, le=10_000)]
    per: Annotated[str, AfterValidator(_period)] = "1h"

    @property
    def limit(self) -> Limit:
        """The limit in seconds."""
        return Limit(self.messages, duration(self.per))


#: For channels that people read: they don't read more than that in an hour one by one.
_FOR_PEOPLE = RateLimit(messages=20)


class _Receiver(_Strict):
    # The name is part of a consumer group and a label of metrics.
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    match: Match = Match()
    #: For one attempt, from connecting to the answer. Less than a process has to stop in.
    timeout_seconds: Annotated[float, Field(gt=0, le=20)] = 10.0
    #: An alert older than this that still fails becomes a dead letter: an old one must wake nobody.
    give_up_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 24.0


class AlertmanagerReceiver(_Receiver):
    """A Prometheus Alertmanager; of a cluster, name each member as a receiver of its own."""

    type: Literal["alertmanager"]
    url: Url
    #: What fires is sent again this often, as Alertmanager forgets over a restart.
    resend_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    authorization: Secret | None = None
    #: Alertmanager groups by itself, and takes all alerts in one request.
    rate_limit: RateLimit | None = None


class WebhookReceiver(_Receiver):
    """Anything that takes a POST of JSON; signed if there is a secret."""

    type: Literal["webhook"]
    url: Url
    secret: Secret | None = None
    authorization: Secret | None = None
    send_resolved: bool = True
    #: Bins of a signal show its values: both distributions and the bins that moved.
    include_distributions: bool = False
    #: Read by a program, as a rule, that wants each alert by itself.
    rate_limit: RateLimit | None = None


class SlackReceiver(_Receiver):
    """An incoming webhook of Slack, or of what understands its blocks. Its address is a secret."""

    type: Literal["slack"]
    url: Secret
    send_resolved: bool = True
    rate_limit: RateLimit | None = _FOR_PEOPLE

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, secret: Secret) -> Secret:
        try:
            _web_address(secret.reveal())
        except ValueError as error:
            raise ValueError(f"the secret is no web address: {error}") from None
        return secret


class EmailReceiver(_Receiver):
    """A mail server and the addresses of the people to notify."""

    model_config = ConfigDict(populate_by_name=True)

    type: Literal["email"]
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    #: ``starttls`` and ``tls`` check the server's certificate.
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str | None = None
    username: str | None = None
    password: Secret | None = None
    sender: Annotated[_Address, Field(alias="from")]
    to: Annotated[list[_Address], Field(min_length=1)]
    send_resolved: bool = True
    rate_limit: RateLimit | None = _FOR_PEOPLE

    @model_validator(mode="after")
    def _is_consistent(self) -> "EmailReceiver":
        if (self.username is None) != (self.password is None):
            raise ValueError("'username' and 'password' go together")
        if self.password is not None and self.security == "none":
            raise ValueError("a password needs security: starttls or tls, or it could be overheard")
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise ValueError(f"ca_file {self.ca_file} is not a file")
        return self


def _model_template(value: str) -> str:
    try:
        named = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
        unlike = value.format(model="x") != value.format(model="y")
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError("expected a name with {model} in it, such as prod.{model}") from error
    if named != {"model"} or not unlike:
        raise ValueError("expected a name with {model} in it, such as prod.{model}")
    return value


class MlflowReceiver(_Receiver):
    """A model registry of MLflow; gets alerts and actions from the audit trail."""

    type: Literal["mlflow"]
    tracking_uri: Url
    #: The registered model's name.
    model_name: Annotated[str, AfterValidator(_model_template)] = "{model}"
    #: The tag whose value is tidegauge's version; None: that is MLflow's number, or an alias.
    version_tag: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    #: Entries kept in the description; fewer if they don't fit.
    entries: Annotated[int, Field(ge=1, le=100)] = 20
    authorization: Secret | None = None
    username: str | None = None
    password: Secret | None = None
    #: A trail is worth having late, too.
    give_up_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 168.0

    @model_validator(mode="after")
    def _is_consistent(self) -> "MlflowReceiver":
        if (self.username is None) != (self.password is None):
            raise ValueError("'username' and 'password' go together")
        if self.username is not None and self.authorization is not None:
            raise ValueError("expected 'authorization', or 'username' and 'password', not both")
        if self.version_tag is not None and "`" in self.version_tag:
            raise ValueError("found ` in version_tag, which MLflow can't search for")
        return self


AlertReceiver = AlertmanagerReceiver | WebhookReceiver | EmailReceiver | SlackReceiver
Receiver = AlertReceiver | MlflowReceiver
#: By ``type``, as pydantic puts it into the path of an error.
KINDS: dict[str, type[_Receiver]] = {
    "alertmanager": AlertmanagerReceiver,
    "webhook": WebhookReceiver,
    "email": EmailReceiver,
    "slack": SlackReceiver,
    "mlflow": MlflowReceiver,
}


class ReceiverFile(_Strict):
    """The whole file."""

    receivers: Annotated[
        list[Annotated[Receiver, Field(discriminator="type")]], Field(min_length=1)
    ]


#: The keys of settings are sometimes written into this file.
_FORMAT = FileFormat(
    ReceiverFile, whole="'receivers:' and a list of receivers", words=Settings.model_fields
)


def load_receivers(path: Path) -> ReceiverFile:
    """Read a receiver file and the secrets it names; raises :class:`FileError`."""
    text, _ = read_file(path, "receiver file")
    return parse_receivers(text, source=str(path))


def parse_receivers(text: str, *, source: str) -> ReceiverFile:
    """Parse the text of a receiver file; ``source`` names it in errors.

    Raises :class:`FileError` with every problem as ``source:line:column: where: what``.
    """
    return _FORMAT.read(text, source, _names_twice)


def _names_twice(root: Location, data: Any) -> Iterator[Problem]:
    """Find receivers of the same name: they would share a consumer group."""
    receivers = data.get("receivers") if isinstance(data, dict) else None
    first: dict[str, int] = {}
    for index, one in enumerate(receivers if isinstance(receivers, list) else []):
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str):
            continue
        if name in first:
            line = root.line(("receivers", first[name], "name"))
            message = f"found {name!r}, already a name in line {line}; give each its own"
            yield root.problem(("receivers", index, "name"), message)
        first.setdefault(name, index)
