"""What a file says, as soon as it changes, unless it is wrong."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from tidegauge.config.yaml_document import FileError

log = logging.getLogger(__name__)

#: How often the file is looked at. What is new takes force when two looks find the same: of a file
#: that is being written, the first half may be without a mistake, and all the rest would be taken
#: for removed.
LOOK_SECONDS = 2.0

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """Reads a file at start, and again when it has another content.

    By content alone, so that a file that is replaced, or a directory of symbolic links that is
    swapped as Kubernetes does with a ConfigMap, is the same to it as one that is edited. ``load``
    raises :class:`FileError` for a wrong file, at start too; of ``identity`` two contents are the
    same if they are equal. ``what`` names it in the log. ``clock`` is monotonic.
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
        #: What is in force.
        self.value: T = load()
        #: What is wrong with the file now, empty if what it says is in force.
        self.problems: list[str] = []
        #: What the last look found that is not in force: a content, or what is wrong.
        self._found: object = identity(self.value)

    def look(self) -> bool:
        """Look at the file if it is time to; True if it said something else that is in force now.

        It must be sound and whole.
        """
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
                    "the %s of before stay in force: %s", self._what, "; ".join(self.problems)
                )
            return False
        self._found = self._identity(read)
        if self._found != before:
            return False
        news = self._found != self._identity(self.value)
        if news:
            log.warning("new %s are in force", self._what)
            self.value = read
        elif self.problems:
            log.warning("the %s are as they were", self._what)
        self.problems = []
        return news
