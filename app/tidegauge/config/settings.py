"""Configuration: a YAML file, then ``TIDEGAUGE_…`` environment variables, then files of secrets.

The file is ``tidegauge.yaml`` in the working directory or what ``TIDEGAUGE_CONFIG`` names.
``TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS`` sets ``kafka.bootstrap_servers``. In the directory that
``TIDEGAUGE_SECRETS_DIR`` names, a file ``tidegauge_kafka__sasl_password`` holds that one value.
"""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tidegauge.config.files import FileError
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
    detect: DetectSettings = DetectSettings()
    actions: ActionSettings = ActionSettings()
    links: LinkSettings = LinkSettings()
    notify: NotifySettings = NotifySettings()
    ledger: LedgerSettings = LedgerSettings()
    alarms_per_month: float = Field(default=1.0, gt=0)
    """False alarms of drift a month that a model may have, all its versions, variants and
    segments together, for rules on `surprise` (docs/detection.md).
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
            InitSettingsSource(settings_cls, _file_values(settings_cls)),
        )

    @property
    def transactional_id(self) -> str:
        """The id of INGEST's producer, different for every process that runs at a time."""
        return self.ingest.transactional_id or self._process_id(self.ingest.group_id)

    @property
    def ledger_transactional_id(self) -> str:
        """The id of LEDGER's producer, different for every process that runs at a time."""
        return self._process_id(self.ledger.group_id)

    def _process_id(self, group: str) -> str:
        # Two workers on a host can't share a port; one that takes any port has no lasting name.
        return "-".join([group, socket.gethostname(), str(self.http.port or os.getpid())])

    def window_of(self, model: str) -> WindowSettings:
        """Window, grace and lateness of a model."""
        return self.model_windows.get(model, self.windows)

    def alarms_of(self, model: str) -> float:
        """Return the false alarms of drift a month that a model is allowed."""
        return self.model_alarms_per_month.get(model, self.alarms_per_month)


def _file_values(model: type[BaseSettings]) -> dict[str, Any]:
    file = config_file()
    if not file.is_file():
        return {}
    # YAML and what finds errors in it: not imported where there is no file.
    from tidegauge.config.settings_file import settings_values

    return settings_values(file, model)


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
        from tidegauge.config.settings_file import settings_problems

        found = None
        problems = settings_problems(error, Settings, file, Path(secrets) if secrets else None)
    except FileError as error:
        found, problems = None, error.problems
    if unknown:
        from tidegauge.config.settings_file import unknown_variables

        problems = unknown_variables(unknown, Settings) + problems
    if problems or found is None:
        # Not from pydantic's error, which shows what it found.
        raise FileError(problems) from None
    return found
