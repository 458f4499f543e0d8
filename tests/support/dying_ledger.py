"""``tidegauge`` whose ledger is stopped inside a transaction: ``SIGNAL STEP FILE arguments …``.

At that step of its first transaction it makes FILE and sends itself the signal: SIGKILL, or
SIGSTOP, after which it may be woken up.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tidegauge.cli import main
from tidegauge.kafka import clients

STEPS = ("before the transaction", "records sent", "offsets sent", "committed")


class _Dying(Producer):  # type: ignore[misc]
    def begin_transaction(self) -> None:
        _die_at("before the transaction")
        super().begin_transaction()

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        assert self.flush(10) == 0  # they are in the log, in a transaction that is open
        _die_at("records sent")
        super().send_offsets_to_transaction(*arguments)
        _die_at("offsets sent")

    def commit_transaction(self, *arguments: Any) -> None:
        super().commit_transaction(*arguments)
        _die_at("committed")


def _die_at(step: str) -> None:
    if step == wanted and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.Signals[number])


if __name__ == "__main__":
    number = sys.argv.pop(1)
    wanted, mark = sys.argv.pop(1), Path(sys.argv.pop(1))
    assert wanted in STEPS, wanted
    clients.Producer = _Dying
    main()
