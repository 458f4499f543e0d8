"""The product as its users run it: a command line, an environment, and topics."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import pytest

from support.processes import Child, free_port, wait_until
from support.prometheus import http_get
from tidegauge.config.settings import load_settings
from tidegauge.kafka.topics import Topics

_APP = Path(__file__).resolve().parents[2] / "app"
_COMMAND = [sys.executable, "-m", "tidegauge"]
TOPICS = (
    "predictions",
    "labels",
    "outcomes",
    "histograms",
    "windows",
    "performance",
    "alerts",
    "alerts_history",
    "actions",
    "acknowledgements",
    "silences",
    "withheld",
    "configuration",
    "audit_facts",
    "audit",
    "dead_letters",
)


@dataclass
class Installation:
    """One installation with topics, groups and keys of its own, called by ``name``."""

    directory: Path
    name: str
    bootstrap_servers: str
    redis_url: str
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http_port = free_port()
        self.directory.mkdir(parents=True, exist_ok=True)

    def topic(self, kind: str) -> str:
        return f"{self.name}.{kind}"

    def environment(self) -> dict[str, str]:
        """Return the whole environment; nothing of the caller's settings shows through."""
        own = {
            "KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "REDIS__URL": self.redis_url,
            "REDIS__PREFIX": self.name,
            "INGEST__GROUP_ID": f"{self.name}-ingest",
            "INGEST__TRANSACTIONAL_ID": f"{self.name}-ingest-0",
            "OUTCOMES__GROUP_ID": f"{self.name}-outcomes",
            "DETECT__APP_ID": f"{self.name}-detect",
            "LEDGER__GROUP_ID": f"{self.name}-ledger",
            "HTTP__HOST": "127.0.0.1",
            "HTTP__PORT": str(self.http_port),
            **{f"TOPICS__{kind.upper()}": self.topic(kind) for kind in TOPICS},
            **self.extra,
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGAUGE_")}
        return (
            inherited
            | {"PYTHONPATH": str(_APP), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
            | {f"TIDEGAUGE_{name}": value for name, value in own.items()}
        )

    def cli(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [*_COMMAND, *arguments],
            env=self.environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )

    def succeed(self, *arguments: str, seconds: float = 60) -> str:
        """Run one command that must succeed; return what it wrote to standard output."""
        done = self.cli(*arguments, seconds=seconds)
        assert done.returncode == 0, (
            f"tidegauge {' '.join(arguments)} ended with {done.returncode}\n{told(done)}"
        )
        return done.stdout

    def create_topics(self) -> None:
        """Make the topics as ``tidegauge topics create`` does, without a process for it."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("TIDEGAUGE_")]:
                patch.delenv(name)
            for name, value in self.environment().items():
                if name.startswith("TIDEGAUGE_"):
                    patch.setenv(name, value)
            settings = load_settings()
        Topics(settings).create()

    def start(self, *arguments: str) -> Child:
        """Start a command that goes on running, such as ``run``."""
        return Child(
            [*_COMMAND, *arguments],
            log=self.directory / f"{arguments[0]}.log",
            env=self.environment(),
            cwd=self.directory,
        )

    def http(self, path: str) -> tuple[int, str] | None:
        """Return status and body of a page of the running process; None if nobody answers."""
        try:
            return http_get(f"http://127.0.0.1:{self.http_port}{path}")
        except (URLError, ConnectionError, TimeoutError):
            return None

    def loop_age(self, role: str) -> float:
        """Return for how many seconds the loop of a role in the running process has not turned."""
        answer = self.http("/healthz")
        assert answer is not None
        age: float = json.loads(answer[1])["loop_age_seconds"][role]
        return age

    def gauge(self, *series: str) -> float | None:
        """Return the sum of series of one /metrics, each named with its labels as it stands there.

        None if none of them is there.
        """
        answer = self.http("/metrics")
        found = [
            float(value)
            for line in (answer[1].splitlines() if answer else [])
            for name, _, value in [line.rpartition(" ")]
            if name in series
        ]
        return sum(found) if found else None

    def wait_counted(self, child: Child, events: int) -> None:
        """Return once the running process has counted so many events, and no more."""
        paths = [
            f'tidegauge_ingest_events_total{{path="{path}"}}' for path in ("native", "tolerant")
        ]
        wait_until(
            lambda: self.gauge(*paths) == events,
            seconds=30,
            what=lambda: f"{events} events counted, it is {self.gauge(*paths)}\n{child.tail()}",
        )

    def wait_ready(self, child: Child, *, seconds: float = 60) -> None:
        def ready() -> bool:
            child.check_alive()
            answer = self.http("/readyz")
            return answer is not None and answer[0] == 200

        wait_until(
            ready,
            seconds=seconds,
            what=lambda: f"/readyz is 200, it is {self.http('/readyz')}\n{child.tail()}",
        )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return everything a finished command said."""
    return f"--- stdout ---\n{done.stdout}\n--- stderr ---\n{done.stderr}"
