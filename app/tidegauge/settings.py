"""Configuration: a YAML file, then ``TIDEGAUGE_…`` environment variables, then files of secrets.

The file is ``tidegauge.yaml`` in the working directory or what ``TIDEGAUGE_CONFIG`` names.
``TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS`` sets ``kafka.bootstrap_servers``. In the directory that
``TIDEGAUGE_SECRETS_DIR`` names, a file ``tidegauge_kafka__sasl_password`` holds that one value.
"""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
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


#: The largest record on the topics of histograms, windows, alerts and state. Baselines are bounded
#: so that cells and reports fit it (``baseline.validation``).
MAX_RECORD_BYTES = 8 * 1024 * 1024


#: A fact that its topic takes (1 MiB), with what the chain adds to it.
MAX_AUDIT_BYTES = 2 * 1024 * 1024


#: By default librdkafka asks for a broker that is away more and more seldom, up to every 10 s. What
#: waits for a coordinator is looked at again only when a connection changes: after the loss of a
#: broker, offsets sent to a transaction waited for 8 to 15 s; with this for 4, which is what it
#: takes the others to have a new coordinator. For all that reports and the audit trail wait for.
RECONNECTING = {"reconnect.backoff.max.ms": 500}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Section):
    """How to reach the brokers; the same for librdkafka and aiokafka."""

    bootstrap_servers: str = "localhost:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_certificate_file: Path | None = None
    ssl_key_file: Path | None = None
    #: Whether DETECT checks the checksums of what it reads. Off only for librdkafka's mock cluster,
    #: which rewrites batches and leaves their checksums as they were.
    check_crcs: bool = True

    @model_validator(mode="after")
    def _credentials_are_there(self) -> "KafkaSettings":
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password
        ):
            raise ValueError(
                f"security_protocol {self.security_protocol} needs sasl_username and sasl_password"
            )
        return self

    def librdkafka(self) -> dict[str, str]:
        """Return connection properties for confluent-kafka clients."""
        config = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            assert self.sasl_username and self.sasl_password  # noqa: S101 - validated above
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password.get_secret_value(),
            }
        for name, path in (
            ("ssl.ca.location", self.ssl_ca_file),
            ("ssl.certificate.location", self.ssl_certificate_file),
            ("ssl.key.location", self.ssl_key_file),
        ):
            if path is not None:
                config[name] = str(path)
        return config


class TopicSettings(_Section):
    """Topic names, and the number of partitions that ``topics create`` gives them."""

    predictions: str = "predictions"
    histograms: str = "tidegauge.histograms"
    windows: str = "tidegauge.windows"
    #: The newest state of each alert, compacted.
    alerts: str = "tidegauge.alerts"
    #: Every step in the life of every alert.
    alerts_history: str = "tidegauge.alerts.history"
    actions: str = "tidegauge.actions"
    acknowledgements: str = "tidegauge.acknowledgements"
    silences: str = "tidegauge.silences"
    withheld: str = "tidegauge.withheld"
    configuration: str = "tidegauge.configuration"
    audit_facts: str = "tidegauge.audit-facts"
    audit: str = "tidegauge.audit"
    dead_letters: str = "tidegauge.dead-letters"
    predictions_partitions: int = Field(default=8, ge=1)
    detect_partitions: int = Field(default=8, ge=1)
    replication_factor: int = Field(default=1, ge=1)
    #: Without it, 2 where there are three replicas or more; else the brokers' own default holds.
    min_insync_replicas: int | None = Field(default=None, ge=1)
    #: How the CloudEvents of reports, alerts, actions and acknowledgements are written: attributes
    #: in headers, or the whole event in the value. Readers take both.
    cloudevents: Literal["binary", "structured"] = "binary"

    @property
    def insync_replicas(self) -> int | None:
        """How many replicas must have a record before it counts as written; None: not said.

        With three replicas and the brokers' default of one, a broker that is lost after it alone
        has acknowledged takes what was counted with it.
        """
        if self.min_insync_replicas is None and self.replication_factor >= 3:
            return 2
        return self.min_insync_replicas

    @model_validator(mode="after")
    def _can_be_written(self) -> "TopicSettings":
        if (self.min_insync_replicas or 1) > self.replication_factor:
            raise ValueError(
                f"min_insync_replicas {self.min_insync_replicas} is more than replication_factor "
                f"{self.replication_factor}: nothing could ever be written"
            )
        return self


