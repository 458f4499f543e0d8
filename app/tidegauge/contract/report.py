"""The window report: what DETECT says of one closed window."""

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType, field

from tidegauge.contract.histogram import SignalHistogram
from tidegauge.contract.record import SCHEMA_VERSION, Record, SchemaVersion, doc


class CountedRange(Record, omit_defaults=True):
    """Source offsets [``start``, ``to``) in which every event of the window was counted."""

    topic: Annotated[str, doc("Source topic.")]
    partition: Annotated[int, doc("Source partition.")]
    start: Annotated[int, doc("First offset.")]
    to: Annotated[int, doc("Offset after the last one.")]
    topic_id: Annotated[
        str,
        doc(
            "Kafka's id of the topic, empty if unknown. A topic that was deleted and created "
            "again has another one, and its offsets begin anew."
        ),
    ] = ""


class Drift(Record):
    """How far a signal's window is from its baseline. Every divergence in nats, 0 = the same.

    All are computed on the value bins plus one bin each for missing (absent or null), not finite
    and invalid, with half a count added to each bin that either side has hit. There are none if a
    side counted nothing.
    """

    psi: Annotated[float, doc("Population stability index.")]
    kl_current_reference_nats: Annotated[
        float, doc("Kullback-Leibler divergence of the window from the baseline.")
    ]
    kl_reference_current_nats: Annotated[
        float, doc("Kullback-Leibler divergence of the baseline from the window.")
    ]
    js_nats: Annotated[float, doc("Jensen-Shannon divergence.")]
    wasserstein_bins: Annotated[
        float | None,
        doc("Wasserstein distance in bin widths; null for categories, which have no order."),
    ]
    kl_values_nats: Annotated[
        float | None,
        doc(
            "KL(current‖reference) of the values that are there: without the bins of missing, not"
            " finite, invalid and never seen values, and with rare categories of the baseline in "
            "one bin. Null if a side has no values."
        ),
    ] = None
    values_surprise_nats: Annotated[
        float | None,
        doc(
            "-ln p of the likelihood ratio of the same bins: how far that is beyond sampling "
            "noise of both sides. Null if a side has no values."
        ),
    ] = None
    kl_values_noise_nats: Annotated[
        float | None,
        doc(
            "How much of kl_values_nats is sampling noise of both sides on average: design_effect ·"
            " (values_bins - 1) / 2 · (1 / values of the window + 1 / values of the baseline). Null"
            " if a side has no values."
        ),
    ] = None
    values_bins: Annotated[
        int | None,
        doc("Bins of kl_values_nats that either side has hit. Null if a side has no values."),
    ] = None
    design_effect: Annotated[
        float | UnsetType,
        doc(
            "What the likelihood ratio of values_surprise_nats was divided by, and "
            "kl_values_noise_nats multiplied by, as events of one user, session or device are "
            "alike; absent = events are taken for independent."
        ),
    ] = UNSET


class Quality(Record, omit_defaults=True):
    """By how much more of a signal's values are unusable in a window than in its baseline.

    An excess is the share of the values to be expected that is lost: (share - the baseline's share
    - sampling noise of both) / (1 - the baseline's share), 0 = no more than that, 1 = all.
    """

    absent_excess: Annotated[float, doc("Of absent values alone.")] = 0.0
    missing_excess: Annotated[float, doc("Of absent and null values.")] = 0.0
    not_finite_excess: Annotated[float, doc("Of NaN and infinite values.")] = 0.0
    invalid_excess: Annotated[float, doc("Of values of another type.")] = 0.0
    unseen_excess: Annotated[float, doc("Of categories that the baseline never saw.")] = 0.0
    out_of_range_share: Annotated[
        float,
        doc(
            "No excess: share of numbers farther outside of the baseline's range than that range "
            "is wide, as it is at least; 0 where that may be chance."
        ),
    ] = 0.0
    constant: Annotated[
        bool, doc("Every value is the same, or nearly, which by the baseline is no chance.")
    ] = False


#: How big a drift is: corrected PSI below 0.1, up to 0.25, and from there on.
Size = Literal["minor", "moderate", "major"]


class MovedBin(Record):
    """A bin whose share changed."""

    bin: Annotated[str, doc("Label of the bin.")]
    baseline_share: Annotated[float, doc("Its share in the baseline.")]
    current_share: Annotated[float, doc("Its share in the windows of the span.")]
    g: Annotated[
        float,
        doc("What it adds to the likelihood ratio G of the two, with the sign of the change."),
    ]


