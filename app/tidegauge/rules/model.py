"""A rule, as the rule file has it."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeGuard

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

from tidegauge.contract import ActionKind, Severity, Size
from tidegauge.rules.metrics import METRICS, SILENCE, Metric, MetricName
from tidegauge.rules.summary import SAMPLE, render

#: What there is to tell of an alert. ``inactive``: what was pending ceased to hold before it fired.
#: ``reminder``: it is firing still. ``no_data``: nothing says any more whether it still holds.
Event = Literal["pending", "firing", "reminder", "inactive", "resolved", "no_data"]

#: The error type of what :func:`inconsistencies` finds.
INCONSISTENT = "inconsistent"

_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Long = Annotated[str, Field(min_length=1, max_length=2000)]
#: What Prometheus and Alertmanager take as the name of a label.
_LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=200)]
_Threshold = Annotated[float | None, Field(allow_inf_nan=False), WithJsonSchema({"type": "number"})]


class _Strict(BaseModel):
    # Strict: "0.05" in quotes, or yes for a number, is a slip to be shown, not guessed at.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SeverityBySize(_Strict):
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

#: Corrected PSI, nats, below which a drift is too small to wake anybody, be it ever so certain.
MINIMUM_PSI = 0.01


class Rule(_Strict):
    """Watch one metric, and say what it means when it passes a threshold.

    The condition is strict: a value that equals the threshold is neither above nor below it.
    """

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["above"]}, {"required": ["below"]}]}
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
    severity: Annotated[
        _SeverityOrSizes,
        Field(description="a word, or for surprise one for each size: minor, moderate, major"),
    ]
    minimum_psi: Annotated[
        float | None,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="surprise: a drift of less corrected PSI raises no alert; 0.01 if left out",
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
    repeat_interval: Annotated[
        int,
        Field(
            ge=0,
            description="seconds of event time after which what is firing still is told again; "
            "0: never",
        ),
    ] = 0
    no_data_after: Annotated[
        int,
        Field(
            ge=0,
            description="windows without one that was judged after which an alert that is pending "
            "or firing is told as no_data; 0: never",
        ),
    ] = 10
    action: Annotated[
        ActionKind | None,
        Field(description="what a firing alert asks for"),
        WithJsonSchema({"enum": ["retrain", "rollback", "page"]}),
    ] = None
    cooldown: Annotated[
        int,
        Field(ge=0, description="seconds of event time before a slice may ask for it again"),
    ] = 0
    max_per_day: Annotated[
        int | None,
        Field(ge=1, description="how often a slice may ask for it in 24 h; left out: any number"),
        WithJsonSchema({"type": "integer", "minimum": 1}),
    ] = None
    expires_after: Annotated[
        int, Field(ge=1, description="seconds after which it is too late to carry it out")
    ] = 86_400
    dry_run: Annotated[
        bool, Field(description="the action is asked for, and marked as not to be carried out")
    ] = False
    labels: Annotated[
        dict[_LabelName, _Text],
        Field(description="fixed text that goes with its alerts, such as {team: payments}"),
    ] = {}
    annotations: Annotated[
        dict[_LabelName, _Long],
        Field(description="texts that go with its alerts, templates like the summary"),
    ] = {}
    receivers: Annotated[list[_Text], Field(description="who is told of its alerts, by name")] = []
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
        return "below" if self.above is None else "above"

    @property
    def threshold(self) -> float:
        """The threshold, in the unit of the metric."""
        threshold = self.below if self.above is None else self.above
        assert threshold is not None  # noqa: S101 - validated above
        return threshold

    @property
    def required_events(self) -> int:
        """Events that a window must have to be judged."""
        if self.minimum_events is None:
            return METRICS[self.metric].minimum_events
        return self.minimum_events

    @property
    def required_psi(self) -> float:
        """Corrected PSI, nats, that a drift must have to raise an alert; 0 where none is needed."""
        if self.metric != "surprise" or self.above is None:
            return 0.0
        return MINIMUM_PSI if self.minimum_psi is None else self.minimum_psi

    @property
    def events(self) -> tuple[Event, ...]:
        """What there can be to tell of its alerts.

        >>> Rule(name="slow", metric="latency_mean_ms", above=200.0, severity="low").events
        ('firing', 'resolved', 'no_data')
        """
        events: list[Event] = ["firing", "resolved"]
        if self.no_data_after and self.metric != SILENCE:
            events.append("no_data")
        if self.pending_windows > 1:
            events += ["pending", "inactive"]
        if self.repeat_interval:
            events.append("reminder")
        return tuple(events)

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

    def holds(self, value: float) -> bool:
        """Whether ``value`` is strictly on the far side of the threshold.

        >>> rule = Rule(name="slow", metric="latency_mean_ms", above=200.0, severity="low")
        >>> rule.holds(200.0), rule.holds(200.1)
        (False, True)
        """
        return value < self.threshold if self.above is None else value > self.threshold


class RuleFile(_Strict):
    """The whole rule file. ``rules: []`` is allowed and means that nothing alerts."""

    rules: list[Rule]


def inconsistencies(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Find what is wrong between the fields of a rule: pairs of the dotted field and the message.

    Takes fields of any type and passes over those that are wrong in themselves, so that one reading
    of a file can show everything.
    """
    found: list[tuple[str, str]] = []
    above, below = rule.get("above"), rule.get("below")
    if above is None and below is None:
        found.append(("", "found no threshold, expected 'above' or 'below'"))
    elif above is not None and below is not None:
        found.append(("below", "found 'above' as well; expected one of the two, so make two rules"))
    name = rule.get("metric")
    metric = METRICS.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]
    if metric is not None:
        if not metric.of_signal and rule.get("signal") is not None:
            found.append(
                ("signal", f"{name} is measured once for the whole window; take 'signal' away")
            )
        if _is_number(above) and not metric.lowest <= above < metric.highest:
            found.append(("above", _out_of_range(name, above, metric)))
        if _is_number(below) and not metric.lowest < below <= metric.highest:
            found.append(("below", _out_of_range(name, below, metric)))
        if name != "surprise" and isinstance(rule.get("severity"), Mapping):
            found.append(
                ("severity", f"found sizes, but {name} has none, only surprise; expected one word")
            )
        if name == SILENCE:
            found += _of_silence(rule)
        if rule.get("minimum_psi") is not None and (name != "surprise" or below is not None):
            message = "only for 'metric: surprise' with 'above'; take it away"
            found.append(("minimum_psi", message))
        minimum = rule.get("minimum_events")
        if name == "events" and _is_number(below) and _is_number(minimum) and minimum >= below:
            found.append(
                (
                    "minimum_events",
                    f"found {minimum}, so no window with fewer than {below:g} events is judged and "
                    "the rule can never hold; expected less than 'below'",
                )
            )
    annotations = rule.get("annotations")
    templates = {"summary": rule.get("summary")} | (
        {f"annotations.{name}": text for name, text in annotations.items()}
        if isinstance(annotations, Mapping)
        else {}
    )
    for field, template in templates.items():
        if isinstance(template, str):
            try:
                render(template, SAMPLE)
            except (ValueError, KeyError, IndexError) as error:
                found.append((field, f"not a template: {error}"))
    if rule.get("action") is None:
        found += [
            (field, "only with 'action'; take it away")
            for field in ("cooldown", "max_per_day", "expires_after", "dry_run")
            if rule.get(field) is not None
        ]
    receivers = rule.get("receivers")
    if isinstance(receivers, list):
        twice = sorted({str(name) for name in receivers if receivers.count(name) > 1})
        if twice:
            found.append(("receivers", f"found {', '.join(twice)} twice; name each once"))
    return found


def _of_silence(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Find what makes no sense where no window is judged."""
    found = []
    if rule.get("below") is not None:
        found.append(("below", f"{SILENCE} is 0 while there are events; expected 'above'"))
    found += [
        (
            field,
            f"counts judged windows, and {SILENCE} is judged where there are none; take it away",
        )
        for field in ("for", "keep_firing_for", "minimum_events", "no_data_after")
        if rule.get(field) is not None
    ]
    if rule.get("action") is not None:
        message = "nothing was measured that an action could rest on; take it away"
        found.append(("action", message))
    return found


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _out_of_range(name: object, found: float, metric: Metric) -> str:
    reach = f"is {metric.lowest:g} or more"
    if math.isfinite(metric.highest):
        reach = f"lies between {metric.lowest:g} and {metric.highest:.4g}"
    return (
        f"found {found:g}, but {name} ({metric.unit}) {reach}, so that it would hold always or "
        "never; expected a threshold inside that range"
    )


def rule_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the rule file, for editors that complete and check."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RuleFile.model_json_schema(),
    }
