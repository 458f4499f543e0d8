"""A real Alertmanager that tells a webhook what it is told."""

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.error import URLError

from support.processes import Child, free_port, wait_until
from support.prometheus import http_get

_CONFIG = """\
route:
  receiver: sink
  group_by: ["..."]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: sink
    webhook_configs:
      - url: {sink}
        send_resolved: true
"""


class Alertmanager:
    """Alertmanager with its data in ``directory``; ``port`` stays over a restart."""

    def __init__(self, directory: Path, sink: str) -> None:
        program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        assert program, "no Alertmanager on PATH; run scripts/test-machine (make test does)"
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "alertmanager.yml"
        config.write_text(_CONFIG.format(sink=sink))
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = directory / "alertmanager.log"
        self._command = [
            program,
            f"--config.file={config}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        self._child: Child | None = None

    def start(self) -> None:
        child = self._child = Child(self._command, log=self._log)

        def ready() -> bool:
            child.check_alive()
            try:
                return http_get(f"{self.url}/-/ready")[0] == 200
            except URLError:
                return False

        wait_until(ready, seconds=30, what=lambda: f"Alertmanager is ready\n{child.tail()}")

    def alerts(self) -> list[dict[str, Any]]:
        """Return what fires, by Alertmanager's own API."""
        status, body = http_get(f"{self.url}/api/v2/alerts")
        assert status == 200, body
        found: list[dict[str, Any]] = json.loads(body)
        return found

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
