"""Runs of the chaos suite: ``python -m chaos.run --help``.

One run is a cluster of its own, traffic, faults drawn from the seed or written down as a scenario,
and a verdict. The last line of the output is JSON; the exit code is 1 unless every run was exact.
"""

import argparse
import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from chaos.judge.reading import Outputs
from chaos.judge.results import Result, totals
from chaos.judge.whole_run import judge, learn_what_was_counted
from chaos.plan.broker_faults import FULL_SECONDS, draw_broker_plan
from chaos.plan.course import Course, decode_report
from chaos.plan.faults import JUMP_SECONDS, Plan, draw_plan
from chaos.scenarios import SCENARIOS
from chaos.site.cluster import (
    COPIES,
    GRACE_SECONDS,
    LATE_SECONDS,
    LONG_LATE_SECONDS,
    Cluster,
)
from chaos.site.hold import End
from chaos.site.inject import Injector
from chaos.site.labels_end import CellFollower, end_labels
from chaos.site.losses import QUARANTINED, SOURCE_LOST, Losses
from chaos.site.mutations import MUTATIONS, hazard_unforeseen
from chaos.traffic import Sent, grown_at, jumps_of, last_due
from support.kafka_cluster import BROKERS
from support.processes import Child, wait_until

#: The workers have so long to report everything once nothing is done to them any more.
SETTLE_SECONDS = 90.0

#: By then everything works again; one that has just ended by itself is started anew meanwhile.
_READY_SECONDS = 30.0

#: From now until the traffic begins: its process must be up by then.
_LEAD_SECONDS = 2.0

#: The traffic may need so much longer than planned, as it waits for brokers to deliver.
_FLUSH_SECONDS = 180.0

#: Brokers that are back must be followed by windows that are due, and in time, for so long.
_AFTER_SECONDS = 15.0

#: Events a second, by the number of brokers: three do thrice the work, on the same machine.
_RATES = {1: 20_000.0, BROKERS: 5_000.0}

_TESTS = Path(__file__).resolve().parents[1]

#: Held by the one run whose traffic the machine is for. Others may start or be judged meanwhile.
_TURN = _TESTS.parent / ".cache" / "chaos.turn"


