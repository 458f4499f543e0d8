"""The deployment files, and the tools that check them without Docker or a cluster."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
_TOOLS = ROOT / ".cache" / "deploy-tools" / "bin"


def tool(name: str) -> str:
    """Return the path of a tool of scripts/deploy-tools; fails if it isn't installed."""
    path = _TOOLS / name
    assert path.is_file(), f"no {path.relative_to(ROOT)}; run scripts/deploy-tools (make test does)"
    return str(path)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Prometheus's checker, and return what it said."""
    program = shutil.which("promtool")
    assert program, "no promtool on PATH; run scripts/test-machine (make test does)"
    return run(program, *arguments)


def run(
    *command: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository's root; its output is captured and its exit code returned."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **(env or {})},
    )


def read_yaml(path: str) -> Any:
    """Return a YAML file of the repository, anchors and merges resolved."""
    return yaml.safe_load((ROOT / path).read_text())
