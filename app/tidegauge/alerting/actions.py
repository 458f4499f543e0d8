"""Whether a firing alert may request the action of its rule. All times are those of windows."""

from collections.abc import Sequence
from typing import NamedTuple

from tidegauge.alerting.metrics import METRICS
from tidegauge.alerting.model import Rule
from tidegauge.baseline import LEAST_BASELINE_ROWS
from tidegauge.contract import WindowReport, clock, counted, duration_text, limit_text

#: With older baselines than this, no action is requested: Redis has been down for so long that
#: another baseline may be promoted by now.
STALE_SECONDS = 3600.0

DAY_SECONDS = 24 * 3600


class Basis(NamedTuple):
    """The basis of an action.

    ``starts_at`` is when its alert began; ``baseline_rows`` is how many there are of the signal,
    None if none was compared. ``never_sound``: the rule has held in every window of the slice.
    """

    starts_at: int
    baseline_rows: int | None = None
    never_sound: bool = False


def why_withheld(
    rule: Rule,
    asked: Sequence[int],
    report: WindowReport,
    basis: Basis,
    *,
    now: int | None = None,
) -> str | None:
    """Return why the action must not be requested in the window of ``report``; None if it may.

    ``asked`` has the times of its requests, for this rule and slice, from :func:`remembered`.
    ``now`` is the end of the last window judged, if that is later than the report's.
    """
    now = report.window_end if now is None else now
    ages = [part.baseline_age_seconds for part in report.parts]
    oldest = max((age for age in ages if age is not None), default=0.0)
    if oldest > STALE_SECONDS:
        return f"the baselines were last read {duration_text(oldest)} before"
    if basis.never_sound:
        return (
            f"{rule.metric} has been {rule.comparison} "
            f"{limit_text(rule.threshold, METRICS[rule.metric].unit)} since the first window of "
            f"this version, {clock(basis.starts_at, now)}: nothing is known to have changed that "
            "going back would mend"
        )
    rows = basis.baseline_rows
    if rule.action == "retrain" and rows is not None and rows < LEAST_BASELINE_ROWS:
        return (
            f"its baseline has {rows} rows, and with fewer than {LEAST_BASELINE_ROWS} a "
            "difference may lie in these"
        )
    if asked and now - asked[-1] < rule.cooldown:
        ago, cooldown = duration_text(now - asked[-1]), duration_text(rule.cooldown)
        return f"requested {ago} before, cooldown {cooldown}"
    today = sum(now - at < DAY_SECONDS for at in asked)
    if rule.max_per_day is not None and today >= rule.max_per_day:
        return f"requested {counted(today, 'time')} in 24 h, max_per_day {rule.max_per_day}"
    return None


def is_of_latency(rule: Rule) -> bool:
    """Whether the rule requests a rollback because of latency."""
    return rule.action == "rollback" and rule.metric.startswith("latency_")


def remembered(rule: Rule, asked: Sequence[int], now: int) -> list[int]:
    """Return the times of requests, ``now`` the latest, that limit those of later windows."""
    if rule.max_per_day is None and not rule.cooldown:
        return []
    longest = max(rule.cooldown, DAY_SECONDS if rule.max_per_day is not None else 0)
    return [at for at in (*asked, now) if now - at < longest]
