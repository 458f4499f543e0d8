"""More models than are closed at once, each with a baseline of its own."""

import msgspec

from support.counting import NOW, a_baseline, numeric, promote
from support.world import Logged, World
from tidegauge.roles.detect.window_closer import AT_ONCE

MINUTE = int(NOW // 60 * 60)
MODELS = [f"model-{number}" for number in range(AT_ONCE + 3)]
BASELINES = {
    name: msgspec.structs.replace(
        a_baseline(amount=numeric([0.0, 1.0 + number % 3][: 1 + number % 2])), model=name
    )
    for number, name in enumerate(MODELS)
}
BY_ID = {it.id: it for it in BASELINES.values()}


def two_windows() -> list[Logged]:
    """Return two windows of every model, and events that close both at once."""
    world = World(promote(*BASELINES.values()))
    for number, model in enumerate(MODELS):
        for window in (0, 60):
            for amount in range(2 + number):
                features = {"amount": float(amount * amount)}
                world.event(0, model=model, time=MINUTE + window + 1, features=features)
    world.flush()
    for partition in range(world.partitions):
        world.event(partition, model=MODELS[0], time=MINUTE + 240)
    world.flush()
    return list(world.log)
