"""docs/tutorial.md as a reader follows it: every command is run, every output compared.

A block ``console`` is a transcript: lines that begin with ``$`` are commands, the others what they
print. One with the title ``terminal 2`` goes on running beside the rest. Blocks of Python and YAML
are files, with their names as titles. With ``TIDEGAUGE_WRITE_TUTORIAL`` in the environment (``make
tutorial``) what is printed now replaces what is shown, if any of it differs by more than varies
from run to run.
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.deployment import ROOT
from support.processes import Child, wait_until

PAGE = ROOT / "docs" / "tutorial.md"
WRITE = bool(os.environ.get("TIDEGAUGE_WRITE_TUTORIAL"))

_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r'(?:python|yaml) title="(\S+)"')
_BACKGROUND = re.compile(r'console title="terminal \d"')

#: Commands that change nothing. What they show comes by way of Kafka, so they are repeated until
#: they show it, as a reader would.
_LOOKING = re.compile(
    r"tidegauge (status|check|verify|backtest|(alerts|actions|baseline) (list|silences)|audit \w+)"
    r"|curl "
)
_PATIENCE_SECONDS = 30
_SETTLED_SECONDS = 15

_VERSIONS = (
    re.compile(r" \d+(?:\.\d+){2}(?=[,\s])"),
    re.compile(r"(?<=\btidegauge)\s+\d[^\s,]*(?=,)"),
)

#: What a run has of its own. Everything else, each word and each figure, must be as it is shown.
_VARIES = (
    (re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?=\d{4}-)"), ""),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:T|\b)"), "DATE "),
    (re.compile(r"\b\d\d:\d\d(?::\d\d(?:Z|\+00:00)|Z| UTC)"), "TIME"),
    (re.compile(r"(?:127\.0\.0\.1|localhost):\d+"), "ADDRESS"),
    (re.compile(r"(?<![\w.])(?:\d+\s+(?:s|min|h|d)\b\s*)+"), "DURATION "),
    (re.compile(r"\bpredictions/\d+(?:@\d+|, offsets [\d,]+ to [\d,]+)"), "OFFSETS"),
    (re.compile(r"(?<=\s)\d+(?=\s+(?:offsets? behind|topics|youngest events))"), "NUMBER"),
    (re.compile(r"(?<=\btrained\son\s)[\d,]+"), "NUMBER"),
    *((pattern, " VERSION") for pattern in _VERSIONS),
    # The last digits of a sum depend on the processor.
    (re.compile(r"(?<=\.\d{10})\d+"), ""),
    (re.compile(r"\b(retrainer@|worker:)\S+"), r"\1HOST"),
)
#: The last part of the version of a build with uncommitted changes, such as d20261130, is no id.
_ID = re.compile(r"\b(?!d20\d{6}\b)[0-9a-f]{8,64}\b")


@dataclass
class Step:
    """A command, what the page shows of it, and where that is in the page."""

    command: str
    shown: str
    shown_at: tuple[int, int]
    background: bool = False


@dataclass
class File:
    """A file that the reader writes."""

    name: str
    text: str


def parts(text: str, begin: str, end: str | None = None) -> list[Step | File]:
    """Return what there is to do from the heading ``begin`` to the heading ``end``."""
    first = text.index(f"\n{begin}\n")
    last = text.index(f"\n{end}\n") if end else len(text)
    found: list[Step | File] = []
    for block in _BLOCK.finditer(text, first, last):
        info, body = block.groups()
        if file := _FILE.fullmatch(info):
            found.append(File(file[1], body))
        else:
            background = bool(_BACKGROUND.fullmatch(info))
            assert background or info == "console", f"nothing runs a block of {info!r}"
            found += _steps(body, block.start(2), background=background)
    return found


def _steps(body: str, offset: int, *, background: bool) -> Iterator[Step]:
    assert body.startswith("$ "), f"a block begins with no command: {body[:80]}"
    for match in re.finditer(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE):
        shown_at = offset + match.start(2), offset + match.end(2)
        yield Step(match[1], match[2], shown_at, background)


@dataclass
class Reader:
    """Follows a part of the page in a directory, with what a terminal keeps between commands."""

    directory: Path
    extra: Mapping[str, str]
    port: int
    #: Commands that nothing is run for: the fixtures have done what they do.
    elsewhere: Collection[str] = ()

    def __post_init__(self) -> None:
        self._children: list[tuple[Child, Step]] = []
        #: The ids that the page shows, with those that are here in their place.
        self._ids: dict[str, str] = {}
        self._code = 0
        self._cwd = self.directory
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TIDEGAUGE_")}
        for name in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV"):
            inherited.pop(name, None)
        self._environment = inherited | {"COLUMNS": "80", **self.extra}
        self._environment["TIDEGAUGE_HTTP__PORT"] = str(self.port)
        self._environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        #: What is to be written into the page, by the place in it.
        self.changed: dict[tuple[int, int], str] = {}
        self.differs = False

    def follow(self, found: list[Step | File]) -> None:
        """Do everything, and stop what runs at the end."""
        try:
            for one in found:
                if isinstance(one, File):
                    (self._cwd / one.name).write_text(one.text)
                else:
                    self._do(one)
        finally:
            for child, _ in reversed(self._children):
                child.stop()

    def _do(self, step: Step) -> None:
        if step.command in self.elsewhere:
            return
        if step.background:
            self._begin(step)
        else:
            self._compare(step, self._run)

    def _begin(self, step: Step) -> None:
        log = self.directory / f"background-{len(self._children)}.log"
        child = Child(["bash", "-c", step.command], log=log, env=self._environment, cwd=self._cwd)
        self._children.append((child, step))
        if step.shown:
            lines = step.shown.count("\n")

            def printed(_: str) -> tuple[str, str]:
                child.check_alive()
                return "".join(child.output().splitlines(keepends=True)[:lines]), child.tail()

            self._compare(step, printed, look=True)

    def _run(self, command: str) -> tuple[str, str]:
        """Run a command as the next of a terminal; return what it printed, twice."""
        end = self.directory / "end-of-command"
        script = (
            f"(exit {self._code})\n{command}\ncode=$?\n{{ pwd; env -0; }} > {end}\nexit $code\n"
        )
        done = subprocess.run(
            ["bash", "-c", script],
            env=self._environment,
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        self._code = done.returncode
        directory, _, environment = end.read_text().partition("\n")
        self._cwd = Path(directory)
        self._environment = dict(
            pair.split("=", 1) for pair in environment.rstrip("\0").split("\0") if "=" in pair
        )
        return done.stdout, done.stdout

    def _compare(
        self, step: Step, run: Callable[[str], tuple[str, str]], *, look: bool = False
    ) -> None:
        command = _ID.sub(lambda id: self._here(id[0]), step.command)
        command = command.replace(":8000/", f":{self.port}/")
        code, last, begun = self._code, "", time.monotonic()
        again = look or _LOOKING.match(step.command)

        def matches() -> bool:
            nonlocal last
            self._code = code
            last, _ = run(command)
            if normal(last) == normal(step.shown):
                return True
            # While the page is being written: what it shows by then.
            settled = WRITE and (not again or time.monotonic() - begun > _SETTLED_SECONDS)
            return settled or bool(not again and self._fail(step, last))

        def what() -> str:
            return self._difference(step, last)

        wait_until(matches, seconds=_PATIENCE_SECONDS, what=what)
        self.differs |= normal(last) != normal(step.shown)
        if WRITE:
            self._change(step, last)
        else:
            self._learn(step, last)

    def _here(self, shown: str) -> str:
        """Return what is here in the place of an id that the page shows, whole or its beginning."""
        return _other(shown, self._ids.items())

    def _learn(self, step: Step, printed: str) -> None:
        """Hold the ids that are printed against those that are shown: the same where it is one."""
        for shown, here in zip(_ids(step.shown), _ids(printed), strict=True):
            for known, one in self._ids.items():
                size = min(len(known), len(shown))
                assert known[:size] != shown[:size] or one[:size] == here[:size], (
                    f"{shown} is another id here than before\n{self._difference(step, printed)}"
                )
            self._ids[shown] = here

    def _change(self, step: Step, printed: str) -> None:
        """Have the page show what is printed now; an id that it has shown before stays the same."""
        before, now = _ids(step.shown), _ids(printed)
        if len(before) == len(now):
            for shown, here in zip(before, now, strict=True):
                self._ids.setdefault(shown, here)
        back = [(here, shown) for shown, here in self._ids.items()]
        text = _ID.sub(lambda id: _other(id[0], back), printed)
        for shown, here in zip(_ID.findall(text), _ID.findall(printed), strict=True):
            self._ids[shown] = here
        lines = [line.rstrip() for line in text.strip("\n").splitlines()]
        self.changed[step.shown_at] = "".join(f"{line}\n" for line in lines)

    def _fail(self, step: Step, printed: str) -> bool:
        raise AssertionError(self._difference(step, printed))

    def _difference(self, step: Step, printed: str) -> str:
        logs = "\n".join(child.tail() for child, _ in self._children)
        return (
            f"$ {step.command}\n--- docs/tutorial.md shows ---\n{step.shown}"
            f"--- it printed ---\n{printed}--- make tutorial writes it anew ---\n{logs}"
        )


def _ids(output: str) -> list[str]:
    """Return the ids in an output; a part of a version may look like one: ``+g1a2b.d20261130``."""
    for pattern in _VERSIONS:
        output = pattern.sub("VERSION", output)
    return _ID.findall(output)


def _other(id: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return what stands for an id where one of the pairs is it, or its beginning or more of it."""
    for one, other in pairs:
        if one.startswith(id):
            return other[: len(id)]
        if id.startswith(one):
            return other + id[len(one) :]
    return id


def normal(output: str) -> object:
    """Return what must be the same in each run.

    The columns of a table are as wide as what is in them, so of a table it is the words, in any
    order; of all else the lines.
    """
    for pattern, word in _VARIES:
        output = pattern.sub(word, output)
    output = _ID.sub("ID", output)
    if "───" in output:
        return Counter(word for word in output.split() if not word.startswith("───"))
    lines = [" ".join(line.split()) for line in output.splitlines()]
    return "\n".join(line for line in lines if line)


def write(reader: Reader) -> None:
    """Put what was printed into the page, all of it or nothing: it shows what one run printed."""
    if not reader.differs:
        return
    text = PAGE.read_text("utf-8")
    for (start, end), new in sorted(reader.changed.items(), reverse=True):
        text = text[:start] + new + text[end:]
    PAGE.write_text(text, "utf-8")
