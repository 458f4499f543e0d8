"""A peer in an environment of its own, that answers questions."""

import json
import subprocess
from pathlib import Path
from typing import Any, Self

from _environments import PEERS, python_environment


class Peer:
    """``bench/peers/<name>.py`` as a process: a question a line, its answer a line.

    Built on entry, where it raises ``UnavailableError`` if its environment can't be.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Self:
        command = [str(environment(self._name)), str(PEERS / f"{self._name}.py")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, what: str, **question: Any) -> Any:
        """Return the answer; raises ``RuntimeError`` if the peer ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"ask": what, **question}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"{self._name} ended with {code} when asked to {what}: see above")
        return json.loads(line)


def environment(peer: str) -> Path:
    """Return the interpreter of a peer's environment; raises ``UnavailableError``."""
    return python_environment(PEERS / f"{peer}.requirements.txt", dependencies=False)


def version(package: str, peer: str) -> str:
    """Return a package with the version that a peer's environment has it in."""
    text = (PEERS / f"{peer}.requirements.txt").read_text()
    for line in text.splitlines():
        if line.startswith(f"{package}=="):
            return line.replace("==", " ")
    raise ValueError(f"{peer}.requirements.txt names no version of {package}")
