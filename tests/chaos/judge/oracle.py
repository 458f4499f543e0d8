"""The oracle of the chaos suite: judges a whole run by the source topic alone.

Shares no line with the product. A run is EXACT, or something was LOST (an event, window, alert or
dead letter is missing), DUPLICATED (one was counted or raised twice) or WRONG (anything else).
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from chaos.judge.alerts import AlertJudge
from chaos.judge.findings import Findings, OutputRecord, Verdict
from chaos.judge.recount import Recounter, baseline_id
from chaos.judge.windows import WindowJudge
from chaos.site.topics import number_by_id, partition_name
from chaos.source import Bad, Source, SourceRecord, read_source

__all__ = ["OutputRecord", "Verdict", "judge_run"]


class Letter(msgspec.Struct):
    """A dead letter, as far as it is judged."""

    partition: int
    offset: int
    row: int | None
    reason: str
    payload: str | None
    payload_encoding: Literal["utf-8", "base64"] | None
    payload_bytes: int
    topic_id: str = ""
    #: Of an alert that was not delivered; judged with what was (``chaos.judge.deliveries``).
    receiver: str | None = None


def judge_run(
    source: Iterable[SourceRecord],
    outputs: Mapping[str, list[OutputRecord]],
    baselines: Mapping[tuple[str, str], list[dict[str, Any]]],
    faults: list[tuple[float, str]],
    window_seconds: int,
    *,
    max_ahead_seconds: float = 60.0,
    due: float = math.inf,
    is_live: bool = False,
    topic_ids: Sequence[str] = (),
) -> Verdict:
    """Judge everything that a run of the product has put out.

    ``source`` is every record of the predictions topic as (partition, offset, Kafka's timestamp in
    ms, value). ``outputs`` holds the committed records of ``windows``, ``alerts``, ``actions``,
    ``audit_facts`` and ``dead_letters``. ``baselines`` has, by model and version, every document
    that was ever promoted, as ``tidegauge baseline show --json`` prints it. ``faults`` are (when
    it began in epoch seconds, what). The run must have used judged_rules.yaml and a settled end:
    what the product would still have reported counts as lost, but for windows that begin at ``due``
    or later. If the traffic ``is_live``, no window may be reported before its end. ``topic_ids``
    are those of the topics that the source has been; partitions are ``numbered`` by them.

    Raises ``ValueError`` if the source can't be judged: see ``read_source``.
    """
    by_id = {baseline_id(one): one for documents in baselines.values() for one in documents}
    findings = Findings(faults)
    read = read_source(
        source,
        _kinds(by_id),
        window_seconds=window_seconds,
        max_ahead_seconds=max_ahead_seconds,
    )
    if not read.events:
        findings.add("WRONG", "there is no sound event in the source: nothing was judged", at=0.0)
    _judge_dead_letters(read, outputs["dead_letters"], topic_ids, findings)
    windows = WindowJudge(
        Recounter(read), by_id, window_seconds, findings, due, is_live=is_live, topic_ids=topic_ids
    )
    windows.judge(outputs["windows"])
    AlertJudge(windows, by_id, findings).judge(outputs)
    summary = {
        "dead_letters": len(read.bad),
        **{name: findings.counts[name] for name in _SUMMARY},
        **{kind.lower(): number for kind, number in findings.by_kind().items()},
    }
    return Verdict(findings.lines(), read.events, len(read.windows), summary)


#: What the summary counts of the product's output.
_SUMMARY = (
    "reports",
    "binned_windows",
    "mixed_reports",
    "windows_judged_late",
    "figures_too_close",
    "alerts",
    "actions",
    "sent_again",
)


def _kinds(baselines: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return every signal that some baseline names, with its kind."""
    kinds: dict[str, str] = {}
    for baseline in baselines.values():
        for name, signal in baseline["signals"].items():
            if kinds.setdefault(name, signal["kind"]) != signal["kind"]:
                raise ValueError(f"signal {name} is numeric in one baseline and not in another")
    return kinds


def _judge_dead_letters(
    source: Source,
    records: list[OutputRecord],
    topic_ids: Sequence[str],
    findings: Findings,
) -> None:
    """Every bad record must have one dead letter, and no other record any."""
    decoder = msgspec.json.Decoder(Letter)
    seen: set[tuple[int, int]] = set()
    for record in sorted(records, key=lambda it: (it.partition, it.offset)):
        at = record.timestamp_ms / 1000
        try:
            letter = decoder.decode(record.value)
        except msgspec.DecodeError as error:
            findings.add("WRONG", f"a dead letter can't be read: {error}", at=at)
            continue
        if letter.receiver is not None:
            continue
        number = number_by_id(letter.partition, letter.topic_id, topic_ids)
        if number is None:
            findings.add("WRONG", f"a dead letter is of topic {letter.topic_id!r}", at=at)
            continue
        origin = number, letter.offset
        name = f"dead letter of {partition_name(origin[0])} offset {origin[1]}"
        bad = source.bad.get(origin)
        if bad is None:
            findings.add("WRONG", f"{name} ({letter.reason}): there is no bad record", at=at)
            continue
        if origin in seen:
            findings.add("DUPLICATED", f"{name} was sent again", at=at)
        elif said := _misstated(letter, bad):
            findings.add("WRONG", f"{name}: {said}", at=at)
        seen.add(origin)
    for origin in source.bad.keys() - seen:
        bad = source.bad[origin]
        name = f"dead letter of {partition_name(origin[0])} offset {origin[1]} ({bad.reason})"
        findings.add("LOST", f"{name} was never sent", at=bad.timestamp_ms / 1000)


def _misstated(letter: Letter, bad: Bad) -> str | None:
    """Say what a dead letter says wrongly of its record, which it may leave out or cut off."""
    if letter.row is not None:
        return f"row {letter.row} of what is no batch"
    if letter.reason != bad.reason:
        return f"reason {letter.reason} instead of {bad.reason}"
    if letter.payload_bytes != len(bad.value):
        return f"{letter.payload_bytes} bytes instead of {len(bad.value)}"
    if letter.payload is None:
        return None
    try:
        if letter.payload_encoding == "base64":
            payload = base64.b64decode(letter.payload, validate=True)
        else:
            payload = letter.payload.encode()
    except ValueError as error:
        return f"its payload can't be read: {error}"
    return None if bad.value.startswith(payload) else "its payload is not that of the record"
