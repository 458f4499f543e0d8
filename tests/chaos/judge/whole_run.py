"""A whole run, judged by all judges: of the source, of what came of it, and of what was said.

They share nothing with what runs but the topics.
"""

import json
from collections.abc import Callable, Iterator

from chaos.judge.after_counting import judge_after, said
from chaos.judge.findings import Findings
from chaos.judge.labels import Predictions, expect
from chaos.judge.oracle import OutputRecord, judge_run
from chaos.judge.outcomes import Counted as CountedLabels, judge_labels
from chaos.judge.reading import Outputs, read_source
from chaos.judge.recount import baseline_id
from chaos.judge.recreation import Counted, counted_by_topic, judge_recreation
from chaos.judge.results import Result
from chaos.labels import LABELLED, PARTITIONS
from chaos.plan.faults import SOURCE_PARTITIONS, WINDOW_SECONDS
from chaos.site.cluster import MAX_AHEAD_SECONDS, Cluster
from chaos.site.inject import Injector
from chaos.site.losses import SOURCE_LOST, Losses
from chaos.site.poison import judge_poison, without_answers
from chaos.site.topics import numbered
from chaos.source import SourceRecord, read_source as sort_source
from chaos.traffic import last_due
from support.processes import wait_until


def learn_what_was_counted(
    cluster: Cluster, due: float, seconds: float, check: Callable[[], None]
) -> tuple[int, list[str]]:
    """Note how far topics that are gone were counted; return how many events are gone with them.

    Those are of windows that begin before ``due``. And say what is amiss: in ``seconds`` every
    partition of the present one must be counted. ``check`` is called meanwhile and may raise.
    """
    if not cluster.deleted:
        return 0, []
    present, histograms = cluster.source_ids[-1], cluster.installation.topic("histograms")
    known: dict[str, dict[int, Counted]] = {}

    def all_are_counted() -> bool:
        # Only then is nothing of the old ones counted any more.
        check()
        known.update(counted_by_topic(cluster.broker, histograms))
        return len(known.get(present, ())) >= cluster.partitions()

    findings: list[str] = []
    events = 0
    what = f"every partition of the topic {present}, made again, is counted"
    try:
        wait_until(all_are_counted, seconds=seconds, what=what)
    except AssertionError as error:
        findings.append(f"LOST: {error}")
    for one in cluster.deleted:
        one.counted = known.get(one.topic_id, {})
        cluster.poison.forget_uncounted(one)
        lost = sort_source(
            cluster.poison.without_own(one.uncounted()),
            {},
            window_seconds=WINDOW_SECONDS,
            max_ahead_seconds=MAX_AHEAD_SECONDS,
        )
        events += sum(to - start for (_, at), (start, to) in lost.windows.items() if at < due)
    return events, findings


def judge(
    cluster: Cluster,
    outputs: Outputs,
    counted: CountedLabels,
    injector: Injector,
    losses: Losses,
    result: Result,
) -> None:
    """Hold what a run has left against what was sent; what is amiss goes to the result."""
    assert result.sent is not None
    read, poison = 0, cluster.poison
    predictions = Predictions()

    def source() -> Iterator[SourceRecord]:
        nonlocal read
        for record in poison.without_own(_every_topic(cluster)):
            read += 1
            predictions.take(record)
            yield record

    records = {
        kind: [OutputRecord(m.partition(), m.offset(), m.timestamp()[1], m.value()) for m in found]
        for kind, found in outputs.messages.items()
    }
    for kind in ("alerts_history", "audit_facts"):
        records[kind] = poison.without(kind, records[kind])
    records["dead_letters"], answers = without_answers(
        poison, cluster.installation, records["dead_letters"], cluster.source_ids
    )
    of_labels, records["dead_letters"] = _apart(cluster, records["dead_letters"])
    verdict = judge_run(
        source(),
        records,
        cluster.baselines,
        injector.done,
        WINDOW_SECONDS,
        max_ahead_seconds=MAX_AHEAD_SECONDS,
        due=last_due(result.sent.ended),
        is_live=True,
        topic_ids=cluster.source_ids,
    )
    after = judge_after(records, cluster.deliveries, injector.done)
    read += sum(1 for one in cluster.deleted for _ in poison.without_own(one.uncounted()))
    if read != result.sent.sent:
        result.findings.append(
            f"the source holds {read:,} records, but {result.sent.sent:,} were delivered to it"
        )
    result.findings += verdict.findings + after.lines()
    labels = _judge_labels(
        cluster, predictions, counted, of_labels, records["performance"], injector
    )
    result.findings += labels.lines()
    sent, there = result.sent.labels, labels.counts["labels"] - PARTITIONS
    if there != sent:
        result.findings.append(f"there are {there:,} labels, but {sent:,} were delivered")
    logs = [slot.log for slot in cluster.supervisor.slots]
    result.findings += judge_poison(
        poison, cluster.installation, answers, records["audit"], logs, cluster.source_ids
    )
    for one in cluster.deleted:
        result.findings += judge_recreation(
            one, cluster.source, SOURCE_PARTITIONS, logs, losses.said(SOURCE_LOST)
        )
    if not (verdict.exact or verdict.findings):
        result.findings.append(f"not exact, for no reason given: {verdict}")
    result.events = verdict.events
    result.summary = f"{verdict}; {said(after)}; {said(labels)}"
    result.summary += "".join(
        f"; {one.unread:,} records of a deleted topic were never counted" for one in cluster.deleted
    )


def _apart(
    cluster: Cluster, letters: list[OutputRecord]
) -> tuple[list[OutputRecord], list[OutputRecord]]:
    """Return the dead letters of labels, and the others."""
    found: tuple[list[OutputRecord], list[OutputRecord]] = ([], [])
    topic = cluster.installation.topic("labels")
    for letter in letters:
        found[json.loads(letter.value)["topic"] != topic].append(letter)
    return found


def _judge_labels(
    cluster: Cluster,
    predictions: Predictions,
    counted: CountedLabels,
    letters: list[OutputRecord],
    reports: list[OutputRecord],
    injector: Injector,
) -> Findings:
    findings = Findings(injector.done)
    topic = cluster.installation.topic("labels")
    labels = (
        record
        for record in read_source(cluster.broker, topic)
        if not cluster.poison.has("labels", record[0], record[1])
    )
    baselines = {
        baseline_id(document)
        for (model, _), documents in cluster.baselines.items()
        for document in documents
        if model in LABELLED
    }
    expected = expect(predictions, labels)
    judge_labels(expected, counted, letters, reports, baselines, findings)
    return findings


def _every_topic(cluster: Cluster) -> Iterator[SourceRecord]:
    """Yield what must be accounted for, by the numbers of partitions, of every source there was."""
    for one in cluster.deleted:
        yield from one.to_judge()
    for partition, *rest in read_source(cluster.broker, cluster.source):
        yield (numbered(partition, len(cluster.deleted)), *rest)