class Change(Record):
    """What has changed about a signal in alarm, over the span of windows that shows it most.

    Deltas are current less baseline: of the mean by the values of this window alone, all others
    over the span.
    """

    span: Annotated[
        Literal["spike", "minutes", "hour"],
        doc("A word for the span_windows of its evidence, as they are with windows of a minute."),
    ]
    moved: Annotated[list[MovedBin], doc("Bins that moved most, at most five.")]
    mean_delta: Annotated[float | None, doc("Change of the mean; null = no such figure.")]
    median_delta: Annotated[
        float | None,
        doc("Change of the median, interpolated inside its bin; null = no such figure."),
    ]
    missing_share_delta: Annotated[float, doc("Change of the share of absent and null values.")]
    unseen_share_delta: Annotated[
        float | None,
        doc("Change of the share of categories the baseline never saw; null = no such figure."),
    ]
    onset_window_end: Annotated[
        int, doc("End of the window in which the change seems to have begun, an estimate.")
    ]
    q_value: Annotated[
        float,
        doc(
            "False discovery rate at which this signal would be the last one named, of all of the"
            " part."
        ),
    ]
    rank: Annotated[
        int,
        doc(
            "Place among the signals in alarm, 1 = look here first: by importance times the size "
            "of the drift where the baseline has importances, otherwise by surprise."
        ),
    ]
    importance: Annotated[
        float | None,
        doc("Importance of the feature, a share of them all; null = the baseline has none."),
    ] = None


class Expectation(Record):
    """What a baseline by hour of day leads to expect of the windows behind an evidence."""

    expected: Annotated[
        list[float], doc("Counts by bin: the expected shares, of a sample as certain.")
    ]
    excess: Annotated[
        list[float],
        doc(
            "By how much more than by sampling scores vary, as variance in units of one event's: "
            "of shape, mean, spread and each bin."
        ),
    ]
    degrees: Annotated[
        list[float],
        doc("Degrees of freedom with which each excess is known, or fewer if the tails are heavy."),
    ]
    skewness: Annotated[list[float], doc("Skewness of mean and spread.")]


class EarlierWindows(Record):
    """What a mean over some windows is compared with beside the baseline: the longest span's.

    ``surprise_nats`` is that of mean - ``weight`` · mean of these - (1 - ``weight``) · mean of the
    baseline, as certain as the mean of ``events`` events against a baseline 1 / (1 - ``weight``)²
    as large.
    """

    weight: Annotated[float, doc("The part of the longest span's mean that is taken off.")]
    events: Annotated[float, doc("Events that what is left is as certain as.")]
    counts: Annotated[list[float], doc("The weighted counts of the longest span, by bin.")]


class Evidence(Record):
    """The strongest sign that a signal has changed, of all scores over all spans of windows.

    The signal is in alarm if ``surprise_nats`` is above the part's ``threshold_nats``. That says
    whether there is a drift; ``psi_corrected`` says how big it is. With a baseline by hour of day
    all of this compares with what the hours lead to expect, except ``change.mean_delta``, which is
    against the mean of the whole baseline.
    """

    score: Annotated[
        Literal["shape", "mean", "spread", "bin"], doc("The score that shows it most.")
    ]
    span_windows: Annotated[int, doc("About so many windows back.")]
    surprise_nats: Annotated[float, doc("-ln p of the score over the span, without a change.")]
    events: Annotated[
        float,
        doc("Events it rests on; weighted windows, and events that go together, count as fewer."),
    ]
    baseline_events: Annotated[int, doc("Rows of the baseline it is compared with.")]
    bins: Annotated[int, doc("Number of bins.")]
    counts: Annotated[
        list[float] | None,
        doc(
            "Of a signal in alarm: the weighted windows' counts, by bin, that it can be computed "
            "from."
        ),
    ] = None
    psi_corrected: Annotated[
        float | None,
        doc(
            "PSI less what noise adds to it, nats, by the same counts; of a signal in alarm, of "
            "the windows since the onset."
        ),
    ] = None
    size: Annotated[Size | None, doc("A word for psi_corrected.")] = None
    change: Annotated[Change | None, doc("Of a signal in alarm: what has changed.")] = None
    expectation: Annotated[
        Expectation | None,
        doc("Of a signal in alarm, with a baseline by hour of day: what was expected."),
    ] = None
    since_onset: Annotated[
        float | None,
        doc(
            "Of a signal in alarm: the share of the counts that is from the windows since the "
            "onset, an estimate. The span shows the change diluted by it. Without counts_since, as "
            "in releases before it, the size is by the counts divided by this."
        ),
    ] = None
    psi_of_bin: Annotated[
        float | None,
        doc(
            "Of a signal in alarm: how much the bin that changed most has changed in terms of its "
            "own share, (x - 1) ln x with x its share since the onset as a multiple of the "
            "baseline's; 0 where no single bin stands out."
        ),
    ] = None
    design_effect: Annotated[
        float | UnsetType,
        doc(
            "What the counts of both sides were divided by, as events of one user, session or "
            "device are alike; absent = events are taken for independent. Counts and events of the "
            "evidence, and what was expected, are after the division; baseline_events before it."
        ),
    ] = UNSET
    counts_since: Annotated[
        list[float] | UnsetType,
        doc(
            "Of a signal in alarm: counts of the windows since the onset, by bin, as far as all "
            "spans together tell; psi_corrected, psi_of_bin and size are by these."
        ),
    ] = UNSET
    earlier: Annotated[
        EarlierWindows | UnsetType,
        doc(
            "Of a signal in alarm by its mean over 4 or 16 windows, without hours: what that is "
            "compared with beside the baseline."
        ),
    ] = UNSET


