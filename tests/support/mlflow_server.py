"""A real MLflow server with a SQLite database, in the virtual environment made for it."""

import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode

from support.processes import Child, free_port, wait_until
from support.prometheus import http_get

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = _ROOT / ".cache" / "mlflow" / "bin" / "python"


class MlflowServer:
    """MLflow with its data in ``directory``."""

    def __init__(self, directory: Path) -> None:
        assert _PYTHON.exists(), f"no {_PYTHON}; run scripts/test-machine (make test does)"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = directory / "mlflow.log"
        self._directory = directory
        self._command = [
            *(str(_PYTHON), "-m", "mlflow", "server"),
            *("--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ]
        self._child: Child | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # Without what belongs to this process's own Python; and without telling anybody.
        env = {
            "PATH": f"{_PYTHON.parent}:{os.environ['PATH']}",
            "HOME": str(self._directory),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        child = self._child = Child(self._command, log=self._log, env=env, cwd=self._directory)

        def answers() -> bool:
            child.check_alive()
            try:
                return http_get(f"{self.url}/health")[0] == 200
            except (URLError, OSError):
                return False

        wait_until(answers, seconds=240, what=lambda: f"an answer of MLflow\n{child.tail()}")

    def hang(self) -> None:
        """Take connections, and answer nobody until it may go on."""
        assert self._child is not None
        self._child.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._child is not None
        self._child.signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def call(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """Ask the REST API."""
        url, body = f"{self.url}/api/2.0/mlflow/{path}", None
        if method == "GET":
            url += f"?{urlencode(fields)}"
        else:
            body = json.dumps(fields).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - http
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def register(self, model: str, *, versions: int = 1, description: str = "") -> None:
        """Register a model, with versions from 1 on that all have the description."""
        self.call("POST", "registered-models/create", name=model)
        for _ in range(versions):
            self.call(
                "POST",
                "model-versions/create",
                name=model,
                source="s3://models/nowhere",
                description=description,
            )

    def version(self, model: str, number: int = 1) -> tuple[str, dict[str, str]]:
        """Return description and tags of a version."""
        found = self.call("GET", "model-versions/get", name=model, version=str(number))
        version = found["model_version"]
        tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
        return version.get("description", ""), tags
