"""A real Prometheus that scrapes what it is told to, every second."""

import json
import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

from support.processes import Child, free_port, wait_until

_CONFIG = """\
global:
  scrape_interval: {scrape}s
  scrape_timeout: {timeout}s
  evaluation_interval: {evaluation}s
rule_files: {rules}
scrape_configs:
  - job_name: tidegauge
    static_configs:
      - targets: {targets}
"""


def http_get(url: str, *, seconds: float = 5) -> tuple[int, str]:
    """Return status and body, whatever the status is; raises ``URLError`` if nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - http:// below
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


class Prometheus:
    """Prometheus with its data in ``directory``, scraping ``targets`` (``host:port``)."""

    def __init__(
        self,
        directory: Path,
        targets: list[str],
        *,
        rules: Path | None = None,
        scrape_seconds: int = 1,
        evaluation_seconds: int = 1,
    ) -> None:
        program = shutil.which("prometheus")
        assert program, "no prometheus on PATH; run scripts/test-machine (make test does)"
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "prometheus.yml"
        config.write_text(
            _CONFIG.format(
                targets=json.dumps(targets),
                rules=json.dumps([] if rules is None else [str(rules)]),
                scrape=scrape_seconds,
                timeout=min(scrape_seconds, 10),
                evaluation=evaluation_seconds,
            )
        )
        self.url = f"http://127.0.0.1:{free_port()}"
        self._child = Child(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            log=directory / "prometheus.log",
        )

    def wait_ready(self) -> None:
        def ready() -> bool:
            self._child.check_alive()
            try:
                return http_get(f"{self.url}/-/ready")[0] == 200
            except URLError:
                return False

        wait_until(ready, seconds=30, what=lambda: f"Prometheus is ready\n{self._child.tail()}")

    def firing(self) -> list[dict[str, str]]:
        """Return the labels and annotations of each alert that fires."""
        status, body = http_get(f"{self.url}/api/v1/alerts")
        assert status == 200, body
        return [
            one["labels"] | one["annotations"]
            for one in json.loads(body)["data"]["alerts"]
            if one["state"] == "firing"
        ]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of every series of an instant query."""
        status, body = http_get(
            f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        )
        answer: dict[str, Any] = json.loads(body)
        assert status == 200 and answer["status"] == "success", f"{expression}: {body}"
        assert answer["data"]["resultType"] == "vector", f"{expression}: {body}"
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def stop(self) -> None:
        self._child.stop()
