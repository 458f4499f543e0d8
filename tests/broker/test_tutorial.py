"""docs/tutorial.md, with a real broker and a real Redis: every command, every output."""

from pathlib import Path

from support.deployment import ROOT, read_yaml
from support.kafka_broker import KafkaBroker
from support.processes import free_port
from support.tutorial import PAGE, WRITE, Reader, parts, write

COMPOSE = "docker compose up --detach --wait kafka redis"


def test_the_walk_with_a_real_broker_prints_what_is_shown(
    tmp_path: Path, kafka_broker: KafkaBroker, empty_redis_url: str
) -> None:
    text = PAGE.read_text("utf-8")
    (tmp_path / "walk").mkdir()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    reader = Reader(
        tmp_path,
        {
            "TIDEGAUGE_KAFKA__BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
            "TIDEGAUGE_REDIS__URL": empty_redis_url,
        },
        port=free_port(),
        # What it starts is there already: the fixtures.
        elsewhere={COMPOSE},
    )
    for one in parts(text, "## The producer", "## The consumer"):
        if hasattr(one, "name"):
            (tmp_path / "walk" / one.name).write_text(one.text)
    reader.follow(parts(text, "## With a real broker"))
    if WRITE:
        write(reader)


def test_compose_has_the_two_services_where_the_page_says_they_are() -> None:
    services = read_yaml("docker-compose.yml")["services"]
    assert {"kafka", "redis"} <= services.keys() and COMPOSE.endswith(" kafka redis")
    text = PAGE.read_text("utf-8")
    for name in ("kafka", "redis"):
        [port] = services[name]["ports"]
        address = port.removeprefix("127.0.0.1:").partition(":")[0]
        assert f"localhost:{address}" in text