class RedisSettings(_Section):
    """Where baselines live."""

    url: str = "redis://localhost:6379/0"
    password: SecretStr | None = None
    prefix: str = "tidegauge"
    refresh_seconds: float = Field(default=2.0, gt=0, le=2.5)
    #: How long INGEST waits at start for baselines before it counts without them.
    start_timeout_seconds: float = Field(default=30.0, ge=0)

    @property
    def plain_password(self) -> str | None:
        """The password as the client wants it."""
        return None if self.password is None else self.password.get_secret_value()


class WindowSettings(_Section):
    """Tumbling windows of event time."""

    seconds: int = Field(default=60, ge=1)
    grace_seconds: int = Field(default=10, ge=0)
    #: How long after its end a window still takes late events, as a new revision of its report.
    late_seconds: int = Field(default=900, ge=0)
    #: How long nothing may come of a version, variant or segment before its alerts end and what is
    #: remembered of it is dropped. Three days: over a weekend nothing is.
    forget_seconds: int = Field(default=3 * 24 * 3600, ge=1)

    @property
    def forgotten_after(self) -> int:
        """Seconds of silence after which a slice is forgotten.

        Never before its windows take no more late events, so that none of them is opened again.
        """
        return max(self.forget_seconds, self.grace_seconds + self.late_seconds)


#: A dimension's name is one that JSON writes without escapes.
Dimension = Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f]{1,200}$')]


class IngestSettings(_Section):
    """The transactional combiner."""

    group_id: str = "tidegauge-ingest"
    #: Stable for each replica, so that a restart fences its predecessor at once; by default made
    #: of group, host and HTTP port.
    transactional_id: str | None = None
    flush_seconds: float = Field(default=1.0, gt=0)
    idle_seconds: float = Field(default=10.0, gt=0)
    session_timeout_seconds: float = Field(default=10.0, ge=6)
    max_event_bytes: int = Field(default=1024 * 1024, ge=1)
    max_batch_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    #: What an Arrow batch may hold, whatever its size: a column of nulls takes no bytes at all, and
    #: compressed ones next to none.
    max_batch_rows: int = Field(default=1_000_000, ge=1)
    max_batch_columns: int = Field(default=20_000, ge=1)
    max_batch_decoded_bytes: int = Field(default=256 * 1024 * 1024, ge=1)
    #: Event times further ahead of the clock than this are refused: they'd close other windows.
    max_ahead_seconds: float = Field(default=300.0, ge=0)
    redact_dead_letters: bool = False
    #: Dimensions of the traffic whose segments are monitored. An event is counted overall and, for
    #: each of these that it has a value of, in the slice of that value. Its others are ignored.
    segments: list[Dimension] = Field(default=[], max_length=10)
    #: Values of a dimension that get slices of their own, for each model, version and variant.
    segment_values: int = Field(default=100, ge=1)
    #: What has no baseline is counted within these bounds: models, versions of a model, variants of
    #: a version (those of one with a baseline too), and slices of traffic, (model, version,
    #: variant), of all of them together. See :mod:`tidegauge.ingest.admission`.
    max_models: int = Field(default=1_000, ge=1)
    max_versions: int = Field(default=50, ge=1)
    max_variants: int = Field(default=20, ge=1)
    max_slices: int = Field(default=5_000, ge=1)

    @field_validator("segments")
    @classmethod
    def _each_once(cls, segments: list[str]) -> list[str]:
        if len(set(segments)) < len(segments):
            raise ValueError(f"a dimension is named twice in {segments}")
        return segments


class DetectSettings(_Section):
    """The Faust application."""

    app_id: str = "tidegauge-detect"
    rules_file: Path | None = None
    #: How often reports, alerts and actions are published.
    publish_seconds: float = Field(default=0.2, gt=0)
    #: How often the state is saved; after a crash, what came since is read and counted again.
    checkpoint_seconds: float = Field(default=5.0, gt=0)
    session_timeout_seconds: float = Field(default=10.0, ge=6)


class ActionSettings(_Section):
    """What is made of the actions that rules ask for."""

    #: ``dry_run``: every action is asked for as one that is not to be carried out, whatever its
    #: rule says; ``live``: those whose rule doesn't say so are meant.
    mode: Literal["live", "dry_run"] = "live"


class LinkSettings(_Section):
    """Templates of the links in every alert; see :mod:`tidegauge.rules.links`."""

    dashboard: str | None = None
    #: For rules without an annotation ``runbook_url``.
    runbook: str | None = None

    @field_validator("dashboard", "runbook")
    @classmethod
    def _is_template(cls, template: str | None) -> str | None:
        if template is None:
            return None
        # Only here: most processes have no use for rules.
        from tidegauge.rules import check_template

        return check_template(template)


