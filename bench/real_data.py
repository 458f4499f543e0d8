"""Real data that ship in packages, replayed: alarms day by day, beside Evidently's and NannyML's.

    python bench/real_data.py [--only flights] [--no-peers] [--orders 8] [--seed 1] [--write]

Each set is replayed in its order, and with its rows in random orders, where nothing can drift; the
peers get the first of these. The last line is JSON. ``--write`` puts the tables into
docs/real-data.md.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from _detection_document import table
from _environments import ROOT
from _markers import replace_part
from _real_peers import Alarms, alarms_of_peers, prepare, versions
from _real_replay import Day, Replayed, replay
from _real_sets import SETS, RealSet, connection, folders, shuffle

DOCUMENT = ROOT / "docs" / "real-data.md"

#: One part of the document for each set.
BEGIN = "<!-- bench/real_data.py --write, {name}: begin -->"
END = "<!-- bench/real_data.py --write, {name}: end -->"

OURS = "tidegauge"


class Phase(NamedTuple):
    """Days of one kind: the share of them on which each tool has an alarm, and alerts sent."""

    name: str
    days: int
    shares: dict[str, float]
    sent: int

    def cells(self) -> list[str]:
        """Return it as text; alerts are by a month of 30 days too, as the budget is."""
        a_month = 30 * self.sent / self.days
        shares = map(_percent, self.shares.values())
        return [self.name, str(self.days), *shares, f"{self.sent} ({a_month:.2f} a month)"]


class Found(NamedTuple):
    """A set's days: which signals are in alarm by each tool's title, and what the product did."""

    replayed: Replayed
    alarms: dict[str, Alarms]

    def phase(self, name: str, chosen: Callable[[str], bool]) -> Phase:
        """Return what there was on the chosen days, of which there are some."""
        days = [day for day in self.replayed.days if chosen(day.day)]
        shares = {
            title: sum(bool(its.get(day.day)) for day in days) / len(days)
            for title, its in self.alarms.items()
        }
        return Phase(name, len(days), shares, sum(len(day.sent) for day in days))

    def signals(self, chosen: Callable[[str], bool]) -> dict[str, dict[str, float]]:
        """Return the share of the chosen days on which each signal is in alarm, by tool."""
        days = [day.day for day in self.replayed.days if chosen(day.day)]
        names = sorted(
            {name for its in self.alarms.values() for day in days for name in its.get(day, ())}
        )
        return {
            name: {
                title: sum(name in its.get(day, ()) for day in days) / len(days)
                for title, its in self.alarms.items()
            }
            for name in names
        }


def main() -> None:
    """Replay what was asked for and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", choices=SETS, help="one set")
    parser.add_argument("--no-peers", action="store_true", help="without the other packages")
    parser.add_argument("--orders", type=int, default=8, help="random orders, at least one")
    parser.add_argument("--seed", type=int, default=1, help="of the first random order")
    parser.add_argument("--write", action="store_true", help="put it into docs/real-data.md")
    options = parser.parse_args()
    began = time.monotonic()
    packages = folders()
    if not options.no_peers:
        prepare()
    result: dict[str, Any] = {"seed": options.seed}
    for name in [options.only] if options.only else SETS:
        real = SETS[name]
        events = connection(real, packages)
        profile = profile_of(real, events)
        found = _found(real, events, peers=not options.no_peers)
        controls = []
        for order in range(options.orders):
            shuffle(events, options.seed + order)
            controls.append(_found(real, events, peers=not (options.no_peers or order)))
        phases = [*_phases(real, found), _control(controls)]
        parts = report(real, found, phases, profile)
        print(f"\n## {name}\n\n" + "\n\n".join(parts), flush=True)
        result[name] = {
            it.name: {
                "days": it.days,
                "days_in_alarm": {title: round(its, 3) for title, its in it.shares.items()},
                "alerts_sent": it.sent,
            }
            for it in phases
        }
        if options.write:
            marks = BEGIN.format(name=name), END.format(name=name)
            inside = "\n\n".join(parts)
            DOCUMENT.write_text(replace_part(DOCUMENT.read_text(), *marks, f"\n{inside}\n"))
    print(json.dumps({**result, "seconds": round(time.monotonic() - began)}))


