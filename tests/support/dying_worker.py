"""``tidegauge`` that sends itself SIGKILL when it comes to a step: ``STEP arguments …``.

DETECT dies with the first action that it asks for, NOTIFY with the first alert that somebody wants.
``MUTANTS`` do things in the wrong order before they die: whoever judges must find them out.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tidegauge.cli import main
from tidegauge.contract.alert import Action
from tidegauge.contract.audit import AuditFact


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _action_at(outputs: Sequence[Any]) -> int | None:
    """Return the place of the first action among what is to be published."""
    found = (i for i, output in enumerate(outputs) if isinstance(output.record, Action))
    return next(found, None)


# -- DETECT ----------------------------------------------------------------------------------------


def _publishing(upto: Callable[[Sequence[Any], int], int]) -> None:
    """Publish outputs up to a place that depends on where the first action is."""
    from tidegauge.roles.detect.writer import Writer

    whole = Writer.publish

    async def publish(self: Any, outputs: Sequence[Any]) -> None:
        action = _action_at(outputs)
        if action is None:
            return await whole(self, outputs)
        await whole(self, outputs[: upto(outputs, action)])
        _die()

    Writer.publish = publish  # type: ignore[method-assign]


def _first_fact(outputs: Sequence[Any], action: int) -> int:
    """Return the place of the first fact after an action."""
    return next(i for i in range(action, len(outputs)) if isinstance(outputs[i].record, AuditFact))


def _saving(*, written: str, published: bool = True) -> None:
    """Save the checkpoint that comes after an action, half or all of it."""
    from tidegauge.roles.detect.writer import Writer

    publish, write, save = Writer.publish, Writer._write, Writer.save
    asked = False

    async def publish_until_asked(self: Any, outputs: Sequence[Any]) -> None:
        nonlocal asked
        asked = asked or _action_at(outputs) is not None
        if published or not asked:
            await publish(self, outputs)

    async def write_half(self: Any, changelog: Any, headers: Any, writes: Sequence[Any]) -> Any:
        if not asked:
            return await write(self, changelog, headers, writes)
        await write(self, changelog, headers, writes[: len(writes) // 2])
        return _die()

    async def save_all(self: Any, changelog: Any, checkpoint: Any) -> bool:
        same = await save(self, changelog, checkpoint)
        if asked:
            _die()
        return same

    Writer.publish = publish_until_asked  # type: ignore[method-assign]
    if written == "half":
        Writer._write = write_half  # type: ignore[method-assign]
    else:
        Writer.save = save_all  # type: ignore[method-assign]


# -- NOTIFY ----------------------------------------------------------------------------------------


def _about_to_deliver() -> None:
    from tidegauge.roles.notify.delivery_worker import DeliveryWorker

    assert callable(DeliveryWorker._deliver)
    DeliveryWorker._deliver = lambda self, *_, **__: _die()  # type: ignore[method-assign]


def _delivered() -> None:
    from tidegauge.roles.notify.delivery_worker import DeliveryWorker

    assert callable(DeliveryWorker._went_well)
    DeliveryWorker._went_well = lambda self: _die()  # type: ignore[method-assign]


def _committed() -> None:
    from tidegauge.kafka.group_reader import GroupReader

    done = GroupReader.done

    def done_and_gone(self: Any, received: Any) -> None:
        done(self, received)
        _die()

    GroupReader.done = done_and_gone  # type: ignore[method-assign]


def _committing_first() -> None:
    from tidegauge.roles.notify.delivery_worker import DeliveryWorker

    assert callable(DeliveryWorker._hand_over)

    def hand_over(self: Any, received: Any, *_: Any, **__: Any) -> None:
        self._group_reader.done(received)
        _die()

    DeliveryWorker._hand_over = hand_over  # type: ignore[method-assign]


DETECT: Mapping[str, Callable[[], None]] = {
    "judged": partial(_publishing, lambda outputs, action: 0),
    "alerts published": partial(_publishing, lambda outputs, action: action),
    "actions published": partial(_publishing, _first_fact),
    "all published": partial(_publishing, lambda outputs, action: len(outputs)),
    "half a checkpoint": partial(_saving, written="half"),
    "saved, not acknowledged": partial(_saving, written="all"),
}

NOTIFY: Mapping[str, Callable[[], None]] = {
    "about to deliver": _about_to_deliver,
    "delivered, not committed": _delivered,
    "committed": _committed,
}

SAVES_FIRST = "saved, not published"
COMMITS_FIRST = "committed, not delivered"

MUTANTS: Mapping[str, Callable[[], None]] = {
    SAVES_FIRST: partial(_saving, written="all", published=False),
    COMMITS_FIRST: _committing_first,
}

if __name__ == "__main__":
    {**DETECT, **NOTIFY, **MUTANTS}[sys.argv.pop(1)]()
    main()
