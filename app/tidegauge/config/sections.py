"""The sections of the settings. The string below each setting is its description in the docs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

#: The largest record on the topics of histograms, windows, alerts and state. Baselines are bounded
#: so that cells and reports fit it (``baseline.validation``).
MAX_RECORD_BYTES = 8 * 1024 * 1024


#: A fact that its topic takes (1 MiB), with what the chain adds to it.
MAX_AUDIT_BYTES = 2 * 1024 * 1024


class Section(BaseModel):
    """A section: no unknown names, and it never changes."""

    # The string below each setting is its description in docs/reference/settings.md.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class KafkaSettings(Section):
    """How to reach the brokers; the same for librdkafka and aiokafka."""

    bootstrap_servers: str = "localhost:9092"
    """Brokers to ask first, as `host:port`, separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How connections to the brokers are secured."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """The SASL mechanism; used with `SASL_PLAINTEXT` and `SASL_SSL`."""
    sasl_username: str | None = None
    """User name; required with SASL."""
    sasl_password: SecretStr | None = None
    """Password; required with SASL. Give it as a file of secrets."""
    ssl_ca_file: Path | None = None
    """PEM file of the certificate authority. Without it, those of the system are used."""
    ssl_certificate_file: Path | None = None
    """PEM file of the client certificate."""
    ssl_key_file: Path | None = None
    """PEM file of the key of the client certificate."""
    check_crcs: bool = True
    """Whether DETECT checks the checksums of the records it reads. `false` only for
    librdkafka's mock cluster, which rewrites batches and leaves their checksums as they were.
    """

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


class TopicSettings(Section):
    """Topic names, and the number of partitions that ``topics create`` gives them."""

    predictions: str = "predictions"
    """Prediction events, the input."""
    labels: str = "labels"
    """What became of predictions, the second input ([labels](docs/outcomes.md))."""
    histograms: str = "tidegauge.histograms"
    """Histograms, from INGEST to DETECT."""
    outcomes: str = "tidegauge.outcomes"
    """Predictions and labels, from INGEST to OUTCOMES, which joins them. It is also what OUTCOMES
    remembers.
    """
    windows: str = "tidegauge.windows"
    """One report for each closed window."""
    performance: str = "tidegauge.performance"
    """The newest figures of each cohort of a labelled model. Compacted."""
    alerts: str = "tidegauge.alerts"
    """The newest state of each alert: pending, firing, no_data, inactive or resolved. Compacted."""
    alerts_history: str = "tidegauge.alerts.history"
    """Every step of every alert, with reminders, rises in severity and periods without data
    (docs/consuming.md).
    """
    actions: str = "tidegauge.actions"
    """Actions that are requested: retrain, rollback, page."""
    acknowledgements: str = "tidegauge.acknowledgements"
    """Results of actions, written by whatever carries them out."""
    silences: str = "tidegauge.silences"
    """Silences, and acknowledgements of alerts by people. Compacted."""
    withheld: str = "tidegauge.withheld"
    """Alerts that NOTIFY withholds from a receiver until no silence matches them. Compacted."""
    configuration: str = "tidegauge.configuration"
    """Which rules and receivers became active, in order. Compacted."""
    audit_facts: str = "tidegauge.audit-facts"
    """Audit facts, as the roles report them."""
    audit: str = "tidegauge.audit"
    """The [audit trail](docs/operations.md#the-audit-trail): the facts, chained by hashes.
    Never deleted.
    """
    dead_letters: str = "tidegauge.dead-letters"
    """Records that could not be counted or delivered."""
    predictions_partitions: int = Field(default=8, ge=1)
    """Partitions of the predictions topic, for `tidegauge topics create`. More INGEST processes
    than this have no work.
    """
    labels_partitions: int = Field(default=8, ge=1)
    """Partitions of the topic of labels, for `tidegauge topics create`."""
    outcomes_partitions: int = Field(default=8, ge=1)
    """Partitions of the topic of outcomes, for `tidegauge topics create`. More OUTCOMES processes
    than this have no work. It can't be changed once the topic exists.
    """
    detect_partitions: int = Field(default=8, ge=1)
    """Partitions of the histograms topic, for `tidegauge topics create`. More DETECT processes
    than this have no work. It can't be changed once the topic exists.
    """
    replication_factor: int = Field(default=1, ge=1)
    """Replicas of each topic, for `tidegauge topics create`. Use 3 in production."""
    min_insync_replicas: int | None = Field(default=None, ge=1)
    """Replicas that must have a record before it counts as written, for `tidegauge topics
    create`. Use 2 in production: the loss of one broker then stops nothing and loses nothing.
    Without it, 2 where `replication_factor` is 3 or more, otherwise the default of the brokers.
    `tidegauge check` names the topics that have less.
    """
    cloudevents: Literal["binary", "structured"] = "binary"
    """How reports, alerts, actions and acknowledgements are written as CloudEvents: `binary`,
    attributes in headers, or `structured`, the whole event in the value. Readers accept both.
    """

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


class RedisSettings(Section):
    """Where baselines live."""

    url: str = "redis://localhost:6379/0"
    """Address of Redis; `rediss://` for TLS."""
    password: SecretStr | None = None
    """Password of Redis. Give it as a file of secrets."""
    prefix: str = "tidegauge"
    """Prefix of all keys in Redis."""
    refresh_seconds: float = Field(default=2.0, gt=0, le=2.5)
    """How often the promoted baselines are read."""
    start_timeout_seconds: float = Field(default=30.0, ge=0)
    """How long INGEST waits for Redis at start before it counts without baselines."""

    @property
    def plain_password(self) -> str | None:
        """The password as the client wants it."""
        return None if self.password is None else self.password.get_secret_value()


class WindowSettings(Section):
    """Tumbling windows of event time."""

    seconds: int = Field(default=60, ge=1)
    """Length of a window of event time."""
    grace_seconds: int = Field(default=10, ge=0)
    """How long after its end a window waits for events that are late."""
    late_seconds: int = Field(default=900, ge=0)
    """How long after its end a window still accepts late events, as a new revision of its
    report.
    """
    forget_seconds: int = Field(default=3 * 24 * 3600, ge=1)
    """How long no event of a version, variant or segment may arrive before its alerts end and
    its state is dropped ([no data](docs/statistics.md#no-data)); never before its windows stop
    accepting late events. The default of three days keeps the state over a weekend.
    """

    @property
    def forgotten_after(self) -> int:
        """Seconds of silence after which a slice is forgotten.

        Never before its windows take no more late events, so that none of them is opened again.
        """
        return max(self.forget_seconds, self.grace_seconds + self.late_seconds)


#: A dimension's name is one that JSON writes without escapes.
Dimension = Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f]{1,200}$')]


class IngestSettings(Section):
    """The transactional combiner."""

    group_id: str = "tidegauge-ingest"
    """Consumer group of INGEST."""
    transactional_id: str | None = None
    """Kafka's transactional id; it must differ between processes. Without it, it is made of the
    group, the host name and the HTTP port, so that a restarted process fences its predecessor
    at once.
    """
    flush_seconds: float = Field(default=1.0, gt=0)
    """How often counts are committed. A longer time gives fewer and larger histograms."""
    idle_seconds: float = Field(default=10.0, gt=0)
    """After this time without events, a source partition no longer holds windows open."""
    session_timeout_seconds: float = Field(default=10.0, ge=6)
    """After this time without a heartbeat, Kafka assigns the partitions of a process to others."""
    max_event_bytes: int = Field(default=1024 * 1024, ge=1)
    """JSON events that are larger become dead letters."""
    max_batch_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    """Arrow batches that are larger become dead letters."""
    max_batch_rows: int = Field(default=1_000_000, ge=1)
    """Arrow batches that claim more rows become dead letters and are not decoded: a column of
    nulls takes no bytes at all, so the size of a batch bounds nothing.
    """
    max_batch_columns: int = Field(default=20_000, ge=1)
    """The same for columns, those inside structs included."""
    max_batch_decoded_bytes: int = Field(default=256 * 1024 * 1024, ge=1)
    """The same for the memory that a batch takes: its buffers without compression, and 8 bytes
    for each value.
    """
    max_ahead_seconds: float = Field(default=300.0, ge=0)
    """Events with a time further ahead of the clock than this become dead letters; they would
    close windows too early.
    """
    redact_dead_letters: bool = False
    """Whether dead letters are written without the payload, with the origin of the record only."""
    segments: list[Dimension] = Field(default=[], max_length=10)
    """Dimensions whose values are monitored one by one
    ([segments](docs/operations.md#segments)), at most ten, such as `["region", "age_group"]`.
    An event is counted overall, and once more for each of these dimensions that it has a value
    of.
    """
    segment_values: int = Field(default=100, ge=1)
    """Values of a dimension that get a slice of their own, for each model, version and variant."""
    max_models: int = Field(default=1_000, ge=1)
    """Models without a baseline that an INGEST process counts
    ([names](docs/operations.md#names)).
    """
    max_versions: int = Field(default=50, ge=1)
    """Versions without a baseline of one model that an INGEST process counts."""
    max_variants: int = Field(default=20, ge=1)
    """Variants of one version that an INGEST process counts, the empty variant not included."""
    max_slices: int = Field(default=5_000, ge=1)
    """Combinations of model, version and variant without a baseline that an INGEST process
    counts.
    """

    @property
    def labels_group_id(self) -> str:
        """The consumer group that reads labels."""
        return f"{self.group_id}-labels"

    @field_validator("segments")
    @classmethod
    def _each_once(cls, segments: list[str]) -> list[str]:
        if len(set(segments)) < len(segments):
            raise ValueError(f"a dimension is named twice in {segments}")
        return segments


class DetectSettings(Section):
    """The Faust application."""

    app_id: str = "tidegauge-detect"
    """Name of the Faust application: its consumer group, and the beginning of the name of its
    changelog. With a new name DETECT begins without state.
    """
    rules_file: Path | None = None
    """YAML file of rules. Without it, the default rules are active. It is read again when it
    changes.
    """
    publish_seconds: float = Field(default=0.2, gt=0)
    """How often reports, alerts and actions are published."""
    checkpoint_seconds: float = Field(default=5.0, gt=0)
    """How often the state is saved and the input committed. After a crash, what came since is
    read and counted again.
    """
    session_timeout_seconds: float = Field(default=10.0, ge=6)
    """As for INGEST."""


class ActionSettings(Section):
    """What is made of the actions that rules ask for."""

    mode: Literal["live", "dry_run"] = "live"
    """`dry_run`: every action is requested as one that must not be carried out, whatever its
    rule says; alerts, actions and `tidegauge check` show this. `live`: rules decide.
    """


class LinkSettings(Section):
    """Templates of the links in every alert; see :mod:`tidegauge.contract.templates`."""

    dashboard: str | None = None
    """Template of the dashboard address in alerts ([links](docs/alerting.md#links))."""
    runbook: str | None = None
    """Template of the runbook address in alerts, for rules without an annotation `runbook_url`."""

    @field_validator("dashboard", "runbook")
    @classmethod
    def _is_template(cls, template: str | None) -> str | None:
        if template is None:
            return None
        # Only here: most processes have no use for rules.
        from tidegauge.contract import check_template

        return check_template(template)


class NotifySettings(Section):
    """Where alerts are delivered to."""

    receivers_file: Path | None = None
    """YAML file of receivers (docs/alerting.md). Without it nothing is delivered and alerts
    stay in Kafka.
    """
    group_id: str = "tidegauge-notify"
    """Beginning of the consumer groups of NOTIFY: this, a hyphen, and the name of the receiver."""
    session_timeout_seconds: float = Field(default=10.0, ge=6)
    """As for INGEST."""


class LedgerSettings(Section):
    """The audit trail."""

    group_id: str = "tidegauge-ledger"
    """Consumer group of LEDGER."""
    session_timeout_seconds: float = Field(default=10.0, ge=6)
    """As for INGEST."""

    @property
    def acknowledgements_group_id(self) -> str:
        """The consumer group that takes to the trail what people say, and what came into force."""
        return f"{self.group_id}-acknowledgements"


class HttpSettings(Section):
    """Where /metrics, /healthz and /readyz are served."""

    host: str = "0.0.0.0"  # noqa: S104 - Prometheus scrapes from another host
    """Address on which /metrics, /healthz and /readyz are served."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port of these. Set it by `TIDEGAUGE_HTTP__PORT`, which the health check of the image
    reads.
    """


class HealthSettings(Section):
    """When a process is no longer alive."""

    stall_seconds: float = Field(default=60.0, gt=0)
    """/healthz fails if there was work and none of it was done for this long. It must be longer
    than the 15 s after which a flush is given up.
    """
