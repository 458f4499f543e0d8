"""What a fork asks for: librdkafka's threads stay behind in the parent, their locks do not."""

import ctypes
import os
import sys
import weakref
from collections.abc import Callable
from typing import Protocol


class Forks(Protocol):
    """What takes part in every fork of its process."""

    def before_fork(self) -> None:
        """Bring the parent into a state that a child can be made of."""

    def after_fork_in_child(self) -> None:
        """Begin again as a process of its own."""


_known: weakref.WeakSet[Forks] = weakref.WeakSet()


def watch(one: Forks) -> None:
    """Call the methods of ``one`` at every fork while ``one`` exists."""
    _known.add(one)


def _before_fork() -> None:
    for one in list(_known):
        one.before_fork()


def _after_fork_in_child() -> None:
    for one in list(_known):
        one.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def leak(producer: object) -> None:
    """Keep a child from destroying the producer it inherited: that crashes, or waits forever.

    One reference too many keeps even the interpreter's exit from trying.
    https://github.com/confluentinc/librdkafka/issues/2374
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(producer))


def at_exit_of_worker(function: Callable[[], None]) -> None:
    """Call ``function`` when this process ends, if it is a worker of ``multiprocessing``.

    Forked ones end without running what ``atexit`` knows.
    """
    multiprocessing, util = map(sys.modules.get, ("multiprocessing", "multiprocessing.util"))
    if multiprocessing is not None and util is not None and multiprocessing.parent_process():
        util.Finalize(None, function, exitpriority=10)
