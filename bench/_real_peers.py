"""Evidently and NannyML as they are shipped, on the days that the product replayed."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from _peer_process import Peer, environment, version
from _real_sets import RealSet

#: Column titles by the peer's process.
PEERS = {"detection_evidently": "Evidently", "detection_nannyml": "NannyML"}

#: Signals that alarm, by day.
Alarms = Mapping[str, list[str]]


def prepare() -> None:
    """Build the environments, which takes minutes once; raises ``UnavailableError``."""
    for name in PEERS:
        environment(name)


def versions() -> str:
    """Return the peers with their versions."""
    return ", ".join(version(name.removeprefix("detection_"), name) for name in PEERS)


def alarms_of_peers(real: RealSet, connection: duckdb.DuckDBPyConnection) -> dict[str, Alarms]:
    """Return what each peer alarms on, by its title; the baseline's events are its reference.

    They get the same columns of the same kinds; text is categorical.
    """
    described = connection.execute("DESCRIBE events").fetchall()
    kinds = {str(name): str(kind) for name, kind, *_ in described if name not in real.no_signals}
    categorical = [name for name, kind in kinds.items() if kind == "VARCHAR"]
    columns = ", ".join(
        f'"{name}" AS prediction' if name == real.prediction else f'"{name}"' for name in kinds
    )
    found: dict[str, Alarms] = {}
    with TemporaryDirectory() as directory:
        files = {}
        for side, sign in (("reference", "<"), ("current", ">=")):
            path = files[side] = str(Path(directory) / f"{side}.csv")
            connection.sql(
                f"SELECT strftime(time, '%Y-%m-%d') AS day, {columns} FROM events "  # noqa: S608
                f"WHERE time {sign} CAST(? AS TIMESTAMP) ORDER BY time",
                params=[real.since],
            ).write_csv(path)
        for name, title in PEERS.items():
            with Peer(name) as peer:
                found[title] = peer.ask("days", categorical=categorical, **files)
    return found
