"""What ``make wheels`` makes, installed by pip as on a serving node and as for a worker.

Dependencies are linked from the environment of the tests, so no index is asked.
"""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from support.deployment import ROOT, run

pytestmark = pytest.mark.timeout(300)

PACKAGES = Path(distribution("msgspec").locate_file(""))

#: What a serving node gets, and nothing else: pip refuses to install if anything is missing.
SERVING = ("confluent-kafka", "msgspec")


@pytest.fixture(scope="module")
def wheels() -> dict[str, Path]:
    outer = {name: "" for name in os.environ if name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    made = run("make", "--no-print-directory", "wheels", env=outer)
    assert made.returncode == 0, made.stdout + made.stderr
    found = {path.name.partition("-")[0]: path for path in (ROOT / "dist").glob("*.whl")}
    assert found.keys() == {"tidegauge", "tidegauge_native"}
    return found


class Environment:
    """A fresh virtual environment without pip, into which the pip of the tests installs."""

    def __init__(self, directory: Path, linked: Iterator[Path]) -> None:
        self.directory = directory
        venv.create(directory, with_pip=False, symlinks=True)
        self.python = directory / "bin" / "python"
        [packages] = directory.glob("lib/python*/site-packages")
        for path in linked:
            (packages / path.name).symlink_to(path)

    def pip(self, *arguments: str | Path) -> str:
        command = [sys.executable, "-m", "pip", "--python", str(self.python)]
        done = run(*command, "--disable-pip-version-check", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.directory / "bin" / command[0]), *command[1:]],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def succeed(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


def _of_distributions(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        files = distribution(name).files or []
        for top in sorted({path.parts[0] for path in files} - {"..", "__pycache__"}):
            yield PACKAGES / top


def _all_but_ours() -> Iterator[Path]:
    for path in PACKAGES.iterdir():
        if "tidegauge" not in path.name and path.name != "__pycache__":
            yield path


@pytest.fixture(scope="module")
def serving(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("serving"), _of_distributions(SERVING))
    made.pip("install", "--no-index", wheels["tidegauge"])
    return made


@pytest.fixture(scope="module")
def worker(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("worker"), _all_but_ours())
    ours = f"{wheels['tidegauge']}[processor]"
    made.pip("install", "--no-index", ours, wheels["tidegauge_native"])
    return made


def test_the_wheel_has_the_package_with_its_data_and_nothing_else(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["tidegauge"]) as file:
        names = file.namelist()
    tracked = run("git", "ls-files", "app").stdout.split()
    there = {f"tidegauge/{name.removeprefix('app/tidegauge/')}" for name in tracked}
    assert {"tidegauge/py.typed", "tidegauge/alerting/default.yaml"} <= set(names)
    assert {name for name in names if ".dist-info/" not in name} >= there
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"tidegauge", f"tidegauge-{_version(wheels)}.dist-info"}


def test_the_source_distribution_has_no_tests_nor_tools_of_the_checkout(
    wheels: dict[str, Path],
) -> None:
    [path] = (ROOT / "dist").glob("tidegauge-*.tar.gz")
    with tarfile.open(path) as file:
        tops = {name.split("/")[1] for name in file.getnames() if "/" in name}
    assert tops - {".gitignore", "PKG-INFO", "pyproject.toml"} == {
        "app", "schemas", "README.md", "LICENSE", "CHANGELOG.md",
    }  # fmt: skip


def test_the_decoder_in_rust_is_for_every_python_from_3_11_on(wheels: dict[str, Path]) -> None:
    assert re.match(r"tidegauge_native-[\d.]+-cp311-abi3-", wheels["tidegauge_native"].name)
    manifests = [ROOT / "native" / name for name in ("pyproject.toml", "Cargo.toml")]
    said = {_toml(path).get("project", _toml(path).get("package"))["version"] for path in manifests}
    assert said == {wheels["tidegauge_native"].name.split("-")[1]}
    ours = _version(wheels)
    assert "dev" in ours or said == {ours}, "both wheels of a release have the same version"


def test_a_serving_node_needs_two_packages_and_imports_nothing_of_a_worker(
    serving: Environment,
) -> None:
    listed = serving.pip("list", "--format=freeze").split()
    names = {line.partition("==")[0].lower().replace("_", "-") for line in listed}
    assert names == {*SERVING, "tidegauge"}
    program = (
        "import sys, tidegauge\n"
        "logger = tidegauge.PredictionLogger('127.0.0.1:1', model='m', version='1')\n"
        "logger.log(features={'x': 1.0}, prediction=0.5)\n"
        "logger.close(0)\n"
        "print(logger.stats.logged, *sorted(it for it in sys.modules if it.count('.') == 1\n"
        "      and it.startswith('tidegauge.')))\n"
    )
    logged, *imported = serving.succeed("python", "-c", program).split()
    assert logged == "1"
    assert {"tidegauge.contract", "tidegauge.producer"} <= set(imported)
    rooms = {path.name for path in (ROOT / "app" / "tidegauge").iterdir() if path.is_dir()}
    rooms = {f"tidegauge.{name}" for name in rooms - {"contract", "producer"}}
    assert not rooms & set(imported) and "tidegauge.config.settings" not in imported


def test_a_command_without_the_packages_of_a_worker_says_what_to_install(
    serving: Environment,
) -> None:
    done = serving.run("tidegauge", "--version")
    assert done.returncode != 0
    assert "tidegauge[processor]" in done.stderr and "Traceback" not in done.stderr


def test_a_worker_finds_its_decoder_and_says_what_it_cannot_reach(
    worker: Environment, wheels: dict[str, Path]
) -> None:
    assert _version(wheels) in worker.succeed("tidegauge", "--version")
    program = (
        "import tidegauge.counting.decode.native as found; "
        "from tidegauge.alerting import DEFAULT_RULES;"
        "print(found.MODULE.__name__, found.MODULE.__file__, len(DEFAULT_RULES) > 0)"
    )
    name, path, rules = worker.succeed("python", "-c", program).split()
    assert (name, rules) == ("tidegauge_native", "True")
    assert Path(path).is_relative_to(worker.directory)
    worker.pip("check")


def test_check_is_friendly_where_nothing_runs(worker: Environment) -> None:
    (worker.directory / "tidegauge.yaml").write_text(
        "kafka: {bootstrap_servers: '127.0.0.1:1'}\nredis: {url: 'redis://127.0.0.1:1/0'}\n"
    )
    done = worker.run("tidegauge", "check")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "127.0.0.1:1" in done.stdout and "Traceback" not in done.stdout + done.stderr


def _version(wheels: dict[str, Path]) -> str:
    return wheels["tidegauge"].name.split("-")[1]


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())
