"""Where the contest takes place: a broker, a Redis with baselines, and one run of a contestant."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

import _harness  # noqa: F401 - makes ``support`` importable
from _fill import VERSION, Filled, fill
from _histograms import Histograms
from _job import Job, read_counts, write_job
from _tally import Figures, Mark, Sample, check_counts, figures
from _workload import DIMENSION, GRACE_SECONDS, WINDOW_SECONDS, Workload
from support.kafka_broker import KafkaBroker, unique
from support.processes import Child, free_port
from support.redis_server import RedisServer
from tidegauge.baseline import Baseline, CategoricalSignal, NumericSignal
from tidegauge.baseline.io import BaselineStore

#: A run that takes longer than this has come to a halt.
RUN_SECONDS = 300.0

#: Between two looks at a process: some 20 µs of /proc each.
SAMPLE_SECONDS = 0.05

_MARK = re.compile(r"^mark (\d+) (\S+)$", re.MULTILINE)
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)

Command = Callable[[Path], Sequence[str]]


@dataclass
class Arena:
    """A running broker and Redis, and a directory for everything the contestants write."""

    directory: Path
    broker: KafkaBroker
    redis: RedisServer

    def fill(self, workload: Workload) -> Filled:
        """Make a topic with the workload in it, and a promoted baseline for each of its models."""
        topic = unique(workload.name)
        self.broker.create_topics({topic: workload.partitions})
        store = BaselineStore(self.redis.url)
        for model in workload.model_names:
            store.promote(model, VERSION, store.put(baseline_of(workload, model)), now=time.time())
        store.close()
        return fill(self.broker.bootstrap_servers, topic, workload, WINDOW_SECONDS)

    def delete(self, filled: Filled) -> None:
        """Delete the topic; the next workload shouldn't find the page cache full of this one."""
        admin = self.broker.admin()  # kept until it has answered
        for future in admin.delete_topics([filled.topic], operation_timeout=30).values():
            future.result(30)

    def peer(self, name: str, filled: Filled, command: Command) -> Figures:
        """Run a program that takes a job file to its end; check its counts, if it has any.

        ``command`` makes the command line from the job file. Raises ``RuntimeError`` if it fails,
        ``WrongCountsError`` if it counts anything else than numpy.
        """
        group = unique(name)
        directory = self.directory / group
        directory.mkdir()
        job, result = directory / "job.json", directory / "counts.json"
        write_job(self._job(filled, group, directory, result), job)
        began = time.monotonic()
        samples: list[Sample] = []
        child = Child(command(job), log=directory / "log", cwd=directory)
        try:
            while child.process.poll() is None:
                _sample([child], samples)
                if time.monotonic() - began > RUN_SECONDS:
                    raise RuntimeError(f"{name}: no end in {RUN_SECONDS} s\n{child.tail()}")
                time.sleep(SAMPLE_SECONDS)
            if child.process.returncode:
                raise RuntimeError(f"{name} ended: {child.process.returncode}\n{child.tail()}")
            size = filled.workload.batch_rows or 1
            marks = [Mark(int(n) * size, float(at)) for n, at in _MARK.findall(child.output())]
        finally:
            child.stop()
        if not marks or marks[-1].events != filled.records * size:
            last = marks[-1].events if marks else 0
            raise RuntimeError(
                f"{name} read {last} events, expected {filled.records * size}\n{child.tail()}"
            )
        if name not in LIMITS:
            check_counts(read_counts(result), filled.expected, name)
        return figures(marks, samples, filled.workload.events)

    def _job(self, filled: Filled, group: str, directory: Path, result: Path) -> Job:
        workload = filled.workload
        return Job(
            servers=self.broker.bootstrap_servers,
            topic=filled.topic,
            partitions=workload.partitions,
            group=group,
            records=filled.records,
            mark_every=max(1, filled.records // 100),
            window_seconds=WINDOW_SECONDS,
            grace_seconds=GRACE_SECONDS,
            numeric_only=not (workload.categorical or workload.missing),
            signals=workload.signals,
            directory=str(directory),
            result=str(result),
        )

    def tidegauge(self, filled: Filled, processes: int = 1) -> Figures:
        """Run ``tidegauge run --role ingest`` until it has committed the counts of every event.

        Of several processes CPU time and memory are those of all.
        """
        name = unique("tidegauge")
        environment = {
            **os.environ,
            "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "TIDEGAUGE_REDIS__URL": self.redis.url,
            "TIDEGAUGE_TOPICS__PREDICTIONS": filled.topic,
            "TIDEGAUGE_TOPICS__PREDICTIONS_PARTITIONS": str(filled.workload.partitions),
            "TIDEGAUGE_TOPICS__HISTOGRAMS": f"{name}.histograms",
            "TIDEGAUGE_INGEST__GROUP_ID": name,
            "TIDEGAUGE_WINDOWS__SECONDS": str(WINDOW_SECONDS),
            "TIDEGAUGE_WINDOWS__GRACE_SECONDS": str(GRACE_SECONDS),
            "TIDEGAUGE_HTTP__HOST": "127.0.0.1",
        }
        if filled.workload.segments:
            environment["TIDEGAUGE_INGEST__SEGMENTS"] = json.dumps([DIMENSION])
        command = [sys.executable, "-m", "tidegauge"]
        create = [*command, "topics", "create"]
        subprocess.run(create, env=environment, check=True, stdout=subprocess.DEVNULL)
        histograms = Histograms(self.broker.bootstrap_servers, f"{name}.histograms", filled)
        children = [
            Child(
                [*command, "run", "--role", "ingest"],
                log=self.directory / f"{name}-{number}.log",
                env=environment | {"TIDEGAUGE_HTTP__PORT": str(free_port())},
            )
            for number in range(processes)
        ]
        samples: list[Sample] = []
        began = time.monotonic()
        try:
            while not histograms.complete:
                for child in children:
                    child.check_alive()
                _sample(children, samples)
                if time.monotonic() - began > RUN_SECONDS:
                    raise RuntimeError(
                        f"tidegauge: {histograms.marks[-1:]} after {RUN_SECONDS} s\n"
                        + "\n".join(child.tail() for child in children)
                    )
                histograms.read(SAMPLE_SECONDS)
            _sample(children, samples)
        finally:
            for child in children:
                child.stop()
            histograms.close()
        check_counts(histograms.counts(), filled.expected, "tidegauge")
        return figures(histograms.marks, samples, filled.workload.events)


#: Contestants that count nothing: what they read is checked by number.
LIMITS = frozenset({"consume_only", "decode_only"})


@contextmanager
def arena() -> Iterator[Arena]:
    """Start broker and Redis; stop both at the end."""
    with tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as name:
        directory = Path(name)
        broker = KafkaBroker(directory / "kafka", message_max_bytes=8 * 1024 * 1024)
        redis = RedisServer(directory)
        try:
            broker.start()
            redis.start()
            yield Arena(directory, broker, redis)
        finally:
            redis.stop()
            broker.stop()


def _sample(children: Sequence[Child], samples: list[Sample]) -> None:
    """Note CPU time and peak memory of processes, if they are all still there."""
    seconds, kilobytes = 0.0, 0
    for child in children:
        try:
            times = psutil.Process(child.pid).cpu_times()
            peak = _PEAK.search(Path(f"/proc/{child.pid}/status").read_text())
        except (psutil.Error, OSError):
            return
        if peak is None:  # a process that has ended has no memory
            return
        seconds += times.user + times.system
        kilobytes += int(peak[1])
    samples.append(Sample(time.time(), seconds, kilobytes * 1024))


def baseline_of(workload: Workload, model: str) -> Baseline:
    """Make the baseline of a model with the workload's bins; its counts play no part here."""
    signals: dict[str, NumericSignal | CategoricalSignal] = {}
    for signal in workload.signals:
        if signal.edges is None:
            categories = signal.categories or []
            signals[signal.name] = CategoricalSignal(
                dtype="string",
                categories=categories,
                known=workload.values[len(categories) :],
                known_complete=True,
                counts=[1] * (len(categories) + 1) + [0],
                missing=0,
            )
        elif signal.name != "latency_ms":  # its bins are the same for every model
            signals[signal.name] = NumericSignal(
                edges=signal.edges,
                counts=[1] * signal.bins,
                missing=0,
                nan=0,
                mean=None,
                std=None,
                minimum=None,
                maximum=None,
            )
    rows = sum(signals["prediction"].counts)
    return Baseline(model=model, version=VERSION, rows=rows, source="bench", signals=signals)
