"""Files that people write: read at start, and again when they change; a wrong one is not used."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

#: How often a file is read. New content becomes active when it is the same twice: of a file that is
#: being written, the first half may be valid, and all the rest would be taken for removed.
LOOK_SECONDS = 2.0

T = TypeVar("T")


class FileError(ValueError):
    """A file can't be used; ``problems`` has one line for everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_file(path: Path, what: str) -> tuple[str, str]:
    """Return the text of a file and the SHA-256 of its bytes; raises :class:`FileError`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError([f"{path}: the {what} can't be read: {error.strerror}"]) from error
    try:
        return content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise FileError(
            [f"{path}:{line}:{column}: found a byte that is not UTF-8; save the file as UTF-8"]
        ) from None


class WatchedFile(Generic[T]):
    """Reads a file at start, and again when its content changes.

    Only the content counts. A file that is replaced, or a directory of symbolic links that is
    swapped as Kubernetes does with a ConfigMap, is treated like one that is edited. ``load`` raises
    :class:`FileError` for a wrong file, at start too. Two contents are the same if their
    ``identity`` is equal. ``what`` names the content in the log. ``clock`` is monotonic.
    """

    def __init__(
        self,
        load: Callable[[], T],
        clock: Callable[[], float],
        *,
        what: str,
        identity: Callable[[T], object] = lambda value: value,
    ) -> None:
        self._load = load
        self._clock = clock
        self._what = what
        self._identity = identity
        self._looked_at = clock()
        #: The active content.
        self.value: T = load()
        #: What is wrong with the file now, empty if its content is active.
        self.problems: list[str] = []
        #: The content that was read last, or what was wrong with it.
        self._found: object = identity(self.value)

    def look(self) -> bool:
        """Read the file if it is time; True if another content has become active."""
        if self._clock() - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = self._clock()
        before = self._found
        try:
            read = self._load()
        except FileError as error:
            self._found = tuple(error.problems)
            if self._found == before and self.problems != error.problems:
                self.problems = error.problems
                log.error(
                    "invalid %s; the previous ones stay active: %s",
                    self._what,
                    "; ".join(self.problems),
                )
            return False
        self._found = self._identity(read)
        if self._found != before:
            return False
        news = self._found != self._identity(self.value)
        if news:
            log.warning("new %s are active", self._what)
            self.value = read
        elif self.problems:
            log.warning("the %s are the previous ones again", self._what)
        self.problems = []
        return news
