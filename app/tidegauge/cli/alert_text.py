"""An alert in words: one line, its state, and the facts and tables of ``alerts show``."""

from collections.abc import Iterable, Iterator

import msgspec
from rich.table import Table
from rich.text import Text

from tidegauge.cli.printing import (
    SEVERITY_COLOURS,
    PlainText,
    folding_table,
    plain,
    short,
)
from tidegauge.cli.recent import Value
from tidegauge.contract import (
    OF_THRESHOLD,
    Alert,
    Distribution,
    SignalAlert,
    Silence,
    Silences,
    cohort_facts,
    counted,
    counted_in,
    duration_text,
    figure,
    limit_text,
    listed,
    metric_text,
    printable,
    quantity,
    segment_text,
    utc_text,
    with_subject,
)

_STATES = {"resolved": "green", "no_data": "magenta"}


def course(alert: Alert, first: Value | None, newest: Value) -> str:
    """Return the first figure of an alert, and the one in the newest window.

    Empty if the alert fired in that window: its summary has the figure.
    """
    if first is not None and first.at >= newest.at:
        return ""
    now = quantity(newest.value, alert.unit, alert.threshold)
    began = ""
    if first is not None:
        # The unit stands behind the second figure, if it is no part of the first.
        unit = alert.unit if alert.unit in ("s", "share") else ""
        began = f"{quantity(first.value, unit, alert.threshold)} at first, "
    limit = limit_text(alert.threshold, alert.unit)
    at = utc_text(newest.at, "%H:%M:%SZ")
    return f"\n{began}{now} at {at} ({alert.comparison} {limit} fires)"


def fires(alert: Alert) -> bool:
    """Whether an alert fires, or fired when its data ended and was not resolved since."""
    return alert.state == "firing" or (alert.state == "no_data" and alert.was == "firing")


def latest(alerts: Iterable[Alert]) -> list[Alert]:
    """Return the newest alert of each fingerprint, in the order of the topic.

    The newest by its window: a worker that was paused may have sent an older one later.
    """
    found: dict[str, Alert] = {}
    for alert in alerts:
        before = found.get(alert.fingerprint)
        if before is None or alert.window_end >= before.window_end:
            found.pop(alert.fingerprint, None)
            found[alert.fingerprint] = alert
    return list(found.values())


def words(alert: Alert, silences: Silences, now: float) -> tuple[Silence | None, Silence | None]:
    """Return the acknowledgement and the silence of an alert that is not over."""
    if alert.state in ("inactive", "resolved"):
        return None, None
    silence = silences.over(alert, now)
    return silences.seen(alert, now), None if silence and silence.reminders_only else silence


