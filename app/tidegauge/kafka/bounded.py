"""Calls that must come to an end."""

import threading
from collections.abc import Callable


def bounded(call: Callable[[], None], seconds: float) -> None:
    """Call in a thread and wait for it; raises what it raises, or ``TimeoutError``.

    A call that doesn't end is left to itself: there is no way to interrupt it. Whatever it works on
    must not be used any more.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # raised again below, where it's waited for
            raised.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no end after {seconds:g} s")
    if raised:
        raise raised[0]