def _found(real: RealSet, events: Any, *, peers: bool) -> Found:
    replayed = replay(real, events)
    alarms: dict[str, Alarms] = {OURS: {day.day: list(day.alarms) for day in replayed.days}}
    if peers:
        alarms |= alarms_of_peers(real, events)
    return Found(replayed, alarms)


def profile_of(real: RealSet, events: Any) -> str:
    """Return the table by which a reader can check what has changed."""
    columns = ", ".join(real.profile.values())
    rows = events.execute(
        f"SELECT {real.period}, {columns} FROM events GROUP BY 1 ORDER BY 1"  # noqa: S608
    ).fetchall()
    texts = [[str(row[0]), *(_number(value) for value in row[1:])] for row in rows]
    return table([real.periods, *real.profile], texts)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _kinds(real: RealSet) -> dict[str, Callable[[str], bool]]:
    """Return how to tell the days before and after the documented drift."""
    at = real.drift
    if at is None:
        return {"all days": lambda day: True}
    return {f"before {at}": lambda day: day < at, f"from {at} on": lambda day: day >= at}


def _phases(real: RealSet, found: Found) -> list[Phase]:
    return [found.phase(name, chosen) for name, chosen in _kinds(real).items()]


def _control(controls: Sequence[Found]) -> Phase:
    """Return what there was with the rows in random orders, of the peers in the first."""
    each = [it.phase("rows in random order", lambda day: True) for it in controls]
    ours = sum(it.shares[OURS] * it.days for it in each) / sum(it.days for it in each)
    sent, days = sum(it.sent for it in each), sum(it.days for it in each)
    return Phase(each[0].name, days, {**each[0].shares, OURS: ours}, sent)


def report(real: RealSet, found: Found, phases: Sequence[Phase], profile: str) -> list[str]:
    """Return the parts of the document: tables, and a line about each."""
    tools = list(found.alarms)
    baseline = found.replayed.baseline
    reasons = ", ".join(f"`{it}`" for it in found.replayed.reasons) or "none"
    about = (
        f"Baseline: {baseline.rows:,} rows before {real.since}, {len(baseline.signals)} signals. "
        f"`{real.command()}` warns:"
    )
    warned = [f"- {text}" for text in found.replayed.warnings] or ["- nothing"]
    by_signal = [
        [name, signal, *map(_percent, shares.values())]
        for name, chosen in _kinds(real).items()
        for signal, shares in found.signals(chosen).items()
    ]
    days = [_line(day, found.alarms) for day in found.replayed.days]
    by_weekday = [
        "Share of the days with an alarm, by day of the week:",
        table(["", "days", *tools], list(_weekdays(found))),
    ]
    peers = f" ({versions()})" if len(tools) > 1 else ""
    return [
        f"{about}\n\n" + "\n".join(warned) + f"\n\nReasons in the budget: {reasons}.",
        f"The raw data by {real.periods}:",
        profile,
        f"Days with an alarm of any signal{peers}:",
        table(["", "days", *tools, "alerts sent by tidegauge"], [it.cells() for it in phases]),
        "Share of the days on which a signal is in alarm:",
        table(["", "signal", *tools], by_signal),
        *(by_weekday if real.weekly else ()),
        f"{real.chunks}:",
        table(["day", "events", OURS, "alerts sent", *tools[1:]], days),
    ]


def _weekdays(found: Found) -> Iterator[list[str]]:
    for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")):
        its = found.phase(name, lambda day, at=number: date.fromisoformat(day).weekday() == at)
        yield [name, str(its.days), *map(_percent, its.shares.values())]


def _percent(share: float) -> str:
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _line(day: Day, alarms: Mapping[str, Alarms]) -> list[str]:
    ours = ", ".join(f"{name} {told}".strip() for name, told in day.alarms.items())
    peers = [", ".join(its.get(day.day, ())) for title, its in alarms.items() if title != OURS]
    return [day.day, f"{day.events:,}", ours, ", ".join(day.sent), *peers]


if __name__ == "__main__":
    main()
