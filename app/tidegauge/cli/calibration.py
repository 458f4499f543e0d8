"""``tidegauge backtest --calibrate``: what the promise of false alarms was worth, in words."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from tidegauge.backtest import (
    AlarmCause,
    Calibration,
    ModelPromise,
    PromiseCount,
    SignalPromise,
    TriedRemedy,
)
from tidegauge.cli.printing import folding_table
from tidegauge.contract import counted, duration_text, figure, listed, moment, printable, utc_text
from tidegauge.windows import SURE_ROWS

#: Signals in the table, unless all are asked for; those that broke the promise come first.
_SIGNALS = 20

_VERDICTS = {
    "kept": "kept",
    "not_kept": "not kept",
    "too_little_history": "too little history",
}

_CREATE = "tidegauge baseline create --model {model} --version {version} --from FILE"


def exceptions(texts: Sequence[str], now: float) -> list[tuple[float, float]]:
    """Return the times of ``--except FROM/TO``; raises ``ValueError`` for what is none."""
    found = []
    for text in texts:
        begin, between, end = text.partition("/")
        if not between:
            raise ValueError(f"--except: found {text!r}, expected two times: FROM/TO")
        try:
            since, until = moment(begin, now), moment(end, now)
        except ValueError as error:
            raise ValueError(f"--except: {error}") from error
        if since >= until:
            raise ValueError(f"--except: found {text!r}, {begin} is not before {end}")
        found.append((since, until))
    return found


def show_calibration(found: Calibration, console: Console, *, everything: bool) -> None:
    """Print what each model and its signals were promised and had, why, and what would help."""
    console.print(
        f"{counted(found.windows, 'window')}, {utc_text(found.since)} to {utc_text(found.until)}"
    )
    for one in found.excepted:
        span = f"{utc_text(one.since)} to {utc_text(one.until)}"
        console.print(f"  without {counted(one.windows, 'window')} from {span}")
    others = "every other alarm" if found.excepted else "every alarm"
    console.print(
        f"  {others} counts as false: --except FROM/TO leaves out the time of a known drift"
    )
    for model in found.models:
        _show_model(model, console, None if everything else _SIGNALS)


def _show_model(model: ModelPromise, console: Console, most: int | None) -> None:
    shown = model.signals[:most]
    numbers = ("a month", "starts", "promised", "ratio", "95 %", "in alarm")
    table = folding_table("signal", *numbers, whole=numbers, right=numbers)
    for one in (model.promise, *shown):
        name = "all signals" if one.signal is None else printable(one.signal)
        table.add_row(name, *_cells(one.own))
        wider = _cells(one.wider) if one.wider != one.own else ()
        table.add_row(f"  {_VERDICTS[one.verdict]}", *wider)
    versions = ", ".join(map(printable, model.versions))
    console.print(
        f"\n{printable(model.model)} {versions}: {counted(model.slices, 'slice')}, windows of "
        f"{duration_text(model.window_seconds)}",
        highlight=False,
    )
    console.print(table)
    if len(shown) < len(model.signals):
        more = counted(len(model.signals) - len(shown), "more signal")
        console.print(f"{more}: --all shows them")
    for line in _lines(model):
        console.print(line, highlight=False)


def _cells(one: PromiseCount) -> tuple[str, ...]:
    return (
        figure(one.alarms_per_month),
        f"{one.starts:,}",
        figure(one.promised),
        figure(one.ratio),
        f"{figure(one.low)} to {figure(one.high)}",
        f"{figure(100 * one.in_alarm)}%",
    )


def _lines(model: ModelPromise) -> Iterator[str]:
    """Yield what the verdicts mean, why the promise was broken, and what would restore it."""
    signals = [model.promise, *model.signals]
    if model.reasons:
        yield f"not guaranteed, as the budget in the reports says: {', '.join(model.reasons)}"
    if any(it.verdict == "kept" for it in signals):
        yield (
            "kept: with 95 % certainty no more alarms start than a budget of "
            f"{figure(model.promise.wider.alarms_per_month)} a month promises, by which there is "
            "history enough"
        )
    if unknown := [it for it in signals if it.enough_windows is not None]:
        windows = max(it.enough_windows or 0 for it in unknown)
        time = duration_text(windows / model.slices * model.window_seconds)
        yield f"too little history: {counted(windows, 'window')}, {time}, would tell"
    if model.mostly:
        yield f"most of the windows in alarm are those of {listed(model.mostly)} alone"
    by_causes: dict[object, list[SignalPromise]] = {}
    for one in model.signals:
        if one.causes:
            key = tuple((it.kind, it.version, it.since, it.until) for it in one.causes)
            by_causes.setdefault(key, []).append(one)
    for same in by_causes.values():
        names = listed([it.signal or "" for it in same])
        longest = max(it.longest_alarm_windows for it in same) * model.window_seconds
        lasted = f"the longest alarm lasted {duration_text(longest)}" if longest else "no alarm yet"
        yield f"{printable(names)}: {lasted}"
        for at, cause in enumerate(same[0].causes):
            yield f"  why: {_why(cause, [it.causes[at] for it in same])}"
            if restore := _restore(cause, model.model):
                yield f"  restore: {restore}"
    for tried in model.remedies:
        yield f"tried: {_tried(tried)}"
    if model.no_budget_restores:
        yield "no alarms_per_month restores the promise: alarms last, or are too large"


def _why(cause: AlarmCause, same: Sequence[AlarmCause]) -> str:
    effect = figure(max(it.design_effect or 1.0 for it in same))
    explains = f"{100 * max(it.explains or 0.0 for it in same):.0f} %"
    windows = max(it.windows or 0 for it in same)
    between = f"from {utc_text(cause.since or 0)} to {utc_text(cause.until or 0)}"
    return {
        "clustering": f"counts vary up to {effect} times as much as those "
        "of independent events, whatever the length of time: several events of each user, session "
        "or device are alike",
        "dependent_windows": f"counts of 64 windows vary up to {effect} "
        "times as much as those of independent events, those of one window less: windows near each "
        "other are alike",
        "daily_cycle": f"the hour of the day explains {explains} of the variation",
        "weekly_cycle": f"the hour of the week explains {explains} of the variation",
        "shift": f"a change about {utc_text(cause.since or 0)} that stays: the baseline is "
        "outdated, if it was no problem of the data",
        "other_traffic": f"the windows {between} are alike, and not like the baseline",
        "small_baseline": f"the baseline has fewer than {SURE_ROWS:,} rows of it",
        "single_windows": f"most alarms start in {counted(windows, 'window')} unlike all others",
        "other_days": "windows differ from their hours by more than the baseline's days did",
        "unknown": "nothing in the counts of the windows tells",
    }[cause.kind]


def _restore(cause: AlarmCause, model: str) -> str:
    create = _CREATE.format(model=printable(model), version=printable(cause.version))
    between = f"{utc_text(cause.since or 0)} to {utc_text(cause.until or 0)}"
    return {
        "clustering": f"{create} --entity COL",
        "dependent_windows": f"{create} --time COL, with 14 days or more in FILE",
        "daily_cycle": f"{create} --time COL, with 14 days or more in FILE",
        "weekly_cycle": f"{create} --time COL, with four weeks in FILE",
        "shift": f"{create}, with rows of {between} in FILE",
        "other_traffic": f"{create}, with rows of {between} in FILE",
        "small_baseline": f"{create}, with {SURE_ROWS:,} rows or more in FILE",
        "single_windows": "a rule with for: 2 alerts only if the second window is in alarm too",
        "other_days": f"{create} --time COL, with the latest four weeks in FILE",
        "unknown": "",
    }[cause.kind]


def _tried(one: TriedRemedy) -> str:
    by_windows = (
        f"with the windows from {utc_text(one.since or 0)} to {utc_text(one.until or 0)} as "
        f"baseline of {listed(one.signals)}, after these"
    )
    what = {
        "design_effect": "with design effects of "
        + ", ".join(f"{figure(it)} for {name}" for name, it in one.design_effects.items())
        + (f", and {by_windows}" if one.signals else ""),
        "baseline": by_windows,
        "hours": f"with the hours of the day of the windows from {utc_text(one.since or 0)} to "
        f"{utc_text(one.until or 0)}, after these",
        "alarms_per_month": f"with alarms_per_month {figure(one.alarms_per_month)}",
    }[one.remedy]
    rows = [one.promise.own]
    if one.promise.wider != one.promise.own:
        rows.append(one.promise.wider)
    gave = "; ".join(
        f"{it.starts:,} starts of {figure(it.promised)} promised, {figure(it.ratio)} "
        f"({figure(it.low)} to {figure(it.high)}), at {figure(it.alarms_per_month)} a month"
        for it in rows
    )
    return printable(f"{what}: {gave}: {_VERDICTS[one.promise.verdict]}")
