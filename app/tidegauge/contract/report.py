"""The window report: what DETECT says of one closed window."""

from typing import Literal

from msgspec import field

from tidegauge.contract._base import SCHEMA_VERSION, Record
from tidegauge.contract.histogram import SignalHistogram


class CountedRange(Record, omit_defaults=True):
    """Source offsets [``start``, ``to``) in which every event of the window was counted.

    ``topic_id`` is Kafka's id of the topic, empty if it is not known: a topic that was deleted and
    made again has another one, and its offsets begin anew.
    """

    topic: str
    partition: int
    start: int
    to: int
    topic_id: str = ""


class Drift(Record):
    """How far a signal's window is from its baseline. Every divergence in nats, 0 = the same.

    All are computed on the value bins plus one bin each for missing (absent or null), not finite
    and invalid, with half a count added to each bin that either side has hit. There are none if a
    side counted nothing. ``wasserstein_bins`` is in bin widths and null for categories, which have
    no order.

    ``kl_values_nats`` is KL(current‖reference) of the values that are there: without the bins of
    missing, not finite, invalid and never seen values, and with categories that the baseline has
    hardly any rows of in one bin. ``values_surprise_nats`` is -ln p of the likelihood ratio of the
    same bins: how far that is beyond sampling noise of both sides. Both are null if a side has no
    values.
    """

    psi: float
    kl_current_reference_nats: float
    kl_reference_current_nats: float
    js_nats: float
    wasserstein_bins: float | None
    kl_values_nats: float | None = None
    values_surprise_nats: float | None = None


class Quality(Record, omit_defaults=True):
    """By how much more of a signal's values are unusable in a window than in its baseline.

    Each figure is the share of the values to be expected that is lost: (share - the baseline's
    share - sampling noise of both) / (1 - the baseline's share), 0 = no more than that, 1 = all.
    ``missing_excess`` is of absent and null values, ``absent_excess`` of absent ones alone.
    ``out_of_range_share`` is no excess but the share of numbers farther outside of the baseline's
    range than that range is wide, as it is at least; 0 where that may be chance. With ``constant``
    every value is the same, or nearly, which by the baseline is no chance.
    """

    absent_excess: float = 0.0
    missing_excess: float = 0.0
    not_finite_excess: float = 0.0
    invalid_excess: float = 0.0
    unseen_excess: float = 0.0
    out_of_range_share: float = 0.0
    constant: bool = False


#: How big a drift is: corrected PSI below 0.1, up to 0.25, and from there on.
Size = Literal["minor", "moderate", "major"]


class MovedBin(Record):
    """A bin whose share changed: what the baseline has in it, and the windows of the span.

    ``g`` is what it adds to the likelihood ratio G of the two, with the sign of the change.
    """

    bin: str
    baseline_share: float
    current_share: float
    g: float


class Change(Record):
    """What has changed about a signal in alarm, over the span of windows that shows it most.

    ``span`` is a word for the ``span_windows`` of its evidence, as they are with windows of a
    minute. ``moved`` has the bins that moved most, at most five. The deltas are current less
    baseline: of the mean by the values of this window alone, all others over the span. The median
    is interpolated inside its bin; null = no such figure. ``onset_window_end`` is the end of the
    window in which the change seems to have begun, a guess.

    ``q_value`` is the false discovery rate at which this signal would be the last one named, of all
    of the part. ``rank`` is the signal's place among those in alarm, 1 = look here first: by
    ``importance`` of the feature times the size of its drift where the baseline has importances
    (a share of them all; null = it has none), otherwise by surprise.
    """

    span: Literal["spike", "minutes", "hour"]
    moved: list[MovedBin]
    mean_delta: float | None
    median_delta: float | None
    missing_share_delta: float
    unseen_share_delta: float | None
    onset_window_end: int
    q_value: float
    rank: int
    importance: float | None = None


class Expectation(Record):
    """What a baseline by hour of day leads one to expect of the windows behind an evidence.

    ``expected`` are counts by bin: the shares expected, of a sample as certain. ``excess`` is by
    how much more than by sampling scores vary, as variance in units of one event's, known with
    ``degrees`` of freedom: of shape, mean, spread and each bin. ``skewness`` is that of mean and
    spread.
    """

    expected: list[float]
    excess: list[float]
    degrees: list[float]
    skewness: list[float]


