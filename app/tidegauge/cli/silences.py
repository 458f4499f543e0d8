"""``tidegauge alerts silence``, ``silences``, ``unsilence`` and ``ack``."""

import glob
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
import typer
from rich.console import Group

from tidegauge.cli.command import (
    SkippedRecords,
    actor_or_user,
    kafka_settings,
    only,
    reported,
    skipping,
)
from tidegauge.cli.printing import (
    PlainConsole,
    echo,
    echo_json,
    folding_table,
    plain,
    short,
    table_time,
)
from tidegauge.config import Settings
from tidegauge.contract import (
    Alert,
    Matchers,
    Silence,
    Silences,
    counted,
    covers,
    deterministic_id,
    duration,
    duration_text,
    encode,
    in_force,
    matchers_text,
    utc_text,
    with_subject,
)
from tidegauge.kafka import RecordWriter, read_topic

#: The topic of silences keeps a record for a year.
_LONGEST_SECONDS = 180 * 24 * 3600.0

ActorOption = Annotated[str, typer.Option(help="Who does it; you, if left out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The record as it was sent.")]


@reported
def silence(
    reason: Annotated[str, typer.Option(help="For those who wonder later.")],
    rule: Annotated[str, typer.Option(help="A glob, as in drift-*.")] = "*",
    model: Annotated[str, typer.Option(help="A glob.")] = "*",
    version: Annotated[str, typer.Option(help="A glob.")] = "*",
    variant: Annotated[str, typer.Option(help="A glob; '' is traffic without one.")] = "*",
    segment: Annotated[str, typer.Option(help="A glob, as in region=*; '' is all traffic.")] = "*",
    signal: Annotated[str, typer.Option(help="A glob.")] = "*",
    severity: Annotated[str, typer.Option(help="A glob.")] = "*",
    episode: Annotated[str, typer.Option(help="One alert, by its id or its episode.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every alert there is.")] = False,
    lasting: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")] = "2h",
    actor: ActorOption = "",
    json: JsonOption = False,
) -> None:
    """Keep alerts from their receivers for a while. They are evaluated and audited all the same.

    What fires still when it ends is delivered then.
    """
    matchers = Matchers(
        rule=rule, model=model, version=version, variant=variant, segment=segment, signal=signal,
        severity=severity, episode=episode,
    )  # fmt: skip
    if (matchers == Matchers()) != everything:
        raise ValueError(
            "say what to silence by --model, --rule, --signal …, or --all for every alert, and "
            "not both"
        )
    settings = kafka_settings()
    with skipping() as skipped:
        history = list(_history(settings, skipped))
    if episode:
        matchers.episode = named(history, episode).episode
    seconds, now = duration(lasting), time.time()
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"--for: found {lasting}, expected 180d at most; a rule can be taken away")
    record = Silence(
        id=deterministic_id("silence", str(uuid.uuid4())),
        who=actor_or_user(actor),
        why=reason,
        since=now,
        until=now + seconds,
        matchers=matchers,
    )
    newest = {alert.fingerprint: alert for alert in history}.values()
    fire = sum(covers(record, alert) for alert in newest if _fires(alert))
    _send(settings, record)
    if json:
        echo_json(record)
        return
    echo(
        f"{short(record.id)} silences {matchers_text(record)} for {duration_text(seconds)}, until "
        f"{utc_text(now + seconds)}; it covers {counted(fire, 'alert')} that "
        f"{'fires' if fire == 1 else 'fire'} now"
    )


