"""``tidegauge check``: what is wrong, and how to correct it."""

import platform
import time
from collections.abc import Callable
from contextlib import closing, suppress
from importlib.metadata import version
from typing import Annotated

import msgspec
import typer
from rich.console import Group
from rich.text import Text

from tidegauge.alerting import DEFAULT_RULES, RuleSet, load_rules
from tidegauge.baseline.io import (
    BaselineStore,
    Pointer,
    StoreError,
    StoreUnavailable,
    without_baseline,
)
from tidegauge.cli.command import reported
from tidegauge.cli.printing import PlainConsole, PlainText, echo_json, folding_table, plain, short
from tidegauge.cli.recent import (
    counted_without,
    latest_event_times,
    newest_reports,
    recent_reports,
)
from tidegauge.config import FileError, Settings, load_settings
from tidegauge.contract import counted, duration_text, printable, printable_lines
from tidegauge.counting import WITHOUT_NATIVE, is_installed
from tidegauge.kafka import (
    NO_ANSWER,
    BrokersAway,
    Groups,
    GroupState,
    KafkaException,
    RoleGroup,
    Topics,
    ask_brokers,
    client_version,
    role_groups,
)

#: The exit code if no worker runs of a role that ran before.
NO_WORKER = 4


class Finding(msgspec.Struct):
    """The result of one check; ``problems`` is empty if all is well.

    ``warnings`` have no effect on the exit code.
    """

    check: str
    detail: str
    problems: list[str]
    #: The exit code if there are problems: 2 wrong configuration, 3 not reachable, 4 no worker.
    code: int
    warnings: list[str] = []


def check_kafka(settings: Settings) -> list[Finding]:
    """Ask the brokers for their topics, and compare these with what they must be."""
    servers = settings.kafka.bootstrap_servers
    try:
        ask_brokers(settings.kafka)
        topics = Topics(settings)
        found = topics.partitions()
        problems = list(topics.problems())
    except (BrokersAway, KafkaException) as error:
        return [Finding("broker", servers, [str(error)], 3)]
    return [
        Finding("broker", f"{servers}, {counted(len(found), 'topic')}", [], 3),
        Finding("topics", "partitions, retention, compaction", problems, 2),
    ]


def check_event_times(settings: Settings) -> list[Finding]:
    """Check the newest events: those that come too late for their windows are in no report."""
    try:
        found = latest_event_times(settings)
    except (KafkaException, ValueError):  # reported by check_kafka
        return []
    if not found.events:
        return []
    problems = []
    if 2 * found.late > found.events:
        problems.append(
            f"{found.late:,} of the {found.events:,} youngest events of "
            f"{settings.topics.predictions} "
            f"were written up to {found.most_seconds:.0f} s after they happened, too late for "
            "their windows if these are closed by then; raise windows.late_seconds, or mend the "
            "clock of their producer"
        )
    return [Finding("event times", f"{found.events:,} youngest events", problems, 2)]


def check_baselines(settings: Settings) -> list[Finding]:
    """Read every promoted baseline, and report all problems at once."""
    try:
        with closing(BaselineStore.of(settings)) as store:
            snapshot = store.snapshot()
            problems = list(snapshot.problems)
            for (model, model_version), pointer in sorted(snapshot.promoted.items()):
                if problem := _baseline_problem(store, model, model_version, pointer):
                    problems.append(problem)
            stored = 0 if snapshot.promoted else len(store.list())
    except StoreError as error:
        code = 3 if isinstance(error, StoreUnavailable) else 2
        return [Finding("baselines", "", [str(error)], code)]
    if not (snapshot.promoted or problems):
        lost = "none of those stored is promoted; if some were, Redis has lost that: promote them"
        none = "none is promoted, so no drift can be seen; see: tidegauge baseline create --help"
        problems = [lost if stored else none]
    return [Finding("baselines", f"{len(snapshot.promoted)} promoted", problems, 2)]


def _baseline_problem(
    store: BaselineStore, model: str, model_version: str, pointer: Pointer
) -> str | None:
    of = f"model {model!r} version {model_version!r}"
    try:
        baseline = store.get(pointer.id)
    except StoreUnavailable:
        raise
    except StoreError as error:
        before = (
            f"baseline {short(pointer.previous)} stays in force"
            if pointer.previous
            else "it is counted without a baseline"
        )
        return f"{of}: {error}. Until then {before}"
    if (baseline.model, baseline.version) != (model, model_version):
        return (
            f"{of}: baseline {short(pointer.id)} was made for model {baseline.model!r} version "
            f"{baseline.version!r}; promote one that was made for it"
        )
    return None


