"""More models than are closed at once, each with a baseline of its own."""

import msgspec

from support.counting import NOW, a_baseline, numeric
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