def record_with_words(alert: Alert, silences: Silences, now: float) -> dict[str, object]:
    """Return the record with its acknowledgement and its silence."""
    seen, silence = words(alert, silences, now)
    fields = msgspec.structs.asdict(alert)
    present = {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    return present | {"acknowledgement": seen, "silence": silence}


def state_of(alert: Alert, silences: Silences, now: float) -> Text:
    """Return the state of an alert and for how long, and who has seen or silenced it."""
    seen, silence = words(alert, silences, now)
    text: str = alert.state.replace("_", " ")
    if alert.ends_at is None:
        text += f" for {duration_text(max(0, int(now) - alert.starts_at))}"
    else:
        text += f" after {duration_text(alert.ends_at - alert.starts_at)}"
    if seen is not None:
        text += f", seen by {seen.who}"
    if silence is not None:
        text += f", silenced by {silence.who}"
    return plain(text, _STATES.get(alert.state, "dim" if silence else ""))


def facts(alert: Alert, silences: Silences, now: float) -> Iterator[tuple[str, str]]:
    """Yield what is known of an alert, each fact by its name."""
    signal = alert.signal or (alert.signals[0].signal if alert.signals else "")
    watched = metric_text(alert.metric, signal)
    yield "rule", alert.rule
    yield "figure", f"{watched}: {_amount(alert)}{_in_events(alert)}"
    if alert.evidence is not None and alert.evidence.psi_corrected is not None:
        size, psi = alert.evidence.size or "", figure(alert.evidence.psi_corrected)
        yield "size", f"{size}, PSI {psi} nats beyond noise".removeprefix(", ")
    if alert.evidence is not None and alert.evidence.change is not None:
        change = alert.evidence.change
        windows = counted(alert.evidence.span_windows, "window")
        yield "began", f"by {utc_text(change.onset_window_end)}, seen in {windows}"
    yield from cohort_facts(alert)
    for one in alert.inhibited:
        yield "includes", f"{one.rule} ({one.severity}) {listed(one.signals)}".rstrip()
    if alert.severities_before:
        yield "severity", " → ".join([*alert.severities_before, alert.severity])
    if alert.flapping:
        yield "flapping", "resolved is sent only once it has stayed away"
    yield "window", f"{utc_text(alert.window_start)} to {utc_text(alert.window_end)}"
    yield "since", utc_text(alert.starts_at)
    if alert.ends_at is not None:
        lasted = duration_text(alert.ends_at - alert.starts_at)
        yield "until", f"{utc_text(alert.ends_at)}, after {lasted}"
    seen, silence = words(alert, silences, now)
    if seen is not None:
        yield "seen", _by(seen)
    if silence is not None:
        until = "it is ended" if silence.until is None else utc_text(silence.until)
        yield "silenced", f"until {until}, {_by(silence)}"
    if alert.variant:
        yield "variant", alert.variant
    if alert.segment:
        yield "segment", segment_text(alert.segment)
    for name, id in (("baseline", alert.baseline), ("report", alert.report)):
        if id:
            yield name, id
    for span in alert.counted:
        yield "counted", f"{span.topic}/{span.partition}, offsets {span.start:,} to {span.to:,}"
    for action in alert.actions:
        yield "action", action


def _amount(alert: Alert) -> str:
    value = quantity(alert.value, alert.unit, alert.threshold)
    return f"{value}, {alert.comparison} {limit_text(alert.threshold, alert.unit)}"


def _in_events(alert: Alert) -> str:
    """Return how many events a figure was computed from, if from any."""
    if not (alert.events or alert.minimum_events):
        return ""
    least = f" (at least {alert.minimum_events:,})" if alert.minimum_events else ""
    return f", in {counted(alert.events, counted_in(alert))}{least}"


def _by(one: Silence) -> str:
    return f"by {one.who} at {utc_text(one.since)}" + (f": {one.why}" if one.why else "")


def signals_table(alert: Alert) -> Table:
    """Return the figure of each signal of an alert."""
    metric = printable(alert.metric)
    table = folding_table("signal", metric, "severity", "since", "until", right=(metric,))
    for one in alert.signals:
        until = "" if one.ends_at is None else utc_text(one.ends_at)
        table.add_row(
            plain(one.signal), _value(one, alert), one.severity, utc_text(one.starts_at), until
        )
    return table


def _value(one: SignalAlert, alert: Alert) -> str:
    """Write the figure of one signal; a long unit is that of the figure above it."""
    return quantity(one.value, "" if alert.unit == OF_THRESHOLD else alert.unit)


def check_bins(id: str, distribution: Distribution) -> None:
    """Raise ``ValueError`` unless there is one count for each bin."""
    sizes = [len(it) for it in (distribution.bins, distribution.reference, distribution.current)]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"alert {id} is damaged: its distribution has {sizes[0]} bins, and counts of "
            f"{sizes[1]} and {sizes[2]}; --json shows it as it is"
        )


def bins_table(distribution: Distribution) -> Table:
    """Return the shares of the baseline and of the window in each bin."""
    table = folding_table("bin", "baseline", "window", right=("baseline", "window"))
    reference, current = sum(distribution.reference) or 1, sum(distribution.current) or 1
    for label, of_reference, of_current in zip(
        distribution.bins, distribution.reference, distribution.current, strict=True
    ):
        table.add_row(
            plain(label), f"{of_reference / reference:.1%}", f"{of_current / current:.1%}"
        )
    return table


def _nth(n: int) -> str:
    """Write an ordinal number.

    >>> _nth(1), _nth(2), _nth(11), _nth(23)
    ('1st', '2nd', '11th', '23rd')
    """
    ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def describe(alert: Alert) -> Text:
    """Return an alert in one line for a person."""
    over = alert.state in ("inactive", "resolved")
    colour = "green" if over else SEVERITY_COLOURS[alert.severity]
    state = alert.state.replace("_", " ")
    if alert.reminder:
        state = f"still firing ({_nth(alert.reminder)} reminder)"
    if alert.event == "raised":
        state = "now"
    what = f"{state} {alert.severity}"
    return PlainText.assemble(
        (utc_text(alert.window_end), "dim"),
        " ",
        (what, colour),
        printable(f" {with_subject(alert)} [{short(alert.id)}]"),
    )
