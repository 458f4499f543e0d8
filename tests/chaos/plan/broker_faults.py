"""Plans for a cluster of three brokers: what is lost, in which order, drawn from a seed. No I/O."""

import random

from chaos.plan.faults import BASE_WORKERS, PARTS, SOURCE_PARTITIONS, Fault, Part, Plan
from support.kafka_cluster import BROKERS

NAME = "three_brokers"

#: DETECT's partitions, and the groups that count and judge.
DETECT_PARTITIONS = 4
GROUPS = 2

#: Windows that are due before anything happens tell what is usual.
_FIRST_SECONDS = 12.0

#: From one loss to the next: the broker is away, starts, and catches up.
_APART_SECONDS = 16.0
_AWAY_SECONDS = (5.0, 8.0)

#: Two brokers are away for so long: longer than a transaction lives, so that sessions end too.
_TWO_AWAY_SECONDS = 13.0

#: And so long before the end of the traffic: reports must be in time again.
_LAST_BEFORE_END = 38.0

#: Time for one loss of one, and of two.
SHORT_SECONDS = _FIRST_SECONDS + _APART_SECONDS + _LAST_BEFORE_END

#: All of them in turn.
FULL_SECONDS = _FIRST_SECONDS + (len(PARTS) + 1) * _APART_SECONDS + _LAST_BEFORE_END


def draw_broker_plan(seed: int, seconds: float = FULL_SECONDS) -> Plan:
    """Draw losses of one broker, as many different ones as there is time for, and then of two.

    Raises ``ValueError`` if there is no time for one and two.
    """
    dice = random.Random(f"brokers of {seed}")
    time_for = int((seconds - _FIRST_SECONDS - _LAST_BEFORE_END) / _APART_SECONDS)
    if time_for < 1:
        raise ValueError(f"{seconds} s of traffic are too short; give {SHORT_SECONDS:.0f} or more")
    losses: list[Part | None] = [*PARTS, None]
    dice.shuffle(losses)
    faults = []
    at = _FIRST_SECONDS
    for part in losses[:time_for]:
        away = round(dice.uniform(*_AWAY_SECONDS), 1)
        if part is None:
            faults.append(Fault(at, "disk_full", away))
        else:
            faults.append(Fault(at, "broker_loss", away, part=part, partition=_of(part, dice)))
        at += _APART_SECONDS
    faults.append(Fault(at, "brokers_away", _TWO_AWAY_SECONDS, partition=dice.randrange(BROKERS)))
    return Plan(seed, seconds, faults, NAME, BROKERS)


def _of(part: Part, dice: random.Random) -> int:
    """Draw a partition, an INGEST worker or a group."""
    return dice.randrange(
        {
            "source": SOURCE_PARTITIONS,
            "changelog": DETECT_PARTITIONS,
            "transactions": BASE_WORKERS["ingest"],
            "group": GROUPS,
        }[part]
    )
