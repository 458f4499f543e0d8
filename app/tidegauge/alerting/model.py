"""A rule, as the rule file has it."""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tidegauge.alerting.consistency import SAMPLE, THRESHOLDS, inconsistencies
from tidegauge.alerting.metrics import METRICS, SILENCE, MetricName, Noise
from tidegauge.contract import ActionKind, AlertEvent, Severity, Size

#: The error type of what :func:`~tidegauge.alerting.consistency.inconsistencies` finds.
INCONSISTENT = "inconsistent"

_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Long = Annotated[str, Field(min_length=1, max_length=2000)]
#: What Prometheus and Alertmanager take as the name of a label.
_LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=200)]
_Threshold = Annotated[float | None, Field(allow_inf_nan=False), WithJsonSchema({"type": "number"})]


class _StrictRule(BaseModel):
    # Strict: "0.05" in quotes, or yes for a number, is a slip to be shown, not guessed at.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SeverityBySize(_StrictRule):
    """A severity for each size of a drift; see ``psi_corrected`` of the evidence."""

    minor: Severity
    moderate: Severity
    major: Severity


#: Where an error lies in a severity of either form, pydantic puts one of these into its path.
SEVERITY_TAGS = ("word", "by_size")

_SeverityOrSizes = Annotated[
    Annotated[Severity, Tag(SEVERITY_TAGS[0])] | Annotated[SeverityBySize, Tag(SEVERITY_TAGS[1])],
    Discriminator(lambda it: SEVERITY_TAGS[isinstance(it, dict | SeverityBySize)]),
]

#: What makes a name a glob.
GLOB = r"[*?\[]"

#: From the mildest to the worst.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

#: Corrected PSI, nats, below which a drift is too small for an alert, however certain it is.
MINIMUM_PSI = 0.01


