"""What judges of scenarios share: what is amiss, what is usual, and who ended. Pure."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from chaos.plan.course import Course, spread

#: A report that comes this much later than undisturbed ones do is late: several flushes.
LATE_SECONDS = 3.0

#: Undisturbed, a report comes this soon after it was due: two flushes and a publication, on a busy
#: machine. If not, nothing can be said of what a disturbance adds.
CALM_SECONDS = 5.0


@dataclass
class Judgement:
    """What is amiss, in words, and what was measured."""

    findings: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)


def judge_no_restart(course: Course, judged: Judgement) -> None:
    """Judge that no worker ended."""
    judged.findings.extend(
        f"{number} workers of {role} ended by themselves or were found dead"
        for role, number in course.restarts.items()
        if number
    )


def judge_calm(course: Course, judged: Judgement) -> float | None:
    """Return the median delay before anything was disturbed, seconds."""
    calm, _ = course.split_delays()
    if not calm:
        judged.findings.append("no window was due before the disturbance: nothing to compare with")
        return None
    judged.measured["undisturbed_delay_seconds"] = spread(calm)
    usual = median(one.seconds for one in calm)
    if usual > CALM_SECONDS:
        judged.findings.append(
            f"reports came {usual:.1f} s after they were due before anything was disturbed, "
            f"expected {CALM_SECONDS:.0f} s at most: there is nothing to compare with"
        )
    return usual
