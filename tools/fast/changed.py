"""Which tests are nearest to the files that have changed. Pure, but for the question to git."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

#: They start clusters, or everything; a change in them alone is tested by ``make test ARGS=…``.
LEFT_OUT = frozenset({"bench", "chaos", "demo", "deploy", "broker", "fuzz", "support"})

#: What is tested whatever has changed: the records on the topics, and the figures.
ALWAYS = ("tests/contract", "tests/stats")

_MAIN = ("origin/main", "main")


def changed_files() -> list[str]:
    """Return the files that differ from the branch ``main``, those that aren't committed too."""
    since = next((commit for name in _MAIN if (commit := _git("merge-base", "HEAD", name))), "HEAD")
    tracked = _git("diff", "--name-only", since)
    new = _git("ls-files", "--others", "--exclude-standard")
    return sorted({*tracked.splitlines(), *new.splitlines()})


def nearest(changed: Iterable[str], root: Path) -> list[str]:
    """Return files and directories for pytest, the nearest first, each once.

    Those of a changed module are ``tests/ROOM/test_MODULE*.py`` and its doctests, then come those
    of its room.
    """
    found = [*_of_modules(changed, root), *_of_rooms(changed), *ALWAYS]
    return [path for path in dict.fromkeys(found) if (root / path).exists()]


def _of_modules(changed: Iterable[str], root: Path) -> Iterator[str]:
    for name in changed:
        path = PurePosixPath(name)
        if path.suffix != ".py":
            continue
        if path.parts[:2] == ("app", "tidegauge"):
            yield name
            mirror = Path("tests", *path.parts[2:-1])
            for test in sorted((root / mirror).glob(f"test_{path.stem}*.py")):
                yield test.relative_to(root).as_posix()
        elif _is_test(path) and path.parts[1] not in LEFT_OUT:
            yield name


def _is_test(path: PurePosixPath) -> bool:
    return path.parts[0] == "tests" and path.name.startswith("test_")


def _of_rooms(changed: Iterable[str]) -> Iterator[str]:
    for name in changed:
        parts = PurePosixPath(name).parts
        room = {"app": parts[2:3], "tests": parts[1:2]}.get(parts[0], ())
        if room and "." not in room[0] and room[0] not in LEFT_OUT:
            yield f"tests/{room[0]}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip() if done.returncode == 0 else ""
