"""Hold today's schemas against those of the previous release, kept under ``schemas/released``.

``python -m tools.released schemas`` fails if a reader of the previous release can't
read what is written today, or if what was written then can't be read today. ``--freeze`` keeps
today's schemas and examples as those of ``RELEASE``: a step of making a release.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.compatibility import Schema, misread, removed

#: The release that today's schemas are of, or will be. Raised when one is made: the version of a
#: build changes with each commit.
RELEASE = "0.1.0"

#: Only read by tidegauge: it may take more than it did, since readers are upgraded before writers.
INPUTS = frozenset({"prediction-event"})

_SUFFIX = ".schema.json"


def breaks(version: str, then: Mapping[str, Schema], now: Mapping[str, Schema]) -> Iterator[str]:
    """Yield what breaks a reader, with record, field and reason. Schemas are by record name."""
    for record, before in then.items():
        after = now.get(record)
        if after is None:
            yield f"{record}: was a record of {version} and is none any more"
            continue
        for path, why in removed(before, after):
            yield f"{record}: {path} {why}"
        if record not in INPUTS:
            for path, why in misread(after, before):
                yield f"{record}: readers of {version} refuse {path or 'it'}: {why}"
        for path, why in misread(before, after):
            yield f"{record}: what {version} wrote is refused at {path or 'it'}: {why}"


def schemas(directory: Path) -> dict[str, Schema]:
    """Read the schemas in a directory, by record name."""
    return {
        path.name.removesuffix(_SUFFIX): json.loads(path.read_text("utf-8"))
        for path in sorted(directory.glob("*" + _SUFFIX))
    }


def previous(directory: Path) -> Path:
    """Return the directory of the latest release; raises ``FileNotFoundError`` if there is none."""
    found = [path for path in (directory / "released").glob("*") if path.is_dir()]
    if not found:
        raise FileNotFoundError(
            f"no release in {directory / 'released'}, expected a directory for each; make one with "
            "--freeze"
        )
    return max(found, key=lambda path: [int(part) for part in path.name.split(".")])


def freeze(directory: Path, version: str) -> Path:
    """Keep the schemas and examples as those of a version; what was kept for it is replaced."""
    kept = directory / "released" / version
    shutil.rmtree(kept, ignore_errors=True)
    (kept / "examples").mkdir(parents=True)
    for path in directory.glob("*" + _SUFFIX):
        shutil.copyfile(path, kept / path.name)
    for path in (directory / "examples").glob("*.json"):
        shutil.copyfile(path, kept / "examples" / path.name)
    return kept


def main(arguments: list[str] | None = None) -> int:
    """Check or freeze the schemas; returns the exit code (1: a change breaks a reader)."""
    parser = argparse.ArgumentParser(prog="python -m tools.released")
    parser.add_argument("directory", type=Path, help="where the *.schema.json files are")
    parser.add_argument("--freeze", action="store_true", help="keep them as this version's")
    options = parser.parse_args(arguments)
    directory: Path = options.directory
    if options.freeze:
        print(f"kept in {freeze(directory, RELEASE)}")
        return 0
    release = previous(directory)
    then = schemas(release)
    found = list(breaks(release.name, then, schemas(directory)))
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        print(
            f"{len(found)} change(s) break readers: give a new field a default, and leave what "
            "others read as it is",
            file=sys.stderr,
        )
        return 1
    print(f"{len(then)} schemas are compatible with {release.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