class NotifySettings(_Section):
    """Where alerts are delivered to."""

    #: Without it, nothing is delivered.
    receivers_file: Path | None = None
    #: Each receiver has a consumer group of its own: this, a hyphen and its name.
    group_id: str = "tidegauge-notify"
    session_timeout_seconds: float = Field(default=10.0, ge=6)


class LedgerSettings(_Section):
    """The audit trail."""

    group_id: str = "tidegauge-ledger"
    session_timeout_seconds: float = Field(default=10.0, ge=6)

    @property
    def acknowledgements_group_id(self) -> str:
        """The consumer group that takes to the trail what people say, and what came into force."""
        return f"{self.group_id}-acknowledgements"


class HttpSettings(_Section):
    """Where /metrics, /healthz and /readyz are served."""

    host: str = "0.0.0.0"  # noqa: S104 - Prometheus scrapes from another host
    port: int = Field(default=8000, ge=0, le=65535)


class HealthSettings(_Section):
    """When a process is no longer alive."""

    #: A worker that has not moved on for this long while there is work fails /healthz. Longer than
    #: a flush may take before it is given up (15 s).
    stall_seconds: float = Field(default=60.0, gt=0)


class Settings(BaseSettings):
    """Everything tidegauge can be told; every value has a default that suits a laptop."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEGAUGE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        secrets_dir_missing="ok",
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    redis: RedisSettings = RedisSettings()
    windows: WindowSettings = WindowSettings()
    #: Windows of single models, by model name; what is not named here follows ``windows``.
    model_windows: dict[str, WindowSettings] = {}
    ingest: IngestSettings = IngestSettings()
    detect: DetectSettings = DetectSettings()
    actions: ActionSettings = ActionSettings()
    links: LinkSettings = LinkSettings()
    notify: NotifySettings = NotifySettings()
    ledger: LedgerSettings = LedgerSettings()
    #: False alarms of drift a month for a model, all its versions, variants and segments together.
    alarms_per_month: float = Field(default=1.0, gt=0)
    #: The same for single models, by name.
    model_alarms_per_month: dict[str, Annotated[float, Field(gt=0)]] = {}
    http: HttpSettings = HttpSettings()
    health: HealthSettings = HealthSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

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
            YamlConfigSettingsSource(settings_cls, yaml_file=config_file()),
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


def load_settings() -> Settings:
    """Read the settings; raises :class:`SettingsError` that names every wrong or unknown setting.

    pydantic-settings ignores environment variables that it does not know. A typing error in one
    would leave the default in force unnoticed, so an unknown ``TIDEGAUGE_…`` is refused here.
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
    problems: list[str] = []
    if unknown:
        from tidegauge.settings_errors import unknown_variables  # only a mistake needs it

        problems += unknown_variables(unknown, Settings)
    found = None
    try:
        found = Settings()
    except ValidationError as error:
        from tidegauge.settings_errors import settings_problems

        problems += settings_problems(error, Settings, file, Path(secrets) if secrets else None)
    except UnicodeDecodeError as error:
        problems.append(f"{file}: not UTF-8 at byte {error.start}")
    except Exception as error:
        problems += _of_document(error, file)
    if found is not None and file.is_file() and _has_a_key_twice(file):
        from tidegauge.settings_errors import document_problems

        problems += document_problems(file.read_bytes().decode("utf-8-sig"), Settings, str(file))
    if problems or found is None:
        from tidegauge.settings_errors import SettingsError

        # Not from pydantic's error, which shows what it found.
        raise SettingsError(problems) from None
    return found


def _of_document(error: Exception, file: Path) -> list[str]:
    """Return what is wrong with the YAML of the file; raises an error that is about another."""
    import yaml  # by now it has been; at the top, every command would wait for it

    from tidegauge.settings_errors import document_problems

    if not isinstance(error, yaml.YAMLError):
        raise error
    text = file.read_bytes().decode("utf-8-sig")
    return document_problems(text, Settings, str(file)) or [f"{file}: not YAML"]


def _has_a_key_twice(file: Path) -> bool:
    """Whether a mapping of the file has a key twice: YAML lets the last one win without a word.

    Where they are is for who looks closer; that takes an import that no command should wait for.
    """
    import yaml

    # An alias is the same node again, and may contain itself.
    stack, seen = [yaml.compose(file.read_bytes(), yaml.SafeLoader)], set[int]()
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            stack += node.value
        elif isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(set(keys)) < len(keys):
                return True
            stack += [value for _, value in node.value]
    return False
