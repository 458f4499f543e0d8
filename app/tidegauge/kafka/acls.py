"""What each role reads and writes in Kafka, and the ACLs that it needs for that. Pure."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, get_args

from tidegauge.config import Settings
from tidegauge.kafka.topics import changelog_topic, topic_specs

AclRole = Literal[
    "producer", "topics", "ingest", "outcomes", "detect", "notify", "ledger", "operator"
]
Resource = Literal["topic", "group", "transactional-id"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]

ROLES: tuple[AclRole, ...] = get_args(AclRole)

#: By the name of a field of ``topics``, or "changelog": the operations of a role besides Describe.
_TOPICS: Mapping[AclRole, Mapping[str, tuple[Operation, ...]]] = {
    # A serving node. It also needs the list of partitions, which Write implies.
    "producer": {"predictions": ("Write",), "labels": ("Write",)},
    "topics": {},
    "ingest": {
        "predictions": ("Read",),
        # Reads back what it has counted.
        "histograms": ("Read", "Write"),
        "labels": ("Read",),
        "outcomes": ("Write",),
        "dead_letters": ("Write",),
    },
    "outcomes": {
        "outcomes": ("Read",),
        # As ingest.
        "histograms": ("Read", "Write"),
        "dead_letters": ("Write",),
    },
    "detect": {
        "histograms": ("Read",),
        "changelog": ("Read", "Write"),
        "windows": ("Write",),
        "performance": ("Write",),
        "alerts": ("Write",),
        "alerts_history": ("Write",),
        "actions": ("Write",),
        "audit_facts": ("Write",),
        "configuration": ("Read", "Write"),
    },
    "notify": {
        "alerts_history": ("Read",),
        "silences": ("Read",),
        "withheld": ("Read", "Write"),
        # For its receivers of the audit trail.
        "audit": ("Read",),
        "dead_letters": ("Write",),
        "configuration": ("Read", "Write"),
    },
    "ledger": {
        "audit_facts": ("Read", "Write"),
        "acknowledgements": ("Read",),
        "silences": ("Read",),
        "configuration": ("Read",),
        "audit": ("Read", "Write"),
    },
    # A person with the command line; also what promotes baselines.
    "operator": {
        "predictions": ("Read",),
        "windows": ("Read",),
        "performance": ("Read",),
        "alerts": ("Read",),
        "alerts_history": ("Read",),
        "actions": ("Read",),
        "acknowledgements": ("Read", "Write"),
        "silences": ("Read", "Write"),
        "audit_facts": ("Write",),
        "audit": ("Read",),
    },
}

#: A role works without writing to these: events are counted without their dead letters, if need be,
#: and only the alerts wait that need a record of being withheld.
_OPTIONAL = frozenset({"dead_letters", "withheld", "configuration"})

#: Kafka's own: what consumer groups commit, and what transactions are open.
OFFSETS_TOPIC = "__consumer_offsets"
TRANSACTIONS_TOPIC = "__transaction_state"

#: For every role but a producer, on all topics: workers wait for topics, and check their settings.
_LOOKS: tuple[Operation, ...] = ("Describe", "DescribeConfigs")


class Acl(NamedTuple):
    """Operations allowed on one resource, or with ``prefixed`` on all whose name begins so."""

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    prefixed: bool = False


class Written(NamedTuple):
    """Topics that a process writes: those it can't do its work without, and the others."""

    required: frozenset[str]
    others: frozenset[str]


def written_by(settings: Settings, roles: Iterable[AclRole]) -> Written:
    """Return the topics that the roles of a worker write."""
    names, required, others = _names(settings), {OFFSETS_TOPIC}, set[str]()
    for role in roles:
        if role in ("ingest", "outcomes", "ledger"):
            required.add(TRANSACTIONS_TOPIC)
        for field, operations in _TOPICS[role].items():
            if "Write" in operations:
                (others if field in _OPTIONAL else required).add(names[field])
    return Written(frozenset(required), frozenset(others - required))


