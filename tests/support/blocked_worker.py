"""``tidegauge`` whose work stands still while a file is there: ``FILE arguments …``."""

import asyncio
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegauge.cli import main
from tidegauge.counting.counter import Counter
from tidegauge.roles.detect.intake import Intake

_count = Counter.count
_receive = Intake.receive


def _count_when_free(self: Counter, messages: Sequence[Any], *others: Any) -> None:
    # News of a partition's end is no lag: nothing would be known to wait for it.
    while blocked.exists() and any(message.error() is None for message in messages):
        threading.Event().wait(0.05)
    _count(self, messages, *others)


async def _receive_when_free(self: Intake, *arguments: Any) -> Any:
    while blocked.exists():
        await asyncio.sleep(0.05)
    return await _receive(self, *arguments)


if __name__ == "__main__":
    blocked = Path(sys.argv.pop(1))
    Counter.count = _count_when_free  # type: ignore[method-assign]
    Intake.receive = _receive_when_free  # type: ignore[method-assign]
    main()
