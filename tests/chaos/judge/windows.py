"""Every window report against the source: each revision of each, recounted in its own ranges."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from chaos.judge.findings import Copies, Findings, Kind, OutputRecord, read_output
from chaos.judge.recount import FIXED, Recounter, Rows, differences, signals_of, total
from chaos.judge.reports import Closed, Counts, Part, Report, window_name
from chaos.site.topics import number_by_id
from chaos.source import SliceName, WindowKey
from support.oracle import Histogram

Baselines = Mapping[str, Mapping[str, Any]]  # by id
Ranges = list[tuple[int, int, int]]  # partition, from, to


class WindowJudge:
    """Judges the windows topic; afterwards ``closed`` and ``reported_at`` are for other judges."""

    def __init__(
        self,
        recounter: Recounter,
        baselines: Baselines,
        window_seconds: int,
        findings: Findings,
        due: float,
        *,
        is_live: bool,
        topic_ids: Sequence[str] = (),
    ) -> None:
        """Windows that begin at ``due`` or later need not be reported.

        If the traffic ``is_live``, none may be before its end.
        """
        self._topic_ids = topic_ids
        self._is_live = is_live
        self._recounter = recounter
        self._source = recounter.source
        self._baselines = baselines
        self._window_seconds = window_seconds
        self._findings = findings
        self._due = due
        #: By slice, the first reports of its windows in the order in which they appeared.
        self.closed: dict[SliceName, list[Closed]] = defaultdict(list)
        #: By slice, all reports of its windows, with those of late events.
        self.reported: dict[SliceName, list[Closed]] = defaultdict(list)
        self._reported_at: dict[WindowKey, float] = {}

    def reported_at(self, window: WindowKey) -> float:
        """Return when a window was first reported, epoch seconds; its end if it never was."""
        return self._reported_at.get(window, float(window[1] + self._window_seconds))

    def judge(self, records: list[OutputRecord]) -> None:
        """Judge every report of the topic."""
        copies = read_output(records, Report, "report", self._findings)
        revisions: dict[WindowKey, dict[int, Copies[Report]]] = defaultdict(dict)
        for one in copies.values():
            report = one.contents[0]
            at = one.first.timestamp_ms / 1000
            self._reported_at[report.window] = min(at, self._reported_at.get(report.window, at))
            if report.revision in revisions[report.window]:
                self._findings.add("DUPLICATED", f"report of {report} under two ids", at=at)
            revisions[report.window].setdefault(report.revision, one)
        for window in self._source.windows.keys() - revisions.keys():
            if window[1] < self._due:
                self._never_reported(window)
        for one in copies.values():
            for report in one.contents:
                self._judge_report(report, one)
        for window, by_revision in revisions.items():
            self._judge_revisions(window, by_revision)
        self._check_binned()
        self._findings.count("reports", len(copies))

    def _never_reported(self, window: WindowKey) -> None:
        rows = self._recounter.all_rows(window)
        self._say(
            "LOST",
            window,
            f"{window_name(window)} was never reported: {self._recounter.describe(rows)}",
        )

    def _judge_revisions(self, window: WindowKey, found: dict[int, Copies[Report]]) -> None:
        name = window_name(window)
        missing = sorted(set(range(max(found))) - found.keys())
        if missing:
            self._say("LOST", window, f"{name} has revision {max(found)} but none of {missing}")
        if window not in self._source.windows:
            return
        last = found[max(found)].contents[0]
        others = self._recounter.others(window, self._rows(last))
        if len(others):
            where = self._recounter.describe(others)
            self._say("LOST", window, f"{last}, the last, left out {where}")

    def _rows(self, report: Report) -> Rows:
        return self._recounter.rows(report.window, self._counted(report))

    def _counted(self, report: Report) -> Ranges:
        """Return where a report counted; what it says of a topic that never was is left out."""
        found = []
        for its in report.counted:
            number = number_by_id(its.partition, its.topic_id, self._topic_ids)
            if number is not None:
                found.append((number, its.start, its.to))
        return sorted(found)

    # -- one report ------------------------------------------------------------------------------

    def _judge_report(self, report: Report, copies: Copies[Report]) -> None:
        if report.window not in self._source.windows:
            self._wrong(report, "there is no event of this window in the source")
            return
        if report.segment or report.window_end != report.window_start + self._window_seconds:
            self._wrong(report, f"segment {report.segment}, end {report.window_end}")
        rows = self._rows(report)
        self._check_ranges(report)
        whole = self._judge_totals(report, rows)
        # A window that counts other events differs in every histogram; once is enough to say so.
        comparable = report.events == len(rows)
        if len(report.parts) == 1 and self._is_known(report, report.parts[0]):
            parts = [self._recounted(report.parts[0], rows)]
            if comparable:
                self._compare(report, report.parts[0], parts[0].signals)
        else:
            self._findings.count("mixed_reports")
            parts = [self._as_reported(report, part, rows) for part in report.parts]
            if comparable:
                self._add_up(report, rows)
        if report is not copies.contents[0]:
            return
        closed = Closed(report, copies.first, parts, whole["latency_ms"])
        self.reported[report.window[0]].append(closed)
        if report.revision == 0:
            if any(part.baseline for part in report.parts):
                self._findings.count("binned_windows")
            self._close(closed)

    def _check_ranges(self, report: Report) -> None:
        topics = {counted.topic for counted in report.counted}
        ranges = self._counted(report)
        if len(ranges) < len(report.counted):
            ids = sorted({counted.topic_id for counted in report.counted})
            self._wrong(report, f"counted in topics {ids}, and there are {[*self._topic_ids]}")
        if len(topics) > 1:
            self._wrong(report, f"counted in several topics: {sorted(topics)}")
        if any(a[0] == b[0] and b[1] < a[2] for a, b in pairwise(ranges)):
            self._wrong(report, f"the ranges counted overlap: {ranges}")

    def _judge_totals(self, report: Report, rows: Rows) -> dict[str, Histogram]:
        """Judge what does not depend on a baseline; return it as counted again."""
        whole = self._recounter.histograms(rows, None, "")
        of = f"{len(rows)} events in its ranges"
        if report.events < len(rows):
            self._say("LOST", report.window, f"{report} counts {report.events} of {of}")
        elif report.events > len(rows):
            self._say("DUPLICATED", report.window, f"{report} counts {report.events}, not {of}")
        errors = whole["status"].counts[1]
        if report.errors != errors:
            self._wrong(report, f"errors {report.errors} instead of {errors}")
        events = sum(part.events for part in report.parts)
        if events != report.events:
            self._wrong(report, f"parts add up to {events} events instead of {report.events}")
        if len({part.baseline for part in report.parts}) < len(report.parts):
            self._wrong(report, "two parts have the same baseline")
        return whole

    def _is_known(self, report: Report, part: Part) -> bool:
        if not part.baseline:
            return True
        baseline = self._baselines.get(part.baseline)
        if (
            baseline is not None
            and (baseline["model"], baseline["version"]) == report.window[0][:2]
        ):
            return True
        self._wrong(report, f"no baseline {part.baseline} was ever promoted for its model")
        return False

    def _recounted(self, part: Part, rows: Rows) -> Counts:
        baseline = self._baselines.get(part.baseline)
        return Counts(
            part.baseline,
            len(rows),
            self._recounter.histograms(rows, baseline, part.baseline),
        )

    def _compare(self, report: Report, part: Part, expected: dict[str, Histogram]) -> None:
        if not self._same_signals(report, part, expected.keys()):
            return
        for name, histogram in expected.items():
            said = differences(part.signals[name].histogram, histogram)
            if said:
                self._wrong(report, f"{name}: {'; '.join(said)}")

    def _same_signals(self, report: Report, part: Part, expected: Any) -> bool:
        if part.signals.keys() == set(expected):
            return True
        self._wrong(report, f"signals {sorted(part.signals)} instead of {sorted(expected)}")
        return False

    # -- a report of several parts, or of a baseline that nobody knows -----------------------------

    def _as_reported(self, report: Report, part: Part, rows: Rows) -> Counts:
        """Take a part at its word after what can be checked: the source can't tell parts apart."""
        signals = {name: signal.histogram for name, signal in part.signals.items()}
        for name, histogram in signals.items():
            if histogram.events != part.events:
                self._wrong(
                    report, f"{name} has {histogram.events} of {part.events} events of its part"
                )
        if len(report.parts) > 1 and self._is_known(report, part):
            expected = signals_of(self._baselines.get(part.baseline))
            if self._same_signals(report, part, expected.keys()):
                self._fits(report, signals, self._recounted(part, rows).signals)
        return Counts(part.baseline, part.events, signals)

    def _fits(
        self, report: Report, signals: dict[str, Histogram], most: dict[str, Histogram]
    ) -> None:
        """No bin of a part can hold more than the window has there."""
        for name, histogram in signals.items():
            whole = most[name]
            if len(histogram.counts) != len(whole.counts):
                self._wrong(report, f"{name}: {len(histogram.counts)} bins in a part")
            elif any(a > b for a, b in zip(histogram.counts, whole.counts, strict=True)):
                self._wrong(
                    report, f"{name}: {histogram.counts} in a part of a window of {whole.counts}"
                )

    def _add_up(self, report: Report, rows: Rows) -> None:
        """Whatever is counted in every part adds up to the window; bins do so if they are fixed."""
        if not report.parts:
            return
        first = report.parts[0].baseline
        whole = self._recounter.histograms(rows, self._baselines.get(first), first)
        for name, expected in whole.items():
            parts = [p.signals[name].histogram for p in report.parts if name in p.signals]
            if len(parts) < len(report.parts):
                continue  # a part without a baseline, or said already
            found = total(parts)
            if name not in FIXED:
                found.counts, expected.counts = [sum(found.counts)], [sum(expected.counts)]
            said = differences(found, expected)
            if said:
                self._wrong(report, f"{name} over all parts: {'; '.join(said)}")

    # -- order and effort --------------------------------------------------------------------------

    def _close(self, closed: Closed) -> None:
        """Note that a window closed; it may close after a later one only if it opened after it."""
        where, start = closed.report.window
        early = closed.report.window_end - closed.first.timestamp_ms / 1000
        if self._is_live and early > 0:
            self._wrong(closed.report, f"was reported {early:.1f} s before its end")
        for other in self.closed[where]:
            if other.report.window_start > start:
                before = self._recounter.rows(
                    closed.report.window, [(p, 0, to) for p, _, to in self._counted(other.report)]
                )
                if len(before):
                    self._wrong(
                        closed.report,
                        f"closed after {other.report.window_start}, which had already counted past "
                        f"events of it: {self._recounter.describe(before)}",
                    )
        self.closed[where].append(closed)

    def _check_binned(self) -> None:
        """Refuse a run in which a baseline was promoted and never used: nothing was tested."""
        for name in {(b["model"], b["version"]) for b in self._baselines.values()}:
            closed = [one for where, all_ in self.closed.items() if where[:2] == name
                      for one in all_]  # fmt: skip
            if closed and not any(counts.baseline for one in closed for counts in one.parts):
                self._wrong(closed[-1].report, "no window of the model was binned by a baseline")

    def _wrong(self, report: Report, what: str) -> None:
        self._say("WRONG", report.window, f"{report}: {what}")

    def _say(self, kind: Kind, window: WindowKey, what: str) -> None:
        self._findings.add(kind, what, at=self.reported_at(window))
