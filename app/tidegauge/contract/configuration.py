"""Which rules and which receivers came into force, in place of which."""

from typing import Annotated, Literal

from tidegauge.contract._base import SCHEMA_VERSION, Record, SchemaVersion, deterministic_id, doc

ConfigurationKind = Literal["rules", "receivers"]


class Configuration(Record):
    """Rules (or receivers) that a worker found active and that were not before."""

    id: Annotated[
        str,
        doc(
            "Follows from what it came after, so that workers that read the same file report the "
            "same."
        ),
    ]
    kind: Annotated[ConfigurationKind, doc("What changed.")]
    time: Annotated[float, doc("When the first worker noticed, epoch seconds.")]
    actor: Annotated[str, doc("The first worker that noticed.")]
    source: Annotated[str, doc("The file.")]
    sha256: Annotated[str, doc("SHA-256 of all entries; of the rule file, as alerts name it.")]
    previous_sha256: Annotated[str, doc("That of what was active before, empty if unknown.")]
    entries: Annotated[dict[str, str], doc("SHA-256 of each rule or receiver, by name.")]
    added: Annotated[list[str], doc("Names of new entries.")]
    removed: Annotated[list[str], doc("Names of entries that are gone.")]
    changed: Annotated[list[str], doc("Names of entries that differ.")]
    schema_version: SchemaVersion = SCHEMA_VERSION


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
