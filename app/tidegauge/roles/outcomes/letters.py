"""How OUTCOMES sends dead letters where their topic refuses some."""

import math
from collections.abc import Callable

#: How long dead letters are sent one by one, or only counted, after their topic has refused some.
_WITHOUT_LETTERS_SECONDS = 600.0

#: Flushes in a row whose letters came to nothing, without a refusal, before that counts as one: the
#: broker that holds the topic may just be restarting.
_PATIENCE = 2


class LetterBatches:
    """The way in which dead letters are sent. ``clock`` is monotonic, in seconds.

    A topic refuses batches that are larger than its ``max.message.bytes``, though each letter would
    fit: letters that were refused are sent one by one, and only then not at all for a while.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._alone_until = self._without_until = -math.inf
        self._failed = 0

    @property
    def alone(self) -> bool:
        """Whether each is to be a batch of its own."""
        return self._clock() < self._alone_until

    @property
    def are_sent(self) -> bool:
        """Whether they are sent at all."""
        return self._clock() >= self._without_until

    def failed(self, *, alone: bool, refused: bool) -> str:
        """Note that letters came to nothing, or were refused; return what becomes of the next."""
        self._failed += 1
        if not refused and self._failed < _PATIENCE:
            return "are sent again"
        self._failed = 0
        until = self._clock() + _WITHOUT_LETTERS_SECONDS
        self._alone_until = until
        if not alone:
            return "go one by one now"
        self._without_until = until
        return "are only counted now"

    def delivered(self) -> None:
        """Note that letters were committed."""
        self._failed = 0
