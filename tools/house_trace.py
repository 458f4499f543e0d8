"""Which files of the package one event passes through, from its bytes to the body of a message.

An event is counted, its window is merged, closed and judged, and the alert that this raises is
written as a webhook's body. Kafka and Faust are stood in for by the helpers of the tests, so the
shells of the roles are not among the files: what they call is.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "app" / "tidegauge"

#: Events of a window: enough for the default rules to say something.
_EVENTS = 1_500


@contextmanager
def _noting() -> Iterator[set[str]]:
    """Note the files of the package whose functions are called."""
    prefix = f"{APP}/"
    found: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            name = frame.f_code.co_filename
            if name.startswith(prefix):
                found.add(name.removeprefix(prefix))

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


def files_of_one_event() -> list[str]:
    """Return the files that events of one model pass through until a receiver's message."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.counting import NOW, a_baseline, numeric, promote
    from support.world import WATCH, World, a_state, join_all
    from tidegauge.alerting.load import DEFAULT_RULES
    from tidegauge.config.settings import TopicSettings
    from tidegauge.contract import Alert, decode, encode
    from tidegauge.notify.webhook import signature, webhook_body
    from tidegauge.roles.detect.baselines import BaselineSupply
    from tidegauge.roles.detect.window_closer import close_passed
    from tidegauge.windows.changelog import Changelog
    from tidegauge.windows.closing import Closing

    minute = int(NOW // 60 * 60)
    baseline = a_baseline(amount=numeric([0.0, 1.0, 2.0], [5_000, 5_000, 5_000, 5_000]))
    world = World(promote(baseline), partitions=1)
    changelog = Changelog(a_state())
    changelog.restored()
    with _noting() as found:
        for window in range(5):
            for _ in range(_EVENTS):
                world.event(0, time=minute + 60 * window, features={"amount": 5.0})
            world.flush()
        state = join_all(changelog.state, world.log)
        state.hold_baseline(baseline.id, baseline)
        state.pass_due()
        closing = Closing(state, rules=DEFAULT_RULES, topics=TopicSettings(), watch=WATCH)
        asyncio.run(close_passed(state, closing, BaselineSupply(lambda _: None, lambda: NOW)))
        outputs = state.take_outputs()
        changelog.checkpoint()
        alerts = [it.record for it in outputs if isinstance(it.record, Alert)]
        body = webhook_body(decode(encode(alerts[-1]), Alert), include_distributions=True)
        signature("secret", body, now=NOW)
    return sorted(found)