class AlarmBudget(Record):
    """Where a threshold comes from.

    It is ln(``windows_per_month`` · ``looks`` · ``slices`` / ``alarms_per_month``), and at least
    ln 2, however many alarms are allowed.
    """

    threshold_nats: Annotated[float, doc("The threshold of surprise.")]
    looks: Annotated[
        float,
        doc(
            "How many scores of a window could start a false alarm of their own; those that "
            "change slowly count for less than one."
        ),
    ]
    alarms_per_month: Annotated[float, doc("False alarms a month that the model may have.")]
    windows_per_month: Annotated[float, doc("Windows in a month.")]
    slices: Annotated[
        int, doc("Slices of the model (version, variant, segment) that share its alarms.")
    ] = 1
    guaranteed: Annotated[
        bool, doc("False where more false alarms than that are to be expected; see reason.")
    ] = False
    reason: Annotated[
        Literal["baseline_without_hours"] | None,
        doc(
            "The first of the reasons, as release 0.1.0 knew it. baseline_without_hours: the "
            "baseline has no hours and days, so traffic with a daily cycle, or whose windows "
            "depend on each other, raises alarms by itself."
        ),
    ] = "baseline_without_hours"
    reasons: Annotated[
        list[str],
        doc(
            "Every reason why more false alarms are to be expected; others may follow. "
            "without_hours: as baseline_without_hours. small_baseline: a signal is compared with "
            "fewer than 1,000 rows of its baseline, or its hours. clustering: rows near each other "
            "are alike in the file of the baseline, and no column says which go together. "
            "heavy_tails: the level of a signal has outliers in the baseline, and may have larger "
            "ones. rare_values_unknown: the baseline is of release 0.1.0 and doesn't say how many "
            "new values of a categorical signal to expect; such values count as other. "
            "calendar_ended: the window is after what the baseline knows of its time zone and "
            "holidays. no_time_zone: the baseline has hours of UTC, "
            "because no time zone was named. no_holidays: the baseline has hours and knows of no "
            "holidays."
        ),
    ] = field(default_factory=list)


class SignalReport(Record):
    """One signal of one window."""

    kind: Annotated[
        Literal["numeric", "categorical"], doc("Whether its values are numbers or categories.")
    ]
    histogram: Annotated[SignalHistogram, doc("What was counted.")]
    mean: Annotated[float | None, doc("Mean of the finite values.")]
    missing_share: Annotated[
        float, doc("Share of absent and null values among all events of the part.")
    ]
    unseen_share: Annotated[
        float | None,
        doc("Share of categories the baseline never saw, among all events of the part."),
    ]
    drift: Annotated[Drift | None, doc("Distance from the baseline; null without one.")]
    evidence: Annotated[
        Evidence | None,
        doc(
            "In the first revision of a window that closed in order, for signals with a baseline "
            "that have had enough events."
        ),
    ] = None
    quality: Annotated[
        Quality | None,
        doc("Null where all values are as usable as in the baseline, and without one."),
    ] = None
    features: Annotated[
        dict[str, float] | UnsetType,
        doc(
            "Of a joint signal: the features that it is a sum of, with their weights. Its values "
            "are in scales of these, missing_share is that of events without one of them. Absent "
            "of features and outputs."
        ),
    ] = UNSET


class DriftedSignal(Record):
    """A signal whose values have drifted."""

    signal: Annotated[str, doc("Name of the signal.")]
    psi_corrected: Annotated[float, doc("By how much: corrected PSI of its values, nats.")]


