"""Which rules and which receivers came into force, in place of which."""

from typing import Literal

from tidegauge.contract._base import SCHEMA_VERSION, Record, deterministic_id

ConfigurationKind = Literal["rules", "receivers"]


class Configuration(Record):
    """Rules (or receivers) that a worker found in force and that were not before.

    ``entries`` has the SHA-256 of each rule or receiver by name, ``sha256`` that of all: of the
    rule file, as alerts name it. ``previous_sha256`` is that of what was in force before, ``""`` if
    nothing is known of it; ``added``, ``removed`` and ``changed`` are the names of what differs.
    ``actor`` is the first worker that noticed, ``time`` when, epoch seconds. ``id`` follows from
    what it came after, so that several workers that read the same file say the same.
    """

    id: str
    kind: ConfigurationKind
    time: float
    actor: str
    source: str
    sha256: str
    previous_sha256: str
    entries: dict[str, str]
    added: list[str]
    removed: list[str]
    changed: list[str]
    schema_version: int = SCHEMA_VERSION


def configuration_after(
    before: Configuration | None,
    *,
    kind: ConfigurationKind,
    sha256: str,
    entries: dict[str, str],
    source: str,
    actor: str,
    time: float,
) -> Configuration | None:
    """Say what came into force after ``before``; None if that is in force still.

    >>> first = configuration_after(
    ...     None, kind="rules", sha256="a", entries={"drift": "1", "slow": "2"},
    ...     source="rules.yaml", actor="worker:one", time=0.0)
    >>> second = configuration_after(
    ...     first, kind="rules", sha256="b", entries={"drift": "3", "late": "4"},
    ...     source="rules.yaml", actor="worker:one", time=60.0)
    >>> second.previous_sha256, second.added, second.removed, second.changed
    ('a', ['late'], ['slow'], ['drift'])
    """
    if before is not None and before.sha256 == sha256:
        return None
    was = {} if before is None else before.entries
    return Configuration(
        id=deterministic_id("configuration", kind, "" if before is None else before.id, sha256),
        kind=kind,
        time=time,
        actor=actor,
        source=source,
        sha256=sha256,
        previous_sha256="" if before is None else before.sha256,
        entries=entries,
        added=sorted(entries.keys() - was.keys()),
        removed=sorted(was.keys() - entries.keys()),
        changed=sorted(name for name in entries.keys() & was.keys() if entries[name] != was[name]),
    )
