"""What is judged of a run on three brokers beside exactness: delays, and that no worker ends. Pure.

That ``/readyz`` names the topics that can't be written is looked at while it is so
(``chaos.site.inject``).
"""

from collections.abc import Sequence

from chaos.judge.judgement import LATE_SECONDS, Judgement, judge_calm, judge_no_restart
from chaos.plan.course import ON_ITS_WAY_SECONDS, Course, Delay, Span, spread

#: The loss of one broker of three may delay a report by so much.
ONE_BAR_SECONDS = 10.0


def judge_three_brokers(course: Course) -> Judgement:
    """Judge that one broker's loss delays no report by more than the bar, and two end nothing."""
    judged = Judgement()
    judge_no_restart(course, judged)
    calm = judge_calm(course, judged)
    if calm is None:
        return judged
    away = [span for span in course.spans if span.what == "brokers_away"]
    lost = [span for span in course.spans if span.what != "brokers_away"]
    if len(away) != 1 or not lost:
        judged.findings.append(f"expected losses of one and of two, found {_kinds(course.spans)}")
        return judged
    _, disturbed = course.split_delays()
    (two,) = away
    one = [it for it in disturbed if it.due + ON_ITS_WAY_SECONDS < two.asked]
    _judge_one_loss(course, one, lost, calm, judged)
    _judge_two_away(disturbed, two, calm, judged)
    return judged


def _judge_one_loss(
    course: Course, due: Sequence[Delay], lost: Sequence[Span], calm: float, judged: Judgement
) -> None:
    if not due:
        judged.findings.append("no window was due while one broker was away")
        return
    for span in lost:
        # What a loss delays was due after it, or on its way; what follows the next is that one's.
        later = [other.asked for other in lost if other.asked > span.asked]
        until = min(later, default=max(it.due for it in due) + 1)
        own = [it for it in due if span.asked - ON_ITS_WAY_SECONDS <= it.due < until]
        if own:
            worst = max(it.seconds for it in own) - calm
            losses = judged.measured.setdefault("one_loss_added_seconds", {})
            losses[f"{span.what} at {span.asked - course.began:.0f} s"] = round(worst, 1)
    for one in due:
        if one.seconds - calm > ONE_BAR_SECONDS:
            judged.findings.append(
                f"{one.report} came {one.seconds:.1f} s after it was due, "
                f"{one.at - course.began:.1f} s into the traffic; undisturbed it takes "
                f"{calm:.1f} s, and the loss of one broker may add {ONE_BAR_SECONDS:.0f} s"
            )
    judged.measured["one_loss_delay_seconds"] = spread(due)


def _judge_two_away(due: Sequence[Delay], two: Span, calm: float, judged: Judgement) -> None:
    late = [it for it in due if it.due > two.asked and it.seconds > calm + LATE_SECONDS]
    in_time = [it for it in due if it.due > two.back and it not in late]
    if not in_time:
        judged.findings.append("no window that was due after the brokers' return was in time")
    last = max((it.due for it in due), default=0.0)
    judged.findings.extend(
        f"{it.report}, the last, was still late: {it.seconds:.1f} s"
        for it in late
        if it.due == last
    )
    judged.measured["two_away_seconds"] = round(two.back - two.began, 1)
    judged.measured["in_time_again_after_seconds"] = round(
        max((it.at - two.back for it in late), default=0.0), 1
    )


def _kinds(spans: Sequence[Span]) -> list[str]:
    return [span.what for span in spans]
