"""The contracts that ``make lint`` checks are the rules of the house, and cover all its rooms.

import-linter passes over what no contract names, so a new room or module must be in one.
"""

import tomllib

from support.deployment import ROOT

LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
CONTRACTS = {one["name"]: one for one in LINTER["contracts"]}
LAYERS = CONTRACTS["No arrow from a lower floor to a higher one"]["layers"]
PURE = CONTRACTS["Pure rooms know no Kafka, no Redis, no event loop and no clock"]
KAFKA = CONTRACTS["One room speaks Kafka"]
APP = ROOT / "app" / "tidegauge"

#: From the lowest floor to the highest; what stands side by side doesn't know each other.
FLOORS = [
    {"contract"},
    {"config", "producer"},
    {"stats"},
    {"sequential"},
    {"baseline"},
    {"alerting"},
    {"telemetry"},
    {"kafka"},
    {"counting", "outcomes", "windows"},
    {"audit", "notify"},
    {"backtest"},
    {"roles"},
    {"demo"},
    {"cli"},
]

#: Imports of confluent_kafka outside of the room `kafka`. They may only become fewer.
SPEAK_KAFKA_ALL_THE_SAME = 26


def rooms() -> set[str]:
    return {path.parent.name for path in APP.glob("*/__init__.py")}


def names(modules: list[str]) -> set[str]:
    return {one.removeprefix("tidegauge.") for one in modules}


def test_the_floors_are_those_of_the_house() -> None:
    found = [{part.strip().removeprefix("tidegauge.") for part in it.split(":")} for it in LAYERS]
    assert found == FLOORS[::-1]


def test_every_room_is_on_a_floor_and_no_loose_module_is_beside_them() -> None:
    assert rooms() == set().union(*FLOORS)
    loose = {path.name for path in APP.glob("*.py")} - {"__init__.py", "__main__.py", "_face.py"}
    assert loose == set()


def test_pure_rooms_are_all_that_take_values_and_return_values() -> None:
    pure = {"alerting", "contract", "counting", "outcomes", "sequential", "stats", "windows"}
    assert names(PURE["source_modules"]) >= pure
    halves = {it.stem for it in (APP / "baseline").glob("*.py")} - {"__init__"}
    assert {f"baseline.{half}" for half in halves} == names(PURE["source_modules"]) - pure
    effects = {
        "aiohttp",
        "aiokafka",
        "asyncio",
        "confluent_kafka",
        "faust",
        "mode",
        "redis",
        "time",
    }
    assert set(PURE["forbidden_modules"]) >= effects | {"tidegauge.baseline.io", "tidegauge.kafka"}


def test_every_room_but_one_and_the_producers_is_kept_from_speaking_kafka() -> None:
    assert names(KAFKA["source_modules"]) == rooms() - {"kafka", "producer"}
    assert KAFKA["forbidden_modules"] == ["confluent_kafka"]
    assert len(KAFKA.get("ignore_imports", [])) <= SPEAK_KAFKA_ALL_THE_SAME


def test_each_role_is_independent_of_the_others() -> None:
    roles = {path.parent.name for path in (APP / "roles").glob("*/__init__.py")}
    assert names(CONTRACTS["Roles don't know each other"]["modules"]) == {
        f"roles.{role}" for role in roles
    }


def test_the_contracts_are_checked() -> None:
    lint = (ROOT / "Makefile").read_text("utf-8").partition("\nlint: ")[2].partition("\n\n")[0]
    assert "/lint-imports " in lint
