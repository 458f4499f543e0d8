"""Events a second of tidegauge's ingest and of what a user would pick instead, side by side.

A real broker, one topic for all, the same work: histograms of every signal in windows of 60 s of
event time. Each contestant runs in a process and an environment of its own, one after the other,
round by round; its counts must equal numpy's before its time counts. Figures are medians, over the
stretch of the stream after the first 40 %, which warms everybody up.

    python bench/compare.py [--quick] [--runs 5] [--workload small] [--json] [--write]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from _arena import Arena, arena
from _contestants import MAIN, PROGRAMME, QUICK, QUICKEST, Contestant, Run
from _document import Row, Section, as_text, summary, write
from _environments import UnavailableError
from _fill import Filled
from _tally import Figures, TooShortError, longer, medians
from _workload import Workload

QUICK_RUNS, RUNS = 3, 5

OPTIONAL = {c.title for _, contestants in PROGRAMME.values() for c in contestants if c.optional}


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    workloads: Sequence[tuple[Workload, Sequence[Contestant]]]
    runs: int
    #: Whether a workload may be made longer, so that a quick machine has enough to do.
    may_grow: bool
    as_json: bool
    write: bool


def main() -> int:
    """Run what was asked for, print it, and write it down if that was asked for too."""
    options = parse(sys.argv[1:])
    runners, missing = prepare(options)
    sections = []
    with arena() as at:
        for workload, contestants in options.workloads:
            taking_part = [c for c in contestants if c.name in runners]
            if options.may_grow:
                workload = long_enough(at, workload, taking_part, runners)
            sections.append(contest(at, workload, taking_part, runners, options.runs))
    if not options.as_json:
        print(as_text(sections))
    for title, why in missing.items():
        print(f"not run: {title}: {why}", file=sys.stderr)
    if options.write:
        write(sections, missing, command=" ".join(["python", "bench/compare.py", *sys.argv[1:]]))
    print(json.dumps(summary(sections, missing)))
    return 0 if all(title in OPTIONAL for title in missing) else 1


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="the main rows, in some ten minutes")
    parser.add_argument("--runs", type=int, help=f"of each (default {RUNS}, quick {QUICK_RUNS})")
    parser.add_argument("--workload", action="append", choices=list(PROGRAMME))
    names = sorted({c.name for _, contestants in PROGRAMME.values() for c in contestants})
    parser.add_argument("--contestant", action="append", choices=names)
    parser.add_argument(
        "--events",
        type=int,
        help="of each workload (default: its own number, more of them if a first run is too short)",
    )
    parser.add_argument("--json", action="store_true", help="nothing but the last line")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md, with plot")
    given = parser.parse_args(arguments)
    workloads = []
    for name in given.workload or ([MAIN] if given.quick else PROGRAMME):
        workload, contestants = PROGRAMME[name]
        if given.quick:
            contestants = tuple(c for c in contestants if c in QUICK)
        if given.contestant:
            contestants = tuple(c for c in contestants if c.name in given.contestant)
        if contestants:
            events = given.events or workload.events
            workloads.append((workload.with_events(events), contestants))
    if not workloads:
        parser.error("none of these contestants takes part in any of these workloads")
    runs = given.runs or (QUICK_RUNS if given.quick else RUNS)
    return Options(workloads, runs, given.events is None, given.json, given.write)


def prepare(options: Options) -> tuple[dict[str, Run], dict[str, str]]:
    """Build every environment; return what runs each contestant, and who can't be run and why."""
    runners: dict[str, Run] = {}
    missing: dict[str, str] = {}
    for contestant in {c.name: c for _, cs in options.workloads for c in cs}.values():
        try:
            runners[contestant.name] = contestant.prepare()
        except UnavailableError as error:
            missing[contestant.title] = str(error)
    return runners, missing


def long_enough(
    at: Arena, workload: Workload, contestants: Sequence[Contestant], runners: dict[str, Run]
) -> Workload:
    """Return the workload, with more events if a first run by the quickest of ours is too short."""
    ours = next((c for c in contestants if c.name in QUICKEST), None)
    if ours is None:
        return workload
    while True:
        say(f"{workload.title}: a first run of {workload.events:,} events")
        filled = at.fill(workload)
        try:
            found = runners[ours.name](at, filled)
        except TooShortError:
            found = None
        finally:
            at.delete(filled)
        times = longer(found)
        if times <= 1:
            return workload
        workload = workload.with_events(times * workload.events)
        if found is not None:
            return workload


def contest(
    at: Arena,
    workload: Workload,
    contestants: Sequence[Contestant],
    runners: dict[str, Run],
    runs: int,
) -> Section:
    """Run every contestant ``runs`` times on a workload; return the medians."""
    filled: dict[int, Filled] = {}
    for events in sorted({c.events(workload) for c in contestants}):
        say(f"{workload.title}: writing {events:,} events")
        filled[events] = at.fill(workload.with_events(events))
    found: dict[str, list[Figures]] = {c.name: [] for c in contestants}
    # Round by round: a slow minute of the machine is then everybody's.
    for number in range(runs):
        for contestant in contestants:
            figures = runners[contestant.name](at, filled[contestant.events(workload)])
            found[contestant.name].append(figures)
            say(f"  {number + 1}/{runs} {contestant.title}: {figures.per_second:,.0f}/s")
    for topic in filled.values():
        at.delete(topic)
    rows = [
        Row(c.name, c.title, c.events(workload), medians(found[c.name]), found[c.name])
        for c in contestants
    ]
    size = filled[max(filled)].bytes_per_event
    return Section(workload.name, workload.title, size, workload.compression, runs, rows)


def say(text: str) -> None:
    """Report progress; the output is for results."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
