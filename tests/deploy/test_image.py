"""The Dockerfile: linted, complete, and with a health check that tells health from sickness."""

import http.server
import json
import re
import sys
import threading
from contextlib import contextmanager

import pytest

from support.deployment import ROOT, run, tool
from support.processes import free_port

# Continuation lines are joined, comments between instructions left out.
INSTRUCTIONS = [
    line
    for line in re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    if line and not line.startswith("#")
]


def _last(instruction):
    return [line for line in INSTRUCTIONS if line.startswith(instruction + " ")][-1]


def test_hadolint_finds_nothing():
    linted = run(tool("hadolint"), "Dockerfile")
    assert linted.returncode == 0, linted.stdout


def test_hadolint_would_find_something(tmp_path):
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM debian:latest\nRUN cd /x && sudo true\n")
    assert run(tool("hadolint"), wrong).returncode == 1


def test_it_runs_as_a_numbered_user_that_is_not_root():
    assert re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", _last("USER"))


def test_whatever_is_copied_exists_and_is_let_through_by_dockerignore():
    let_through = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for line in INSTRUCTIONS
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert copied == let_through
    for source in copied:
        assert (ROOT / source).exists(), source


def test_the_dependencies_it_installs_are_those_of_the_processor():
    (step,) = [line for line in INSTRUCTIONS if "requirements.txt" in line]
    program = re.search(r"python -c '([^']*)'", step)
    assert program
    listed = run(sys.executable, "-c", program[1])
    assert listed.returncode == 0, listed.stderr
    names = {re.match(r"[\w-]+", line)[0] for line in listed.stdout.splitlines()}
    assert {"confluent-kafka", "msgspec", "faust-streaming", "redis", "typer"} <= names
    assert "pytest" not in names


@contextmanager
def _server(status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _health(port):
    python, *arguments = json.loads(_last("HEALTHCHECK").partition(" CMD ")[2])
    assert python == "python"
    # A proxy for everything else must not be asked for the container's own health.
    environment = {"TIDEGAUGE_HTTP__PORT": str(port), "HTTP_PROXY": "http://127.0.0.1:9"}
    return run(sys.executable, *arguments, env=environment).returncode


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_the_health_check_is_what_healthz_says(status, healthy):
    with _server(status) as port:
        assert (_health(port) == 0) is healthy


def test_the_health_check_fails_where_nobody_answers():
    assert _health(free_port()) != 0