class Evidence(Record):
    """The strongest sign that a signal has changed, of all scores over all spans of windows.

    ``surprise_nats`` is -ln p of ``score`` over about the last ``span_windows``, without a change;
    that rests on ``events`` (weighted windows count as fewer) against ``baseline_events``, in
    ``bins``. The signal is in alarm if it is above the part's ``threshold_nats``; then ``counts``
    has the weighted windows' counts, by bin, that it can be computed from.

    That says whether there is a drift; ``psi_corrected`` says how big it is, by the same counts:
    PSI less what noise adds to it, nats, with a word for it in ``size``. ``change`` says what has
    changed, of signals in alarm.

    With a baseline by hour of day all of this compares with what the hours lead one to expect:
    ``expectation``, for signals in alarm. Only ``change.mean_delta`` is against the mean of the
    whole baseline.
    """

    score: Literal["shape", "mean", "spread", "bin"]
    span_windows: int
    surprise_nats: float
    events: float
    baseline_events: int
    bins: int
    counts: list[float] | None = None
    psi_corrected: float | None = None
    size: Size | None = None
    change: Change | None = None
    expectation: Expectation | None = None


class AlarmBudget(Record):
    """Where a threshold comes from.

    It is ln(``windows_per_month`` · ``looks`` · ``slices`` / ``alarms_per_month``), and at least
    ln 2, however many alarms are allowed. ``looks`` is how many scores of a window could start a
    false alarm of their own; those that change slowly count for less than one. ``slices`` of the
    model (version, variant, segment) share its alarms.

    ``guaranteed`` is false where more false alarms than that have to be reckoned with; ``reason``
    says why. ``baseline_without_hours``: the baseline says nothing of hours and days, so traffic
    with a daily cycle, or whose windows depend on each other, raises alarms by itself.
    """

    threshold_nats: float
    looks: float
    alarms_per_month: float
    windows_per_month: float
    slices: int = 1
    guaranteed: bool = False
    reason: Literal["baseline_without_hours"] | None = "baseline_without_hours"


class SignalReport(Record):
    """One signal of one window. Shares are of all events of the part, means of finite values.

    ``evidence`` is in the first revision of a window that closed in order, for signals with a
    baseline that have had enough events. ``quality`` is null where all values are as usable as in
    the baseline, and without one.
    """

    kind: Literal["numeric", "categorical"]
    histogram: SignalHistogram
    mean: float | None
    missing_share: float
    unseen_share: float | None
    drift: Drift | None
    evidence: Evidence | None = None
    quality: Quality | None = None


class DriftedSignal(Record):
    """A signal whose values have drifted, and by how much: corrected PSI of its values, nats."""

    signal: str
    psi_corrected: float


class DriftPattern(Record):
    """What the signals in alarm say together: whether inputs drift, the prediction, or both.

    A signal counts if it is in alarm by values that are there, and by enough of them: not one that
    is missing, not sent or malformed, and none whose values differ by no more than noise.

    ``signals`` features were judged, ``drifted_signals`` of them are in alarm, that is a share of
    ``drifted_share`` (0 of none). ``drifts`` names them, the largest drift first.
    ``prediction_drifted`` is of the prediction or the label; null if neither was judged.
    ``reading``:

    - ``no_drift``: nothing is in alarm;
    - ``inputs_only``: features have drifted, and what the model says has not (covariate shift
      without effect on the score so far);
    - ``inputs_and_score``: features have drifted, and what the model says with them;
    - ``score_only``: what the model says has drifted though none of its features did: the model or
      its pipeline has changed, or several features together that alone look as before;
    - null: features have drifted, and nobody looks at what the model says.
    """

    signals: int
    drifted_signals: int
    drifted_share: float
    prediction_drifted: bool | None
    reading: Literal["no_drift", "inputs_only", "inputs_and_score", "score_only"] | None
    drifts: list[DriftedSignal] = field(default_factory=list)


class ReportPart(Record):
    """The share of a window that was binned by one baseline ("" = counted without one).

    ``baseline_age_seconds`` is how long before the last count the workers had last read the
    baseline store: seconds, unless the store was down. Then a promotion may have been missed.
    ``alarm_budget`` and ``pattern`` are there if signals have ``evidence``.
    """

    baseline: str
    baseline_age_seconds: float | None
    events: int
    signals: dict[str, SignalReport]
    alarm_budget: AlarmBudget | None = None
    pattern: DriftPattern | None = None


class LatencySummary(Record):
    """Latency of a window, milliseconds; quantiles interpolated within the histogram's bins."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class WindowReport(Record):
    """One closed window of one (model, version, variant, segment).

    ``id`` is the same for the same window and revision, however often it is emitted. A late event
    makes a new ``revision`` of the whole report. Parts differ only if the baseline changed inside
    the window. ``prediction_mean_5m`` is over the windows that ended in the last five minutes.
    """

    id: str
    model: str
    version: str
    variant: str
    segment: dict[str, str]
    window_start: int
    window_end: int
    revision: int
    closed_by: float
    events: int
    errors: int
    counted: list[CountedRange]
    prediction_mean_5m: float | None
    latency: LatencySummary | None
    parts: list[ReportPart]
    schema_version: int = SCHEMA_VERSION