@reported
def silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the silences and acknowledgements in force, the oldest first."""
    now = time.time()
    with skipping() as skipped:
        found = read_silences(kafka_settings(), skipped)
    known = [one for one in found if everything or in_force(one, now)]
    if json:
        for one in known:
            echo_json(one)
        return
    if not known:
        echo("nothing was ever silenced" if everything else "nothing is silenced")
        return
    # What and why stand in one column: each by itself would break the names of models.
    table = folding_table("since", "until", "id", "what, by whom and why", whole=("id",))
    for one in sorted(known, key=lambda one: one.since):
        # The alert of an acknowledgement is named by the id that the other commands take.
        of = one.alert or one.matchers.episode
        what = f"reminders of alert {short(of)}: " if one.reminders_only else ""
        table.add_row(
            table_time(one.since),
            plain(_end(one)),
            short(one.id),
            Group(
                plain(what + matchers_text(one, episode=not one.reminders_only)),
                plain(f"{one.who}: {one.why}" if one.why else one.who, "dim"),
            ),
        )
    PlainConsole().print(table)


@reported
def unsilence(
    id: Annotated[str, typer.Argument(help="Of the silence, or the beginning of it.")],
    actor: ActorOption = "",
    json: JsonOption = False,
) -> None:
    """End a silence, or an acknowledgement, now; what it held back and fires still is delivered."""
    settings, now = kafka_settings(), time.time()
    with skipping() as skipped:
        found = read_silences(settings, skipped)
        see = "tidegauge alerts silences --all"
        one = only(found, id, "silence", lambda one: [one.id], see=see)
    if not in_force(one, now):
        raise ValueError(f"silence {short(one.id)} is over already: {_end(one)}")
    record = msgspec.structs.replace(one, ended_at=now, ended_by=actor_or_user(actor))
    _send(settings, record)
    if json:
        echo_json(record)
    else:
        echo(f"{short(record.id)} is over")


@reported
def ack(
    id: Annotated[str, typer.Argument(help="Of an alert, or its episode; a beginning will do.")],
    note: Annotated[str, typer.Option(help="For those who read it later.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
) -> None:
    """Acknowledge an alert: its receivers get no more reminders."""
    settings, now = kafka_settings(), time.time()
    with skipping() as skipped:
        alert = named(_history(settings, skipped), id)
        if not _fires(alert):
            raise ValueError(f"alert {id} doesn't fire any more: it is {alert.state}")
        before = read_silences(settings, skipped).seen(alert, now)
    record = before or Silence(
        id=deterministic_id("acknowledgement of an alert", alert.episode),
        who=actor_or_user(actor),
        why=note,
        since=now,
        until=None,
        # The name of a model is no glob, even if it contains the characters of one.
        matchers=Matchers(
            model=glob.escape(alert.model),
            version=glob.escape(alert.version),
            episode=alert.episode,
        ),
        reminders_only=True,
        alert=alert.id,
    )
    if before is None:
        _send(settings, record)
    if json:
        echo_json(record)
    else:
        already = "" if before is None else " already"
        echo(f"{short(alert.id)} is acknowledged{already} by {record.who}: {with_subject(alert)}")


def read_silences(settings: Settings, skipped: SkippedRecords) -> Silences:
    """Read all silences and acknowledgements."""
    return Silences(read_topic(settings.kafka, settings.topics.silences, Silence, skipped))


def named(history: Iterable[Alert], id: str) -> Alert:
    """Return the last record of the one episode that an id of it, or of one of its records, names.

    Raises ``ValueError`` if there is none, or more than one.
    """
    records = list(history)
    see = "tidegauge alerts list --all"
    found = only(records, id, "alert", lambda one: [one.episode, one.id], see=see)
    return [one for one in records if one.episode == found.episode][-1]


def _history(settings: Settings, skipped: SkippedRecords) -> Iterator[Alert]:
    return read_topic(settings.kafka, settings.topics.alerts_history, Alert, skipped)


def _fires(alert: Alert) -> bool:
    return alert.state in ("pending", "firing")


def _send(settings: Settings, record: Silence) -> None:
    RecordWriter(settings.kafka, settings.topics.silences, "silences").write(
        encode(record), record.id
    )


def _end(one: Silence) -> str:
    if one.ended_at is not None:
        return f"{utc_text(one.ended_at)}, ended by {one.ended_by}"
    return "the alert resolves" if one.until is None else utc_text(one.until)
