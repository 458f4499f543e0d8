"""docs/operations.md: the table of what each role may do in Kafka is what ``topics acls`` gives."""

import shlex

import pytest

from support.deployment import ROOT
from tidegauge.config.settings import Settings
from tidegauge.kafka.acls import ROLES, Acl, AclRole, Resource, acls, commands
from tidegauge.kafka.topics import topic_specs

MANUAL = (ROOT / "docs" / "operations.md").read_text().partition("### Brokers with ACLs\n")[2]


def _row(role: AclRole) -> str:
    found = acls(Settings(), role)

    def names(resource: Resource, operation: str) -> str:
        return ", ".join(_name(it) for it in found if _has(it, resource, operation)) or "none"

    cells = [
        f"`{role}`",
        names("topic", "Read"),
        names("topic", "Write"),
        names("group", "Read"),
        names("group", "Describe"),
        names("transactional-id", "Write"),
    ]
    return f"| {' | '.join(cells)} |"


def _has(acl: Acl, resource: Resource, operation: str) -> bool:
    return acl.resource == resource and operation in acl.operations


def _name(acl: Acl) -> str:
    return f"`{acl.name}{'*' if acl.prefixed else ''}`"


@pytest.mark.parametrize("role", ROLES)
def test_the_row_of_each_role_is_what_it_needs(role: AclRole) -> None:
    [row] = [line for line in MANUAL.splitlines() if line.startswith(f"| `{role}` | ")]
    assert row == _row(role)


@pytest.mark.parametrize("role", ROLES)
def test_all_but_producers_look_at_every_topic_as_the_text_says(role: AclRole) -> None:
    every = {spec.name for spec in topic_specs(Settings())}
    looked_at = {it.name for it in acls(Settings(), role) if "DescribeConfigs" in it.operations}
    made = {it.name for it in acls(Settings(), role) if "Create" in it.operations}
    assert looked_at == (set() if role == "producer" else every)
    assert made == (every if role == "topics" else set())


def test_names_with_anything_in_them_stay_one_word_of_the_command() -> None:
    settings = Settings.model_validate({"topics": {"predictions": "a; rm -rf $HOME 'x'"}})
    [command] = commands(settings, "producer", "User:CN=web,O=A B")
    words = shlex.split(command)
    assert words[words.index("--topic") + 1] == "a; rm -rf $HOME 'x'"
    assert words[words.index("--allow-principal") + 1] == "User:CN=web,O=A B"
