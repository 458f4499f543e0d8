"""Configuration: a YAML file, then ``TIDEGAUGE_…`` environment variables, then files of secrets.

The file is ``tidegauge.yaml`` in the working directory or what ``TIDEGAUGE_CONFIG`` names.
``TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS`` sets ``kafka.bootstrap_servers``. In the directory that
``TIDEGAUGE_SECRETS_DIR`` names, a file ``tidegauge_kafka__sasl_password`` holds that one value.
"""

import os
import re
import socket
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tidegauge.config.files import FileError, read_file
from tidegauge.config.outcome_sections import ModelOutcomeSettings, OutcomeSettings
from tidegauge.config.sections import (
    ActionSettings,
    DetectSettings,
    HealthSettings,
    HttpSettings,
    IngestSettings,
    KafkaSettings,
    LedgerSettings,
    LinkSettings,
    NotifySettings,
    RedisSettings,
    TopicSettings,
    WindowSettings,
)

_LOCATORS = {"TIDEGAUGE_CONFIG", "TIDEGAUGE_SECRETS_DIR"}

#: What Kubernetes sets in every pod for a Service whose name begins with "tidegauge".
_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT)|PORT)(_|$)")


def config_file() -> Path:
    """Return the configuration file to read (it need not exist unless it was named)."""
    named = os.environ.get("TIDEGAUGE_CONFIG")
    if named and not Path(named).is_file():
        raise FileNotFoundError(f"TIDEGAUGE_CONFIG names {named}, which is not a file")
    return Path(named or "tidegauge.yaml")


class Settings(BaseSettings):
    """Everything tidegauge can be told; every value has a default that suits a laptop."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEGAUGE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        secrets_dir_missing="ok",
        use_attribute_docstrings=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    redis: RedisSettings = RedisSettings()
    windows: WindowSettings = WindowSettings()
    model_windows: dict[str, WindowSettings] = {}
    """Windows of single models, by model name; in the YAML file. A model that is not named here
    follows `windows`.
    """
    ingest: IngestSettings = IngestSettings()
    outcomes: OutcomeSettings = OutcomeSettings()
    model_outcomes: dict[str, ModelOutcomeSettings] = {}
    """Joining of labels for single models, by model name; in the YAML file. What is not given here
    follows `outcomes`.
    """
    detect: DetectSettings = DetectSettings()
    actions: ActionSettings = ActionSettings()
    links: LinkSettings = LinkSettings()
    notify: NotifySettings = NotifySettings()
    ledger: LedgerSettings = LedgerSettings()
    alarms_per_month: float = Field(default=1.0, gt=0)
    """False alarms a month that a model may have, all its versions, variants and segments
    together, for rules on `surprise` (docs/detection.md); of a model with labels, a fifth is for
    rules on its cohorts (docs/outcomes.md).
    """
    model_alarms_per_month: dict[str, Annotated[float, Field(gt=0)]] = {}
    """The same for single models, by model name; in the YAML file."""
    http: HttpSettings = HttpSettings()
    health: HealthSettings = HealthSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The lowest level of [log](docs/operations.md#the-log) records that are written."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Later sources give way to earlier ones."""
        return (
            init_settings,
            NestedSecretsSettingsSource(
                file_secret_settings,
                secrets_dir=os.environ.get("TIDEGAUGE_SECRETS_DIR"),
                secrets_prefix="tidegauge_",
                secrets_nested_delimiter="__",
            ),
            env_settings,
            InitSettingsSource(settings_cls, settings_values(config_file())),
        )

    @property
    def transactional_id(self) -> str:
        """The id of INGEST's producer, different for every process that runs at a time."""
        return self.ingest.transactional_id or self._process_id(self.ingest.group_id)

    @property
    def ledger_transactional_id(self) -> str:
        """The id of LEDGER's producer, different for every process that runs at a time."""
        return self._process_id(self.ledger.group_id)

    @property
    def labels_transactional_id(self) -> str:
        """The id of the producer that routes labels, different for every process."""
        own = self.ingest.transactional_id
        return f"{own}-labels" if own else self._process_id(self.ingest.labels_group_id)

    @property
    def outcomes_transactional_id(self) -> str:
        """The id of OUTCOMES' producer, different for every process that runs at a time."""
        return self._process_id(self.outcomes.group_id)

    def _process_id(self, group: str) -> str:
        # Two workers on a host can't share a port; one that takes any port has no lasting name.
        return "-".join([group, socket.gethostname(), str(self.http.port or os.getpid())])

    def window_of(self, model: str) -> WindowSettings:
        """Window, grace and lateness of a model."""
        return self.model_windows.get(model, self.windows)

    def outcomes_of(self, model: str) -> ModelOutcomeSettings:
        """How labels are joined with the predictions of a model."""
        own = self.model_outcomes.get(model)
        if own is None:
            return self.outcomes
        common = {name: getattr(self.outcomes, name) for name in ModelOutcomeSettings.model_fields}
        return ModelOutcomeSettings(**common | own.model_dump(exclude_unset=True))

    @property
    def outcome_groups(self) -> tuple[str, ...]:
        """The dimensions by whose values performance is compared."""
        own = self.outcomes.groups
        return tuple(self.ingest.segments if own is None else own)

    @property
    def longest_retention_seconds(self) -> int:
        """For how long OUTCOMES remembers what it has read, at most."""
        every = (self.outcomes, *map(self.outcomes_of, self.model_outcomes))
        return max(one.retention_seconds + one.early_seconds for one in every)

    def alarms_of(self, model: str) -> float:
        """Return the false alarms a month that a model is allowed."""
        return self.model_alarms_per_month.get(model, self.alarms_per_month)


