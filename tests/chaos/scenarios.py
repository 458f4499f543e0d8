"""Named scenarios: a plan each that is written by hand, and what is judged beside exactness.

A scenario has a long form, whose figures are worth telling, and a short one for every day. Pure.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaos.judge.brokers import judge_three_brokers
from chaos.judge.judgement import LATE_SECONDS, Judgement, judge_calm, judge_no_restart
from chaos.plan.broker_faults import SHORT_SECONDS, draw_broker_plan
from chaos.plan.course import Course, Delay, Seen, Span, spread
from chaos.plan.faults import BASE_WORKERS, WITH_BASELINE, Fault, Plan

#: The workers read Redis every 2 s. On a busy machine a reading may be late by some more, and
#: by as much the age that a flush says differs from what the clock says.
REFRESH_SECONDS = 2.0
SLACK_SECONDS = 3.0

#: Once Redis answers, it is asked again within one period, and windows that begin then have had no
#: count under an old reading.
FRESH_SECONDS = REFRESH_SECONDS + SLACK_SECONDS

#: The last event of a window comes some ms before its end (a model has 250 events/s at least), and
#: two clocks are compared: wall and monotonic.
CLOCK_SECONDS = 0.5

#: A rolling restart may delay a first report by so much.
DELAY_BAR_SECONDS = 15.0

#: A worker must be gone so long after SIGTERM: a pod has 30 s.
LEAVE_BAR_SECONDS = 25.0


@dataclass(frozen=True)
class Scenario:
    """One scenario."""

    long: Plan
    short: Plan
    judge: Callable[[Course], Judgement]


# -- Redis is down -------------------------------------------------------------------------------


def judge_redis_outage(course: Course) -> Judgement:
    """Judge that reports go on and say how old the baselines are, and that no worker ends."""
    judged = Judgement()
    span = _only_span(course, "redis_stop", judged)
    judge_no_restart(course, judged)
    calm = judge_calm(course, judged)
    if span is None or calm is None:
        return judged
    for one in course.delays():
        # The others may be on their way when Redis comes back.
        if span.asked < one.due < span.ended - LATE_SECONDS - calm and one.at > span.ended:
            judged.findings.append(f"{one.report} waited {one.seconds:.1f} s for Redis")
    _judge_ages(course, span, judged)
    judged.measured["outage_seconds"] = round(span.ended - span.began, 1)
    _, disturbed = course.split_delays()
    judged.measured["delay_seconds"] = spread(disturbed)
    return judged


def _judge_ages(course: Course, span: Span, judged: Judgement) -> None:
    """Hold each part's age against when the store could be read for the last time."""
    ages: dict[str, list[float]] = {"before": [], "during": [], "after": []}
    for seen in course.reports:
        end = seen.report.window_end
        if seen.at <= span.asked:
            when, least, most = "before", 0.0, FRESH_SECONDS
        elif seen.report.window_start >= span.back + FRESH_SECONDS:
            when, least, most = "after", 0.0, FRESH_SECONDS
        elif end > span.began and seen.at <= span.ended:
            # Last counted between the window's end and the report, by workers that had last read
            # within the period before Redis was asked to stop.
            least = max(0.0, end - span.began - CLOCK_SECONDS)
            most = seen.at - span.asked + REFRESH_SECONDS + SLACK_SECONDS
            when = "during"
        else:
            continue  # counted partly under an old reading and partly under a new one
        ages[when] += _ages(seen, least, most, f"{when} the outage", judged)
    for when, found in ages.items():
        if not found:
            judged.findings.append(f"no report {when} the outage says the age of a baseline")
        judged.measured[f"{when}_parts"] = len(found)
        judged.measured[f"{when}_largest_age_seconds"] = round(max(found, default=0.0), 1)


def _ages(seen: Seen, least: float, most: float, when: str, judged: Judgement) -> list[float]:
    """Return the ages that a report says of its baselines; what is out of bounds is a finding."""
    ages = []
    parts = [part for part in seen.report.parts if part.baseline]
    if not parts and seen.report.model in WITH_BASELINE:
        judged.findings.append(f"{seen.report} {when} was counted without a baseline")
    for part in parts:
        age = part.baseline_age_seconds
        if age is None:
            judged.findings.append(f"{seen.report} {when} says no age of its baseline")
            continue
        if not least <= age <= most:
            judged.findings.append(
                f"{seen.report} {when} says that its baseline was read {age:.1f} s ago; "
                f"expected {least:.1f} to {most:.1f} s"
            )
        ages.append(age)
    return ages


# -- the broker is down --------------------------------------------------------------------------


