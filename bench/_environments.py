"""What a contestant runs in, made once and kept in ``.cache/bench/``."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench" / "peers"
CACHE = ROOT / ".cache" / "bench"


class UnavailableError(Exception):
    """A contestant can't be built on this machine; says why and what would help."""


def python_environment(requirements: Path, *, dependencies: bool = True) -> Path:
    """Return the interpreter of a virtualenv with these requirements.

    Without ``dependencies`` there is nothing else in it: for packages that demand a gigabyte more
    than what is used of them needs.

    Raises :class:`UnavailableError` with what pip said, if it can't install them.
    """

    def build(directory: Path) -> None:
        _run([sys.executable, "-m", "venv", str(directory)])
        pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        alone = [] if dependencies else ["--no-deps"]
        _run([*pip, "install", "--quiet", *alone, "--requirement", str(requirements)])

    name = requirements.name.removesuffix(".requirements.txt")
    directory = _cached(name, [requirements], f"{sys.executable} {sys.version}", build)
    return directory / "bin" / "python"


def java_classes(project: Path) -> str:
    """Return the class path of a Maven project, compiled and with its dependencies.

    Raises :class:`UnavailableError` without Java or Maven, or with what Maven said.
    """
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise UnavailableError(
                f"{project.name} needs {tool}, which is not here: "
                "apt-get install openjdk-17-jre-headless maven"
            )

    def build(directory: Path) -> None:
        maven = ["mvn", "-q", "-B", "-f", str(project / "pom.xml"), f"-Doutput={directory}"]
        _run([*maven, "package"])

    sources = [project / "pom.xml", *sorted(project.rglob("*.java"))]
    directory = _cached(project.name, sources, "", build)
    return f"{directory}/classes:{directory}/jars/*"


def _cached(name: str, sources: Sequence[Path], salt: str, build: Callable[[Path], None]) -> Path:
    """Return the directory built from these sources; another content is another directory."""
    digest = hashlib.sha256(salt.encode())
    for source in sources:
        digest.update(source.read_bytes())
    directory = CACHE / f"{name}-{digest.hexdigest()[:12]}"
    complete = directory / ".complete"
    if not complete.exists():
        for old in CACHE.glob(f"{name}-" + "?" * 12):
            shutil.rmtree(old)
        directory.mkdir(parents=True)
        print(f"building {name} in {directory.relative_to(ROOT)}", file=sys.stderr)
        build(directory)
        complete.touch()
    return directory


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise UnavailableError(f"{' '.join(command)} failed with {done.returncode}:\n{said}")