def _names(settings: Settings) -> dict[str, str]:
    return {**settings.topics.model_dump(), "changelog": changelog_topic(settings)}


def acls(settings: Settings, role: AclRole) -> list[Acl]:
    """Return all that a role needs, and nothing that it doesn't."""
    return [*_topics(settings, role), *_groups(settings, role)]


def commands(settings: Settings, role: AclRole, principal: str) -> Iterator[str]:
    """Yield the commands of Kafka's own tool that allow a role's principal what it needs."""
    # Each command starts a JVM, so ACLs with the same operations share one.
    alike: dict[tuple[object, ...], list[Acl]] = {}
    for acl in acls(settings, role):
        alike.setdefault((acl.resource, acl.operations, acl.prefixed), []).append(acl)
    for group in alike.values():
        words = ["kafka-acls.sh", "--bootstrap-server", settings.kafka.bootstrap_servers]
        words += ["--add", "--allow-principal", principal]
        for operation in group[0].operations:
            words += ["--operation", operation]
        for acl in group:
            words += [f"--{acl.resource}", acl.name]
        if group[0].prefixed:
            words += ["--resource-pattern-type", "prefixed"]
        yield shlex.join(words)


def _topics(settings: Settings, role: AclRole) -> Iterator[Acl]:
    names = _names(settings)
    own = {names[field]: operations for field, operations in _TOPICS[role].items()}
    for spec in topic_specs(settings):
        operations = own.get(spec.name, ())
        if role == "topics":
            operations = ("Create", *_LOOKS)
        elif role != "producer":
            # Reading and writing imply Describe.
            operations = (*operations, *(_LOOKS[1:] if operations else _LOOKS))
        if operations:
            yield Acl("topic", spec.name, operations)


def _groups(settings: Settings, role: AclRole) -> Iterator[Acl]:
    ingest, ledger = settings.ingest, settings.ledger
    if role not in ("producer", "topics"):
        # Readers that join no group have the name of a group all the same, and librdkafka looks up
        # its coordinator.
        yield Acl("group", "tidegauge-", ("Describe",), prefixed=True)
    if role in ("ledger", "operator"):
        yield Acl("group", f"{ledger.group_id}-reader", ("Describe",))
    if role == "ingest":
        yield Acl("group", ingest.group_id, ("Read",))
        yield Acl("group", ingest.labels_group_id, ("Read",))
        # Followed by host and port, if it isn't a name of its own.
        own = ingest.transactional_id
        name = own or f"{ingest.group_id}-"
        yield Acl("transactional-id", name, ("Write",), prefixed=own is None)
        if own:
            yield Acl("transactional-id", settings.labels_transactional_id, ("Write",))
    elif role == "outcomes":
        yield Acl("group", settings.outcomes.group_id, ("Read",))
        yield Acl("transactional-id", f"{settings.outcomes.group_id}-", ("Write",), prefixed=True)
    elif role == "detect":
        yield Acl("group", settings.detect.app_id, ("Read",))
        yield Acl("group", f"{settings.detect.app_id}-", ("Describe",), prefixed=True)
    elif role == "notify":
        # One for each receiver.
        yield Acl("group", f"{settings.notify.group_id}-", ("Read",), prefixed=True)
    elif role == "ledger":
        yield Acl("group", ledger.group_id, ("Read",))
        yield Acl("group", ledger.acknowledgements_group_id, ("Read",))
        yield Acl("transactional-id", f"{ledger.group_id}-", ("Write",), prefixed=True)
    elif role == "operator":
        # How far each is, and whether it has members.
        own_groups = (ingest.group_id, ingest.labels_group_id, settings.outcomes.group_id)
        for group in (*own_groups, settings.detect.app_id, ledger.group_id):
            yield Acl("group", group, ("Describe",))
        yield Acl("group", f"{settings.notify.group_id}-", ("Describe",), prefixed=True)