def judge_broker_outage(course: Course) -> Judgement:
    """Judge that reports are in time again once the broker is back, and stay so."""
    judged = Judgement()
    span = _only_span(course, "broker_kill", judged)
    calm = judge_calm(course, judged)
    if span is None or calm is None:
        return judged
    judged.measured["outage_seconds"] = round(span.back - span.began, 1)
    _, disturbed = course.split_delays()
    late = [one for one in disturbed if one.seconds > calm + LATE_SECONDS]
    in_time = [one for one in disturbed if one.due > span.back and one not in late]
    last_due = max((one.due for one in disturbed), default=0.0)
    if not in_time:
        judged.findings.append("no window that was due after the broker's return was in time")
    for one in late:
        if one.due == last_due:
            judged.findings.append(f"{one.report}, the last, was still late: {one.seconds:.1f} s")
    if disturbed:
        judged.measured["delay_seconds"] = spread(disturbed)
    judged.measured["in_time_again_after_seconds"] = round(
        max((one.at - span.back for one in late), default=0.0), 1
    )
    judged.measured["restarts"] = dict(course.restarts)
    return judged


# -- every worker is restarted -------------------------------------------------------------------


def judge_rolling_restart(course: Course) -> Judgement:
    """Judge that every worker leaves once, by itself and in time, and no first report is late."""
    judged = Judgement()
    span = _only_span(course, "rolling_restart", judged)
    judge_no_restart(course, judged)
    _judge_leaving(course, judged)
    calm = judge_calm(course, judged)
    if span is None or calm is None:
        return judged
    if span.back > course.ended:
        judged.findings.append(
            f"the restarts took {span.back - span.asked:.0f} s, longer than the traffic: lengthen "
            "the scenario"
        )
    judged.measured["restart_seconds"] = round(span.back - span.asked, 1)
    _, disturbed = course.split_delays()
    if not disturbed:
        judged.findings.append("no window was due while workers were restarted")
        return judged
    for one in disturbed:
        if one.seconds - calm > DELAY_BAR_SECONDS:
            judged.findings.append(
                f"{one.report} came {one.seconds:.1f} s after it was due, {_clock(course, one)}; "
                f"undisturbed it takes {calm:.1f} s, and {DELAY_BAR_SECONDS:.0f} s more are allowed"
            )
    judged.measured["delay_seconds"] = spread(disturbed)
    judged.measured["added_delay_seconds"] = round(max(it.seconds for it in disturbed) - calm, 1)
    return judged


def _judge_leaving(course: Course, judged: Judgement) -> None:
    times = Counter(left.name for left in course.left)
    for role, number in BASE_WORKERS.items():
        for name in (f"{role}-{n}" for n in range(number)):
            if times[name] != 1:
                judged.findings.append(f"{name} was restarted {times[name]} times, expected once")
    for left in course.left:
        if left.code != 0:
            judged.findings.append(
                f"{left.name} ended with {left.code}, {left.seconds:.1f} s after SIGTERM"
            )
        elif left.seconds > LEAVE_BAR_SECONDS:
            judged.findings.append(f"{left.name} took {left.seconds:.1f} s to leave")
    judged.measured["leave_seconds"] = {it.name: round(it.seconds, 1) for it in course.left}


def _clock(course: Course, one: Delay) -> str:
    return f"{one.at - course.began:.1f} s into the traffic"


# -- of all --------------------------------------------------------------------------------------


def _only_span(course: Course, kind: str, judged: Judgement) -> Span | None:
    spans = [span for span in course.spans if span.what == kind]
    if len(spans) == len(course.spans) == 1:
        return spans[0]
    judged.findings.append(f"expected one {kind}, found {[span.what for span in course.spans]}")
    return None


def _scenario(
    name: str,
    fault: Callable[[float, float], Fault],
    judge: Callable[[Course], Judgement],
    *,
    long: tuple[float, float, float],
    short: tuple[float, float, float],
) -> Scenario:
    """Make both forms: each from when it begins, how long it lasts, and how long the traffic."""

    def plan(at: float, seconds: float, traffic: float) -> Plan:
        return Plan(1, traffic, [fault(at, seconds)], name)

    return Scenario(plan(*long), plan(*short), judge)


_ALL = [
    _scenario(
        "redis_outage",
        lambda at, seconds: Fault(at, "redis_stop", seconds),
        judge_redis_outage,
        long=(25, 120, 170),
        short=(14, 15, 45),
    ),
    _scenario(
        "broker_outage",
        lambda at, seconds: Fault(at, "broker_kill", seconds),
        judge_broker_outage,
        long=(25, 60, 135),
        short=(14, 12, 55),
    ),
    _scenario(
        "rolling_restart",
        lambda at, _: Fault(at, "rolling_restart"),
        judge_rolling_restart,
        long=(25, 0, 110),
        short=(14, 0, 75),
    ),
    Scenario(draw_broker_plan(1), draw_broker_plan(1, SHORT_SECONDS), judge_three_brokers),
]
SCENARIOS: Mapping[str, Scenario] = {scenario.long.name: scenario for scenario in _ALL}