class Rule(_StrictRule):
    """Watch one metric, and say what it means when it passes a threshold.

    The condition is strict: a value that equals the threshold is neither above nor below it.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [it]} for it in THRESHOLDS]}
    )

    name: Annotated[_Text, Field(description="unlike that of every other rule; names its alerts")]
    metric: Annotated[MetricName, Field(description="what is watched; see docs/statistics.md")]
    signal: Annotated[
        _Text,
        Field(
            description="which signals (features, prediction, label), as a glob such as income_*"
        ),
    ] = "*"
    model: Annotated[_Text, Field(description="which models, as a glob")] = "*"
    version: Annotated[_Text, Field(description="which versions, as a glob")] = "*"
    variant: Annotated[
        str,
        Field(max_length=200, description="which variants, as a glob; '' is traffic without one"),
    ] = "*"
    segment: Annotated[
        dict[_Text, _Text] | None,
        Field(
            description="which segments, as a glob for the value of a dimension, such as "
            "{region: EU*}; {} is all the traffic; left out, all the traffic and every segment"
        ),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
    ] = None
    above: Annotated[_Threshold, Field(description="holds if the metric is greater")] = None
    below: Annotated[_Threshold, Field(description="holds if the metric is less")] = None
    drop_from_baseline: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            description="figures of labels: holds if the figure is worse than the baseline's by "
            "more than this share of it, such as 0.05, beyond chance",
        ),
        WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
    ] = None
    severity: Annotated[
        _SeverityOrSizes,
        Field(description="a word, or for surprise one for each size: minor, moderate, major"),
    ]
    minimum_psi: Annotated[
        float | None,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="surprise: a drift of less corrected PSI raises no alert, unless a single "
            "bin has changed by as much in terms of its own share; 0.01 if left out",
        ),
        WithJsonSchema({"type": "number", "minimum": 0}),
    ] = None
    minimum_events: Annotated[
        int | None,
        Field(ge=0, description="a window with fewer is not judged; by metric if left out"),
        WithJsonSchema({"type": "integer", "minimum": 0}),
    ] = None
    pending_windows: Annotated[
        int,
        Field(
            alias="for",
            ge=1,
            description="judged windows in a row in which it must hold before it fires; until then "
            "the alert is pending",
        ),
    ] = 1
    keep_firing_for: Annotated[
        int,
        Field(ge=1, description="judged windows in a row in which it must not hold to be resolved"),
    ] = 1
    group: Annotated[
        Literal["signals", "none"],
        Field(
            description="signals: all signals of a slice on which it holds are one alert with a "
            "list; none: an alert for each"
        ),
    ] = "signals"
    inhibited_by: Annotated[
        list[_Text],
        Field(description="rules that report the same while they fire for the same slice"),
    ] = []
    signal_inhibited_by: Annotated[
        list[_Text],
        Field(
            description="rules that, while they hold on a signal, keep this one from "
            "reporting that signal"
        ),
    ] = []
    flapping_after: Annotated[
        int,
        Field(
            ge=0,
            description="an alert that fires so often within flapping_windows is damped; 0: never",
        ),
    ] = 3
    flapping_windows: Annotated[
        int,
        Field(
            ge=1,
            description="judged windows in a row in which a damped alert must not hold to be "
            "resolved",
        ),
    ] = 60
    repeat_interval: Annotated[
        int,
        Field(
            ge=0,
            description="seconds of event time after which what still fires is reported again; "
            "0: never",
        ),
    ] = 0
    no_data_after: Annotated[
        int,
        Field(
            ge=0,
            description="windows without one that was judged after which an alert that is pending "
            "or firing is reported as no_data; 0: never",
        ),
    ] = 10
    action: Annotated[
        ActionKind | None,
        Field(description="what a firing alert requests"),
        WithJsonSchema({"enum": ["retrain", "rollback", "page"]}),
    ] = None
    cooldown: Annotated[
        int,
        Field(ge=0, description="seconds of event time before a slice may request it again"),
    ] = 0
    max_per_day: Annotated[
        int | None,
        Field(ge=1, description="how often a slice may request it in 24 h; left out: any number"),
        WithJsonSchema({"type": "integer", "minimum": 1}),
    ] = None
    expires_after: Annotated[
        int, Field(ge=1, description="seconds after which it is too late to carry it out")
    ] = 86_400
    dry_run: Annotated[
        bool, Field(description="the action is requested, and marked as not to be carried out")
    ] = False
    labels: Annotated[
        dict[_LabelName, _Text],
        Field(description="fixed text that goes with its alerts, such as {team: payments}"),
    ] = {}
    annotations: Annotated[
        dict[_LabelName, _Long],
        Field(description="texts that go with its alerts, templates like the summary"),
    ] = {}
    receivers: Annotated[list[_Text], Field(description="receivers of its alerts, by name")] = []
    summary: Annotated[
        _Text | None,
        Field(description=f"text of a firing alert, with {{{'}, {'.join(SAMPLE)}}}"),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200}),
    ] = None

    @model_validator(mode="after")
    def _is_consistent(self) -> "Rule":
        found = inconsistencies(self.model_dump(exclude_unset=True, by_alias=True))
        if found:
            text = "; ".join(f"{field}: {message}" for field, message in found)
            raise PydanticCustomError(INCONSISTENT, "{text}", {"text": text})
        return self

    @property
    def comparison(self) -> Literal["above", "below"]:
        """Which side of the threshold the condition is on."""
        if self.drop_from_baseline is not None:
            return "above" if METRICS[self.metric].less_is_better else "below"
        return "below" if self.above is None else "above"

    @property
    def threshold(self) -> float:
        """The threshold, in the unit of the metric; of a drop, as a share of the baseline."""
        threshold = self.below if self.above is None else self.above
        threshold = self.drop_from_baseline if threshold is None else threshold
        assert threshold is not None  # noqa: S101 - validated above
        return threshold

    @property
    def required_events(self) -> int:
        """Events that a window must have to be judged, unless that follows from its noise."""
        if self.minimum_events is None:
            return METRICS[self.metric].minimum_events
        return self.minimum_events

    def events_required_of(self, noise: Noise | None) -> float:
        """Return the events that a window must have to be judged; infinite if none is enough.

        A rule that doesn't say takes what has more noise than its threshold for no measurement.
        """
        if self.minimum_events is not None or noise is None or self.above is None:
            return self.required_events
        return noise.minimum_events(self.above)

    @property
    def required_psi(self) -> float:
        """Size, nats, that a drift must have to raise an alert; 0 where none is needed."""
        if self.metric != "surprise" or self.above is None:
            return 0.0
        return MINIMUM_PSI if self.minimum_psi is None else self.minimum_psi

    @property
    def events(self) -> tuple[AlertEvent, ...]:
        """What its alerts can report.

        >>> Rule(name="slow", metric="latency_mean_ms", above=200.0, severity="low").events
        ('firing', 'resolved', 'no_data', 'resumed')
        """
        events: list[AlertEvent] = ["firing", "resolved"]
        if self.no_data_after and self.metric != SILENCE:
            events += ["no_data", "resumed"]
        if self.pending_windows > 1:
            events += ["pending", "inactive"]
        if self.repeat_interval:
            events.append("reminder")
        if len(self.severities) > 1:
            events.append("raised")
        return tuple(events)

    @property
    def grouped(self) -> bool:
        """Whether its alerts are about all signals of a slice rather than one, or none.

        >>> fields = {"name": "drift", "metric": "kl", "above": 0.1, "severity": "low"}
        >>> Rule(**fields).grouped, Rule(signal="age", **fields).grouped
        (True, False)
        """
        return (
            self.group == "signals"
            and METRICS[self.metric].of_signal
            and re.search(GLOB, self.signal) is not None
        )

    @property
    def severities(self) -> tuple[Severity, ...]:
        """What its alerts can be."""
        if isinstance(self.severity, SeverityBySize):
            by_size = self.severity
            return tuple(dict.fromkeys((by_size.minor, by_size.moderate, by_size.major)))
        return (self.severity,)

    def severity_of(self, size: Size | None) -> Severity:
        """Return how severe a drift of some size is; without one, as severe as it can be.

        >>> sizes = SeverityBySize(minor="low", moderate="medium", major="high")
        >>> rule = Rule(name="drift", metric="surprise", above=1.0, severity=sizes)
        >>> rule.severity_of("moderate"), rule.severity_of(None)
        ('medium', 'high')
        """
        if isinstance(self.severity, SeverityBySize):
            by_size = self.severity
            sizes = {"minor": by_size.minor, "moderate": by_size.moderate, "major": by_size.major}
            return sizes[size or "major"]
        return self.severity

    def limit(self, reference: float | None) -> float:
        """Return the threshold in the unit of the metric; ``reference`` is the baseline's figure.

        >>> fields = {"name": "worse", "severity": "low", "drop_from_baseline": 0.05}
        >>> round(Rule(metric="accuracy", **fields).limit(0.9), 6)
        0.855
        >>> Rule(metric="mae", **fields).limit(2.0)
        2.1
        """
        if self.drop_from_baseline is None:
            return self.threshold
        assert reference is not None  # noqa: S101 - what has none isn't judged by such a rule
        drop = self.drop_from_baseline * abs(reference)
        return reference + drop if self.comparison == "above" else reference - drop

    def holds(self, value: float, reference: float | None = None) -> bool:
        """Whether ``value`` is strictly on the far side of the threshold.

        >>> rule = Rule(name="slow", metric="latency_mean_ms", above=200.0, severity="low")
        >>> rule.holds(200.0), rule.holds(200.1)
        (False, True)
        """
        limit = self.limit(reference)
        return value > limit if self.comparison == "above" else value < limit


class RuleFile(_StrictRule):
    """The whole rule file. ``rules: []`` is allowed and means that nothing alerts."""

    rules: list[Rule]


def rule_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the rule file, for editors that complete and check."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RuleFile.model_json_schema(),
    }
