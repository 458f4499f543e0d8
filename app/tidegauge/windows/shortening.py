"""Reports that are too large for a record, without the details of the lesser drifts. Pure."""

from collections.abc import Iterator

import msgspec

from tidegauge.contract import ReportPart, SignalReport, WindowReport, encode

#: Signals in alarm of which the details are tried to be kept, the first by rank.
_DETAILED = (1_000, 300, 100, 30, 10, 0)


def shortened(report: WindowReport, most_bytes: int) -> WindowReport | None:
    """Return the report with the details of as many of its drifts as fit; None if none fits.

    Details are the counts, the change and the expectation of an evidence. Every signal stays, with
    its histogram, its figures and its surprise.
    """
    for candidate in _shorter(report):
        if len(encode(candidate)) <= most_bytes:
            return candidate
    return None


def _shorter(report: WindowReport) -> Iterator[WindowReport]:
    for detailed in _DETAILED:
        parts = [_with_details(part, detailed) for part in report.parts]
        yield msgspec.structs.replace(report, parts=parts)


def _with_details(part: ReportPart, detailed: int) -> ReportPart:
    signals = {
        name: signal if _rank(signal) <= detailed else _bare(signal)
        for name, signal in part.signals.items()
    }
    return msgspec.structs.replace(part, signals=signals)


def _rank(signal: SignalReport) -> float:
    change = signal.evidence.change if signal.evidence else None
    return change.rank if change else float("inf")


def _bare(signal: SignalReport) -> SignalReport:
    if signal.evidence is None:
        return signal
    bare = msgspec.structs.replace(signal.evidence, counts=None, change=None, expectation=None)
    return msgspec.structs.replace(signal, evidence=bare)