def run(
    plan: Plan,
    directory: Path,
    *,
    rate: float,
    mutation: str | None = None,
    say: Callable[[str], None] = print,
) -> Result:
    """Carry out one plan in a cluster of its own; what it leaves is in ``directory``.

    The plan of a scenario is judged by that too. Raises if the harness itself fails; whatever the
    product does wrong is a finding.
    """
    result = Result(plan)
    scenario = SCENARIOS[plan.name] if plan.name else None
    zero = time.time()

    def note(text: str) -> None:
        line = f"{time.time() - zero:6.1f} {text}"
        result.log.append(line)
        say(line)

    say(str(plan))
    is_far_behind = any(fault.shift < -JUMP_SECONDS for fault in plan.faults)
    made = Cluster(
        directory,
        say=note,
        mutation=mutation,
        brokers=plan.brokers,
        late_seconds=LONG_LATE_SECONDS if is_far_behind else LATE_SECONDS,
    )
    with made as cluster, ExitStack() as turn:
        cluster.wait_ready()
        note("every worker is ready")
        turn.enter_context(machine_turn())
        cluster.wait_ready()
        # Whoever ended by itself as it started, and was started again, has disturbed nothing.
        early = Counter(cluster.supervisor.unplanned)
        if scenario is not None:
            cluster.stamp_reports()
        zero = began = time.time() + _LEAD_SECONDS
        traffic = _start_traffic(cluster, plan, rate=rate, began=began)

        def check() -> None:
            cluster.supervisor.check()
            if traffic.process.poll() not in (None, 0):
                traffic.check_alive()

        injector = Injector(cluster, plan, began, note, lambda: traffic.process.poll() is not None)
        losses = turn.enter_context(Losses(cluster.supervisor.slots))
        try:
            injector.run(check)
            if plan.brokers > 1:
                wait_until(injector.is_over, seconds=_FLUSH_SECONDS, what="brokers are back")
                End(cluster.directory).tell(time.time() + _AFTER_SECONDS)
            result.sent = _wait_for_traffic(traffic, plan.seconds + _FLUSH_SECONDS)
            sent = result.sent
            note(f"sent {sent.sent:,} records, {sent.rate:,.0f}/s; {sent.bad:,} of them bad")
        finally:
            traffic.kill()
        injector.wait()
        result.findings += injector.findings
        note("every fault is over")
        due = last_due(sent.ended)
        gone, findings = learn_what_was_counted(cluster, due, SETTLE_SECONDS, check)
        result.findings += findings
        with (
            closing(Outputs(cluster.broker, cluster.installation, cluster.poison.has)) as outputs,
            closing(CellFollower(cluster)) as follower,
        ):
            unsettled = outputs.settle(
                sent.sent - sent.bad - sent.far_ahead - gone,
                due,
                SETTLE_SECONDS,
                check,
                lambda: [one.key for one in list(cluster.deliveries)],
            )
            if unsettled is not None:
                result.findings.append(unsettled)
            note(unsettled or "settled")
            result.findings += end_labels(cluster, outputs, follower, SETTLE_SECONDS, check, note)
            note("every cohort is reported")
            try:
                cluster.wait_ready(_READY_SECONDS)
            except AssertionError as error:
                result.findings.append(str(error))
            losses.look()
            # What was lost of a topic that is gone is judged below, and so is each dead letter of
            # the hazard that is to be set aside.
            allowed = [SOURCE_LOST] if cluster.deleted else []
            allowed += [QUARANTINED] if mutation == hazard_unforeseen.__name__ else []
            result.findings += losses.findings(allowed=allowed)
            result.findings += cluster.supervisor.stop()
            result.restarts = dict(cluster.supervisor.unplanned)
            note("every worker has been stopped")
            outputs.more()
            follower.more()
            turn.close()
            judge(cluster, outputs, follower.cells.counted(), injector, losses, result)
            if scenario is not None:
                judged = scenario.judge(_course(cluster, outputs, injector, result, early))
                result.findings += judged.findings
                result.measured = judged.measured
                note(json.dumps(judged.measured))
        if not result.exact:
            result.tails = cluster.tails()
    note(str(result))
    return result


@contextmanager
def machine_turn() -> Iterator[None]:
    """Wait until no other run on this checkout has its turn, and have it."""
    _TURN.parent.mkdir(exist_ok=True)
    with _TURN.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_traffic(cluster: Cluster, plan: Plan, *, rate: float, began: float) -> Child:
    arguments = {
        "bootstrap-servers": cluster.broker.bootstrap_servers,
        "topic": cluster.installation.topic("predictions"),
        "labels": cluster.installation.topic("labels"),
        "seed": plan.seed,
        "rate": rate,
        "seconds": plan.seconds,
        "began": began,
        "jumps": json.dumps([asdict(jump) for jump in jumps_of(plan.faults)]),
        "result": _sent_file(cluster.directory),
    }
    if "source_recreated" in plan.counts():
        arguments["hold"] = cluster.directory
    if plan.brokers > 1:
        arguments["until"] = cluster.directory
    if (grown := grown_at(plan.faults)) is not None:
        arguments["grown"] = grown
    command = [sys.executable, "-m", "chaos.traffic"]
    for name, value in arguments.items():
        command += [f"--{name}", str(value)]
    env = dict(os.environ) | {"PYTHONPATH": str(_TESTS), "OPENBLAS_NUM_THREADS": "1"}
    return Child(command, log=cluster.directory / "traffic.log", env=env)


def _sent_file(directory: Path) -> Path:
    return directory / "sent.json"


def _wait_for_traffic(traffic: Child, seconds: float) -> Sent:
    wait_until(
        lambda: traffic.process.poll() is not None,
        seconds=seconds,
        what=lambda: f"all traffic is delivered\n{traffic.tail()}",
    )
    if traffic.process.returncode:
        traffic.check_alive()
    return Sent(**json.loads(_sent_file(traffic.log.parent).read_text()))