def load_settings() -> Settings:
    """Read the settings; raises :class:`FileError` that names every wrong or unknown setting.

    pydantic-settings ignores environment variables that it does not know. A typing error in one
    would leave the default active unnoticed, so an unknown ``TIDEGAUGE_…`` is refused here.
    """
    unknown = [
        name
        for name in os.environ
        if name.startswith("TIDEGAUGE_")
        and name not in _LOCATORS
        and not _SERVICE_LINK.search(name)
        and name.removeprefix("TIDEGAUGE_").split("__")[0].lower() not in Settings.model_fields
    ]
    file, secrets = config_file(), os.environ.get("TIDEGAUGE_SECRETS_DIR")
    try:
        found, problems = Settings(), list[str]()
    except ValidationError as error:
        found = None
        problems = settings_problems(error, file, Path(secrets) if secrets else None)
    except FileError as error:
        found, problems = None, error.problems
    if unknown:
        problems = unknown_variables(unknown) + problems
    if problems or found is None:
        # Not from pydantic's error, which shows what it found.
        raise FileError(problems) from None
    return found


_PREFIX = "TIDEGAUGE_"

#: YAML, and what finds errors in it, are imported only where there is a file or an error.
_WHOLE = "a mapping of settings, such as 'kafka:'"


def settings_values(file: Path) -> dict[str, Any]:
    """Return the values of a file, before they are validated; none of one that isn't there.

    Raises :class:`FileError` if its text is wrong.
    """
    if not file.is_file():
        return {}
    from tidegauge.config.files import FileFormat
    from tidegauge.config.yaml_document import Problem, parse_document

    text, _ = read_file(file, "settings file")
    show = FileFormat(Settings, whole=_WHOLE).show
    root, data, problems = parse_document(text, expected=None, show=show)
    if root is not None and not isinstance(data, dict):
        problems = [Problem(1, 1, "", f"expected {_WHOLE}")]
    if problems:
        raise FileError([one.text(str(file)) for one in problems])
    return data or {}


def load_settings_file(file: Path) -> list[str]:
    """Check a file of settings by itself and return the keys it has.

    Without what environment variables and secrets would add to it or change of it. Raises
    :class:`FileError`.
    """
    from tidegauge.config.files import FileFormat

    text, _ = read_file(file, "settings file")
    # The same fields in a model that reads nothing but what it is given.
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in Settings.model_fields.items()
    }
    alone = create_model("File", __config__=ConfigDict(extra="forbid"), **fields)
    return sorted(FileFormat(alone, whole=_WHOLE).read(text, str(file)).model_fields_set)


def unknown_variables(names: Collection[str]) -> list[str]:
    """Return a problem for each environment variable that sets nothing, with what may be meant."""
    from tidegauge.config.files import key_paths

    known = {f"{_PREFIX}{'__'.join(path)}".upper() for path in key_paths(Settings)}
    sections = ", ".join(sorted(name.upper() for name in Settings.model_fields))
    problems = []
    for name in sorted(names):
        near = get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        problems.append(
            f"unknown environment variable {name}; {hint}known are {_PREFIX} and one of {sections}"
        )
    return problems


def settings_problems(error: ValidationError, file: Path, secrets: Path | None) -> list[str]:
    """Return each of pydantic's findings at its place, in the order of the file."""
    from tidegauge.config.files import FileFormat
    from tidegauge.config.yaml_document import dotted

    format, root = FileFormat(Settings, whole=_WHOLE), None
    if file.is_file():
        root, _, _ = format.document(read_file(file, "settings file")[0])
    found = set()
    for one in error.errors(include_url=False):
        path = one["loc"]
        named = _elsewhere(path, secrets)
        if root is not None and root.has(path) and not named:
            place = format.problem(root, one)
            found.add((place.line, place.column, place.text(str(file))))
        else:
            begin = named or (str(file) if root is not None else "settings")
            parts = (begin, dotted(path, format.show), format.message(one))
            found.add((0, 0, ": ".join(filter(None, parts))))
    return [text for _, _, text in sorted(found)]


def _elsewhere(path: tuple[int | str, ...], secrets: Path | None) -> str:
    """Name the secret or the environment variable that a setting comes from, if it does."""
    for length in range(len(path), 0, -1):
        name = f"{_PREFIX}{'__'.join(map(str, path[:length]))}"
        if secrets is not None and (secrets / name.lower()).is_file():
            return f"secret {secrets / name.lower()}"
        for variable in os.environ:
            if variable.upper() == name.upper():
                return f"environment variable {variable}"
    return ""
