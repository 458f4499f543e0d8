"""What joining a record has changed, so that it can be undone if it fails half-way. Pure."""

from collections.abc import MutableMapping
from typing import Any

_MISSING: Any = object()


class Journal:
    """Notes what mappings held before they are changed.

    >>> counts, journal = {"a": 1}, Journal()
    >>> for key in "ab":
    ...     journal.note(counts, key)
    ...     counts[key] = 7
    >>> journal.undo()
    >>> counts
    {'a': 1}
    """

    def __init__(self) -> None:
        self._before: list[tuple[MutableMapping[Any, Any], Any, Any]] = []

    def note(self, mapping: MutableMapping[Any, Any], key: Any) -> None:
        """Note what a key has; call it before that is changed."""
        self._before.append((mapping, key, mapping.get(key, _MISSING)))

    def undo(self) -> None:
        """Put everything back, the last change first."""
        while self._before:
            mapping, key, before = self._before.pop()
            if before is _MISSING:
                mapping.pop(key, None)
            else:
                mapping[key] = before