class DriftPattern(Record):
    """What the signals in alarm say together: whether inputs drift, the prediction, or both.

    A signal counts if it is in alarm by values that are there, and by enough of them: not one that
    is missing, not sent or malformed, and none whose values differ by no more than noise.

    ``signals`` features were judged, ``drifted_signals`` of them are in alarm, that is a share of
    ``drifted_share`` (0 of none). ``drifts`` names them, the largest drift first.
    ``prediction_drifted`` is of the prediction or the label; null if neither was judged.
    ``reading``:

    - ``no_drift``: nothing is in alarm;
    - ``inputs_only``: features have drifted, each alone or only ``together``, and what the model
      says has not (covariate shift without effect on the score so far);
    - ``inputs_and_score``: features have drifted, and what the model says with them;
    - ``score_only``: what the model says has drifted though none of its features did: the model or
      its pipeline has changed, or several features together, of which no joint signal tells;
    - null: features have drifted, and nobody looks at what the model says.
    """

    signals: Annotated[int, doc("Features that were judged.")]
    drifted_signals: Annotated[int, doc("Features in alarm.")]
    drifted_share: Annotated[
        float, doc("Share of the judged features that are in alarm; 0 of none.")
    ]
    prediction_drifted: Annotated[
        bool | None,
        doc("Whether the prediction or the label is in alarm; null if neither was judged."),
    ]
    reading: Annotated[
        Literal["no_drift", "inputs_only", "inputs_and_score", "score_only"] | None,
        doc("What the signals in alarm say together."),
    ]
    drifts: Annotated[
        list[DriftedSignal], doc("The features in alarm, the largest drift first.")
    ] = field(default_factory=list)
    together: Annotated[
        list[DriftedSignal] | UnsetType,
        doc(
            "The joint signals in alarm of which no feature is: features that have changed "
            "together, the largest drift first. They count in none of the figures. Absent if there "
            "are none."
        ),
    ] = UNSET


class ReportPart(Record):
    """The share of a window that was binned by one baseline."""

    baseline: Annotated[str, doc("Id of the baseline; empty = counted without one.")]
    baseline_age_seconds: Annotated[
        float | None,
        doc(
            "How long before the last count the workers had last read the baseline store: "
            "seconds, unless the store was down. Then a promotion may have been missed."
        ),
    ]
    events: Annotated[int, doc("Events of the part.")]
    signals: Annotated[dict[str, SignalReport], doc("Signals by name.")]
    alarm_budget: Annotated[AlarmBudget | None, doc("There if signals have evidence.")] = None
    pattern: Annotated[DriftPattern | None, doc("There if signals have evidence.")] = None


class LatencySummary(Record):
    """Latency of a window, milliseconds; quantiles interpolated within the histogram's bins."""

    mean_ms: Annotated[float, doc("Mean.")]
    p50_ms: Annotated[float, doc("Median.")]
    p95_ms: Annotated[float, doc("95th percentile.")]
    p99_ms: Annotated[float, doc("99th percentile.")]


class WindowReport(Record):
    """One closed window of one (model, version, variant, segment).

    A late event makes a new ``revision`` of the whole report. Parts differ only if the baseline
    changed inside the window.
    """

    id: Annotated[
        str, doc("The same for the same window and revision, however often it is emitted.")
    ]
    model: Annotated[str, doc("Name of the model.")]
    version: Annotated[str, doc("Version of the model.")]
    variant: Annotated[str, doc("Variant of the version; empty for traffic without one.")]
    segment: Annotated[
        dict[str, str], doc("Dimension and value of the segment; empty for all traffic.")
    ]
    window_start: Annotated[int, doc("Start of the window, epoch seconds.")]
    window_end: Annotated[int, doc("End of the window, epoch seconds.")]
    revision: Annotated[int, doc("0 for the first report of the window.")]
    closed_by: Annotated[float, doc("Event time that closed the window, epoch seconds.")]
    events: Annotated[int, doc("Events of the window.")]
    errors: Annotated[int, doc("Events with status error.")]
    counted: Annotated[list[CountedRange], doc("Source offsets that were counted.")]
    prediction_mean_5m: Annotated[
        float | None, doc("Mean prediction of the windows that ended in the last five minutes.")
    ]
    latency: Annotated[
        LatencySummary | None, doc("Latency of the window; null if no event had one.")
    ]
    parts: Annotated[list[ReportPart], doc("What was counted, by baseline.")]
    schema_version: SchemaVersion = SCHEMA_VERSION
