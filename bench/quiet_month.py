"""One model in a thousand drifts: what the others are told of in a month, beside the promise.

    python bench/quiet_month.py [--models 1000] [--signals 5] [--events 500] [--seed 1]

Windows of an hour, the detector and the default rules, one false alarm a month allowed for each
model. Prints what was told, and one JSON line last.
"""

import argparse
import json

import _harness  # noqa: F401 - puts the product on the path
from _quiet_month import quiet_month


def main() -> None:
    """Simulate the month and print what was told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--signals", type=int, default=5)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--drift", type=float, default=0.3, help="share of the events that move")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = quiet_month(
        given.models,
        signals=given.signals,
        events=given.events,
        drift=given.drift,
        seed=given.seed,
    )
    print(
        f"{found.models - 1} models that never drift: {found.told} incidents told in a month, "
        f"promised at most {found.promised:g}; {found.ratio:.2f} ± {found.standard_error:.2f} of "
        f"it, by {found.woken} of them\n"
        f"the one that drifts: {len(found.fired)} incidents told, in windows {found.fired} of it"
    )
    print(json.dumps({**vars(given), **found._asdict(), "ratio": found.ratio}))


if __name__ == "__main__":
    main()