def check_workers(settings: Settings) -> list[Finding]:
    """Ask for the consumer groups: whether workers of each role are there, and how far they are."""
    receivers: list[tuple[str, str]] = []
    if settings.notify.receivers_file is not None:
        from tidegauge.notify import load_receivers

        topics = settings.topics
        with suppress(FileError):  # reported by check_receivers
            receivers = [
                (one.name, topics.audit if one.type == "mlflow" else topics.alerts_history)
                for one in load_receivers(settings.notify.receivers_file).receivers
            ]
    try:
        groups = Groups(settings)
        return [_workers(groups, of) for of in role_groups(settings, receivers)]
    except KafkaException:  # reported by check_kafka
        return []


def _workers(groups: Groups, of: RoleGroup) -> Finding:
    now = time.time()
    try:
        state = groups.state(of)
    except KafkaException as error:
        if error.args[0].code() in NO_ANSWER:
            raise
        unknown = f"how its group {of.group} stands can't be asked: {error.args[0].str()}"
        return Finding(of.name, "", [], NO_WORKER, [unknown])
    missing, idle = missing_worker(state), idle_worker(state, now)
    detail = describe_group(state, now)
    if missing and state.started:
        return Finding(of.name, detail, [missing], NO_WORKER)
    return Finding(of.name, detail, [], NO_WORKER, [one for one in (missing, idle) if one])


def check_versions_counted(settings: Settings) -> list[Finding]:
    """Find versions in the last windows whose drift can't be seen: they have no baseline."""
    now = time.time()
    try:
        with closing(BaselineStore.of(settings)) as store:
            pointers = store.snapshot().promoted
        newest = newest_reports(recent_reports(settings, lambda place, why: None, now))
    except (KafkaException, StoreUnavailable, ValueError):
        return []  # reported by check_kafka or check_baselines
    missing = counted_without(newest.values(), pointers, now)
    text = without_baseline(missing, pointers)
    versions = {(one.model, one.version) for one in newest.values()}
    detail = f"{len(versions)} counted lately"
    return [Finding("model versions", detail, [], 2, [text] if text else [])]


def check_rules(settings: Settings) -> list[Finding]:
    """Load the rules."""
    path = settings.detect.rules_file
    try:
        rules = _rules(settings)
    except (FileError, OSError) as error:
        return [Finding("rules", str(path), [str(error)], 2)]
    return [
        Finding("rules", f"{counted(len(rules), 'rule')} from {path or 'the default file'}", [], 2)
    ]


def check_actions(settings: Settings) -> list[Finding]:
    """Report whether actions are live or dry run, and which rules request them."""
    with suppress(FileError, OSError):  # reported by check_rules
        asking = [rule for rule in _rules(settings).rules if rule.action is not None]
        dry = settings.actions.mode == "dry_run"
        named = [
            f"{rule.action} by {rule.name}{' (dry run)' if rule.dry_run and not dry else ''}"
            for rule in asking
        ]
        mode = "actions.mode is live"
        if dry:
            mode = "actions.mode is dry_run: what is asked for is marked as not to be carried out"
        return [Finding("actions", f"{mode}; {', '.join(named) or 'no rule asks for any'}", [], 2)]
    return []


def _rules(settings: Settings) -> RuleSet:
    path = settings.detect.rules_file
    return DEFAULT_RULES if path is None else load_rules(path)


def check_receivers(settings: Settings) -> list[Finding]:
    """Load the file of receivers, and the secrets it names."""
    path = settings.notify.receivers_file
    if path is None:
        return [Finding("receivers", "no notify.receivers_file: alerts stay in Kafka", [], 2)]
    # Imported only if there is a file to check.
    from tidegauge.notify import load_receivers

    try:
        receivers = load_receivers(path).receivers
    except FileError as error:
        return [Finding("receivers", str(path), error.problems, 2)]
    names = ", ".join(f"{one.name} ({one.type})" for one in receivers)
    problems: list[str] = []
    known = {one.name for one in receivers}
    with suppress(FileError, OSError):  # reported by check_rules
        problems = [
            f"rule {rule.name} names {', '.join(unknown)}, which {path} has not"
            for rule in _rules(settings).rules
            if (unknown := [name for name in rule.receivers if name not in known])
        ]
    return [Finding("receivers", f"{names} from {path}", problems, 2)]


