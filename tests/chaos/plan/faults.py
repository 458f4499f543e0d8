"""What is done to a run, and when: a plan of faults, drawn from a seed alone. No I/O."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["ingest", "detect", "outcomes", "notify", "ledger"]
#: What plans are drawn from.
DrawnKind = Literal[
    "kill",
    "term",
    "pause",
    "scale",
    "broker_restart",
    "broker_kill",
    "redis_stop",
    "cut",
    "slow_network",
    "promote",
    "changelog_lost",
    "clock_jump",
    "clock_skew",
    "dead_letters_full",
    "open_transaction",
    "offsets_reset",
    "partitions_added",
    "poison",
    "source_recreated",
]
#: What only a cluster of several brokers can bear, or is to bear one after the other.
BrokerKind = Literal["broker_loss", "disk_full", "brokers_away"]
#: What only a scenario does.
WrittenKind = Literal["rolling_restart"]
Kind = DrawnKind | BrokerKind | WrittenKind
#: Why a broker is the one that is lost: it leads a partition, or coordinates.
Part = Literal["source", "changelog", "transactions", "group"]
PARTS: tuple[Part, ...] = get_args(Part)
KINDS: tuple[DrawnKind, ...] = get_args(DrawnKind)
ROLES: tuple[Role, ...] = get_args(Role)

#: Workers of each role while nothing is being scaled, and the most there ever are.
BASE_WORKERS: dict[Role, int] = {
    "ingest": 3,
    "detect": 2,
    "outcomes": 2,
    "notify": 2,
    "ledger": 2,
}
MOST_WORKERS = 3

#: Session timeout of the workers in a run, seconds: a pause must last longer to be one.
SESSION_SECONDS = 6.0

#: How long windows are in a run.
WINDOW_SECONDS = 5

#: Models whose windows are held against a baseline.
WITH_BASELINE = ("m0", "m1", "m2", "m3")

#: Partitions of the predictions topic in a run, until some are added, and from then on.
SOURCE_PARTITIONS = 6
MORE_PARTITIONS = 8

#: Events that a clock jump shifts are this far ahead or behind, seconds.
JUMP_SECONDS = 20.0

#: A skewed clock is so far ahead at most, or behind if negative, seconds.
SKEW_SECONDS = (-900.0, 300.0)

#: Share of the events that are by the skewed clock.
SKEWED_SHARES = (0.01, 0.1, 0.3)

_PART_NAMES: dict[Part, str] = {
    "source": "the leader of source partition",
    "changelog": "the leader of changelog partition",
    "transactions": "the transaction coordinator of ingest",
    "group": "the coordinator of group",
}

#: How likely a role is to be hit: counting rests on the first three.
_ROLE_WEIGHTS: dict[Role, float] = {
    "ingest": 2,
    "detect": 2,
    "outcomes": 2,
    "notify": 1,
    "ledger": 1,
}

#: How likely each kind is beside the others, once a plan has as many kinds as it must have.
_WEIGHTS: dict[DrawnKind, float] = {
    "kill": 3,
    "term": 2,
    "pause": 3,
    "scale": 2,
    "broker_restart": 1.5,
    "broker_kill": 1.5,
    "redis_stop": 1.5,
    "cut": 2,
    "slow_network": 1.5,
    "promote": 1.5,
    "changelog_lost": 1,
    "clock_jump": 1.5,
    "clock_skew": 1.5,
    "dead_letters_full": 1,
    "open_transaction": 1.5,
    "offsets_reset": 1.5,
    "partitions_added": 1,
    "poison": 1.5,
    "source_recreated": 1.5,
}

#: More of these in one run would leave no time in which anything works, or would do nothing new.
_AT_MOST: dict[DrawnKind, int] = {
    "broker_restart": 1,
    "broker_kill": 1,
    "redis_stop": 2,
    "scale": 2,
    "changelog_lost": 1,
    "clock_jump": 2,
    "clock_skew": 2,
    "dead_letters_full": 1,
    "open_transaction": 2,
    "offsets_reset": 2,
    "partitions_added": 1,
    "poison": 2,
    "source_recreated": 1,
}

_FIRST_SECONDS = 8.0
_GAP_SECONDS = (4.0, 7.5)
_LAST_BEFORE_END = 3.0
_KINDS_AT_LEAST = 5


@dataclass(frozen=True)
class Fault:
    """One fault. Which of the last fields mean something depends on ``kind``.

    ``at`` and ``seconds`` (how long it lasts) are in seconds since the traffic began.
    """

    at: float
    kind: Kind
    seconds: float = 0.0
    #: Whom it hits: a role, and one worker of it (modulo those running) or None for all of them.
    #: No role: Redis' connection.
    role: Role | None = None
    worker: int | None = None
    #: broker_loss: what the broker does, and for which partition or worker.
    part: Part | None = None
    #: cut: packets vanish, instead of connections being refused.
    silent: bool = False
    #: slow_network: mean delay of each answer and its jitter, milliseconds.
    latency_ms: int = 0
    jitter_ms: int = 0
    #: promote: the model.
    model: str = ""
    #: offsets_reset: the whole group is deleted, instead of set back to the beginning.
    gone: bool = False
    #: clock_jump: seconds ahead (negative: behind), of one source partition or of all (None).
    #: clock_skew: of a share of the events, as by one serving node of several.
    shift: float = 0.0
    partition: int | None = None
    share: float = 1.0

    @property
    def target(self) -> str:
        """Whom it hits, in words."""
        if self.role is None:
            return "redis"
        return f"every {self.role}" if self.worker is None else f"{self.role}-{self.worker}"

    @property
    def what(self) -> str:
        """What is done, in words; not when."""
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        match self.kind:
            case "kill" | "term" | "pause":
                what = f" {self.target}{lasting}"
            case "scale":
                what = f" {self.role} 1 -> 3 -> {BASE_WORKERS[self.role or 'ingest']}{lasting}"
            case "cut":
                how = "silently" if self.silent else "refused"
                what = f" {self.target} {how}{lasting}"
            case "slow_network":
                what = f" {self.target} {self.latency_ms} ms ± {self.jitter_ms} ms{lasting}"
            case "promote":
                what = f" {self.model}"
            case "clock_jump":
                where = "all partitions" if self.partition is None else f"p{self.partition}"
                what = f" {where} by {self.shift:+.0f} s{lasting}"
            case "clock_skew":
                where = "all partitions" if self.partition is None else f"p{self.partition}"
                what = f" {self.share:.0%} of {where} by {self.shift:+.0f} s{lasting}"
            case "dead_letters_full":
                what = " until the end"
            case "poison":
                what = " on every topic that is read"
            case "open_transaction":
                what = f" of a stranger on p{self.partition}{lasting}"
            case "offsets_reset":
                what = " by deleting the group" if self.gone else " to the beginning"
            case "partitions_added":
                what = f" to the source, which has {MORE_PARTITIONS} then"
            case "source_recreated":
                what = f" with {SOURCE_PARTITIONS} partitions"
            case "rolling_restart":
                what = " of every worker"
            case "broker_loss":
                what = f" of {_PART_NAMES[self.part or 'source']} {self.partition}{lasting}"
            case "brokers_away":
                what = f" but for one{lasting}"
            case _:
                what = lasting
        return f"{self.kind}{what}"

    def __str__(self) -> str:
        return f"{self.at:5.1f} s {self.what}"


@dataclass(frozen=True)
class Plan:
    """All faults of a run with ``seconds`` of traffic, in order of their beginning.

    ``name`` is that of a scenario; a plan that was drawn of all kinds has none.
    """

    seed: int
    seconds: float
    faults: Sequence[Fault]
    name: str = ""
    brokers: int = 1

    @property
    def label(self) -> str:
        """What the run is called: of a scenario that is drawn, by its seed as well."""
        seed = f"seed-{self.seed}"
        if not self.name:
            return seed
        return self.name if self.brokers == 1 else f"{self.name}-{seed}"

    def counts(self) -> dict[str, int]:
        """Return how many faults there are of each kind that occurs."""
        kinds = [fault.kind for fault in self.faults]
        every = (*KINDS, *get_args(BrokerKind), *get_args(WrittenKind))
        return {kind: kinds.count(kind) for kind in every if kind in kinds}

    def __str__(self) -> str:
        kinds = len(self.counts())
        of = f"{len(self.faults)} faults of {kinds} kinds in {self.seconds:.0f} s"
        return "\n".join([f"plan of {self.label}: {of}", *(f"  {fault}" for fault in self.faults)])


def draw_plan(seed: int, seconds: float = 70.0) -> Plan:
    """Draw a plan: the same for the same seed and length.

    Raises ``ValueError`` if there is no time for two faults.
    """
    times_end = seconds - _LAST_BEFORE_END
    span = times_end - _FIRST_SECONDS
    mean_gap = sum(_GAP_SECONDS) / 2
    if span < mean_gap:
        raise ValueError(f"{seconds} s of traffic are too short for faults; give 20 s or more")
    dice = random.Random(seed)
    # Rounded up, so that the gaps are mean rather than generous.
    number = 2 + int(span / mean_gap)
    gaps = [dice.uniform(*_GAP_SECONDS) for _ in range(number - 1)]
    scale = span / sum(gaps)
    times = [_FIRST_SECONDS]
    for gap in gaps:
        times.append(times[-1] + gap * scale)
    kinds = _draw_kinds(dice, number)
    faults = [_draw(dice, kind, round(at, 1)) for kind, at in zip(kinds, times, strict=True)]
    return Plan(seed, seconds, faults)


def _draw_kinds(dice: random.Random, number: int) -> list[DrawnKind]:
    kinds: list[DrawnKind] = dice.sample(KINDS, min(number, _KINDS_AT_LEAST))
    while len(kinds) < number:
        (kind,) = dice.choices(KINDS, [_WEIGHTS[kind] for kind in KINDS])
        if kinds.count(kind) < _AT_MOST.get(kind, number):
            kinds.append(kind)
    dice.shuffle(kinds)
    return kinds


def _draw(dice: random.Random, kind: DrawnKind, at: float) -> Fault:
    (role,) = dice.choices(ROLES, [_ROLE_WEIGHTS[role] for role in ROLES])
    worker = dice.randrange(BASE_WORKERS[role])
    match kind:
        case "kill" | "term":
            return Fault(at, kind, role=role, worker=worker)
        case "pause":
            seconds = SESSION_SECONDS + dice.uniform(3, 6)
            return Fault(at, kind, _tenths(seconds), role, worker)
        case "scale":
            return Fault(at, kind, _tenths(dice.uniform(8, 14)), role)
        case "broker_kill":
            return Fault(at, kind, _tenths(dice.uniform(0, 4)))
        case "redis_stop":
            return Fault(at, kind, _tenths(dice.uniform(8, 15)))
        case "cut":
            hit = dice.choices(["worker", "role", "redis"], [5, 3, 2])[0]
            return Fault(
                at,
                kind,
                _tenths(dice.uniform(5, 12)),
                role=None if hit == "redis" else role,
                worker=worker if hit == "worker" else None,
                silent=dice.random() < 0.5,
            )
        case "slow_network":
            latency = dice.randint(100, 400)
            return Fault(
                at,
                kind,
                _tenths(dice.uniform(8, 12)),
                role=role,
                worker=worker if dice.random() < 0.5 else None,
                latency_ms=latency,
                jitter_ms=latency // 3,
            )
        case "open_transaction":
            seconds, partition = dice.uniform(4, 10), dice.randrange(SOURCE_PARTITIONS)
            return Fault(at, kind, _tenths(seconds), partition=partition)
        case "offsets_reset":
            return Fault(at, kind, gone=dice.random() < 0.5)
        case "promote":
            return Fault(at, kind, model=dice.choice(WITH_BASELINE))
        case "clock_jump":
            everywhere = dice.random() < 0.3
            return Fault(
                at,
                kind,
                _tenths(dice.uniform(3, 8)),
                shift=dice.choice([-JUMP_SECONDS, JUMP_SECONDS]),
                partition=None if everywhere else dice.randrange(SOURCE_PARTITIONS),
            )
        case "clock_skew":
            everywhere = dice.random() < 0.7
            behind, ahead = SKEW_SECONDS
            return Fault(
                at,
                kind,
                _tenths(dice.uniform(6, 12)),
                shift=_tenths(dice.uniform(0, ahead) if dice.random() < 0.6 else
                              dice.uniform(behind, 0)),
                partition=None if everywhere else dice.randrange(SOURCE_PARTITIONS),
                share=dice.choice(SKEWED_SHARES),
            )  # fmt: skip
        case _:
            return Fault(at, kind)


def _tenths(seconds: float) -> float:
    """Round as it is printed: what is read in a plan is what happens."""
    return round(seconds, 1)