def _course(
    cluster: Cluster, outputs: Outputs, injector: Injector, result: Result, early: Counter[str]
) -> Course:
    reports = []
    for message in outputs.messages["windows"]:
        kind, milliseconds = message.timestamp()
        assert kind == TIMESTAMP_LOG_APPEND_TIME, "a report has its sender's time"
        reports.append(decode_report(message.value(), milliseconds / 1000))
    return Course(
        began=injector.began,
        ended=result.sent.ended,
        grace_seconds=GRACE_SECONDS,
        spans=injector.spans,
        left=cluster.supervisor.left,
        restarts=Counter(result.restarts) - early,
        reports=reports,
    )


def main() -> None:
    """Parse the command line, and run seed after seed, or scenario after scenario."""
    parser = argparse.ArgumentParser(prog="chaos.run", description=__doc__)
    parser.add_argument("--seeds", type=int, help="how many runs (20; with several brokers 5)")
    parser.add_argument("--seed-start", type=int, help="seed of the first (1)")
    parser.add_argument(
        "--seconds", type=float, help="of traffic in each (70; several brokers: time for all)"
    )
    parser.add_argument(
        "--scenario",
        action="append",
        choices=SCENARIOS,
        default=[],
        help="instead of seeds; may be repeated",
    )
    parser.add_argument(
        "--brokers",
        type=int,
        choices=(1, BROKERS),
        default=1,
        help=f"with {BROKERS}, what is drawn is which of them are lost (1)",
    )
    parser.add_argument(
        "--rate", type=float, help=f"events a second (20000; with {BROKERS} brokers 5000)"
    )
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="break the workers so")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave all data and logs there")
    given = parser.parse_args()
    drawn = {name: getattr(given, name) for name in ("seeds", "seed_start", "seconds")}
    drawn = {name: value for name, value in drawn.items() if value is not None}
    if given.brokers != 1:
        drawn["brokers"] = given.brokers
    if given.scenario and drawn:
        parser.error(f"a scenario's plan is not drawn: leave out {', '.join(drawn)}")
    if given.seeds is not None and given.seeds < 1:
        parser.error(f"--seeds {given.seeds}: expected 1 or more")
    # Line by line, also into a pipe: a run takes minutes.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    plans = [SCENARIOS[name].long for name in given.scenario] or _draw_plans(**drawn)
    results = [
        _run_apart(plan, given.rate or _RATES[plan.brokers], given.mutation, given.keep)
        for plan in plans
    ]
    print(json.dumps(totals(results, given.mutation)))
    sys.exit(not all(result.exact for result in results))


def _draw_plans(
    seeds: int | None = None,
    seed_start: int = 1,
    seconds: float | None = None,
    brokers: int = 1,
) -> list[Plan]:
    if brokers == 1:
        drawn = range(seed_start, seed_start + (seeds or 20))
        return [draw_plan(seed, seconds or 70.0) for seed in drawn]
    drawn = range(seed_start, seed_start + (seeds or 5))
    return [draw_broker_plan(seed, seconds or FULL_SECONDS) for seed in drawn]


def _run_apart(plan: Plan, rate: float, mutation: str | None, keep: Path | None) -> Result:
    """Run in a directory of its own; a failure of the harness is a result too, never EXACT."""
    name = plan.label
    if keep is None:
        directory = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-"))
    else:
        directory = (keep / name).resolve()
        shutil.rmtree(directory, ignore_errors=True)
    try:
        result = run(plan, directory, rate=rate, mutation=mutation)
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        result = Result(plan, findings=[f"the harness has failed: {error}"])
    if keep is None:
        rests = [directory]
        if not result.exact:
            rests = [*directory.glob("kafka/**/data"), directory / COPIES]
        for rest in rests:
            shutil.rmtree(rest, ignore_errors=True)
    if not result.exact:
        print(f"{name} is not exact; logs are in {directory}")
    return result


if __name__ == "__main__":
    main()