def check_versions(_: Settings) -> list[Finding]:
    """Report the installed versions."""
    names = ("tidegauge", "faust-streaming", "aiokafka", "confluent-kafka", "numpy", "redis")
    detail = ", ".join(f"{name} {version(name)}" for name in names)
    librdkafka = client_version()
    python = platform.python_version()
    found = f"Python {python}, librdkafka {librdkafka}, {detail}"
    return [Finding("versions", found, [], 2, [] if is_installed() else [WITHOUT_NATIVE])]


CHECKS: tuple[Callable[[Settings], list[Finding]], ...] = (
    check_kafka,
    check_workers,
    check_event_times,
    check_baselines,
    check_versions_counted,
    check_rules,
    check_actions,
    check_receivers,
    check_versions,
)

#: Checks that ask the brokers; if these don't answer, that is reported once and these are skipped.
_OF_BROKERS = (check_workers, check_event_times, check_versions_counted)


@reported
def check(
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check brokers, topics, workers, baselines, rules and receivers.

    Exit code: 0 if all is well, 2 wrong configuration, 3 not reachable, 4 no worker of a role runs;
    the largest of them. Warnings change nothing.
    """
    settings = load_settings()
    findings: list[Finding] = []
    for run in CHECKS:
        away = any(one.check == "broker" and one.problems for one in findings)
        if not (away and run in _OF_BROKERS):
            findings += run(settings)
    if json:
        echo_json(findings)
    else:
        checks = {"check": [printable(one.check) for one in findings]}
        table = folding_table("", "check", "found", whole=("",), names=checks)
        for finding in findings:
            lines = [
                *([PlainText(printable_lines(finding.detail))] if finding.detail else []),
                *(PlainText(printable_lines(problem), "red") for problem in finding.problems),
                *(PlainText(printable_lines(warning), "yellow") for warning in finding.warnings),
            ]
            table.add_row(_mark(finding), plain(finding.check), Group(*lines))
        PlainConsole().print(table)
    raise typer.Exit(max((f.code for f in findings if f.problems), default=0))


def _mark(finding: Finding) -> Text:
    if finding.problems:
        return Text("✗", "red")
    return Text("!", "yellow") if finding.warnings else Text("✓", "green")


#: What the newest record of a role is, by the name of its group.
_WROTE = {"ingest": "flush", "detect": "window", "ledger": "record of the audit trail"}

#: INGEST commits every second, also without events. After so long without a commit it is stuck, or
#: has no partition.
_FLUSH_SECONDS = 120.0


def describe_group(state: GroupState, now: float) -> str:
    """Return how a group stands.

    >>> from tidegauge.kafka.admin import RoleGroup
    >>> of = RoleGroup("detect", "detect", "tidegauge-detect", "histograms", "windows")
    >>> describe_group(GroupState(of, 2, True, 1200, 940.0), 1000.0)
    '2 members, 1,200 offsets behind, last window 1 min ago'
    """
    members = f"{state.members} member{'' if state.members == 1 else 's'}"
    parts = [members if state.members else "no member", f"{state.behind:,} offsets behind"]
    what = _WROTE.get(state.of.name)
    if what is not None:
        never = f"no {what} yet"
        parts.append(never if state.wrote_at is None else f"last {what} {_ago(state, now)}")
    return ", ".join(parts)


def _ago(state: GroupState, now: float) -> str:
    return f"{duration_text(max(0.0, now - (state.wrote_at or now)))} ago"


def missing_worker(state: GroupState) -> str:
    """Return what to do where a group has no member; "" if it has one."""
    if state.members:
        return ""
    command = f"tidegauge run --role {state.of.role}"
    if state.started:
        return (
            f"no worker of {state.of.name} runs (group {state.of.group}), so nothing of "
            f"{state.of.reads} is read; start one: {command}"
        )
    return f"no worker of {state.of.name} has run yet; start one: {command}, or all: tidegauge run"


def idle_worker(state: GroupState, now: float) -> str:
    """Return a warning about a worker that runs and doesn't write; "" if it writes."""
    if state.of.role != "ingest" or not state.members or state.wrote_at is None:
        return ""
    if now - state.wrote_at < _FLUSH_SECONDS:
        return ""
    return f"the last flush was {_ago(state, now)}: see /readyz of ingest and its log"
