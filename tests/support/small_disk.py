"""A disk of a few megabytes that can be filled: a tmpfs, which only those see who are put inside.

It is mounted in a mount namespace of its own and gone with the process that holds that, however the
tests end. Whoever isn't root does it in a user namespace. Where neither is allowed, it fails.
"""

import os
from contextlib import suppress
from pathlib import Path

from support.processes import Child, wait_until

_SECONDS = 10.0

#: ``unshare`` and ``nsenter`` (util-linux) with what whoever isn't root must say as well.
_UNSHARE = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
_ENTER = ["nsenter", *([] if os.geteuid() == 0 else ["--user", "--preserve-credentials"])]


class SmallDisk:
    """A disk of ``megabytes`` at ``directory``, for what is called as :meth:`inside` says."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        self._directory = directory
        self._log = directory.with_name(f"{directory.name}.disk.log")
        self._size = f"{megabytes}m"
        self._holder: Child | None = None

    def mount(self) -> None:
        """Make it, empty."""
        assert self._holder is None, "this disk is there already"
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [
            *_UNSHARE, "--mount", "--propagation", "private", "sh", "-c",
            'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec sleep infinity',
            "sh", self._size, str(self._directory),
        ]  # fmt: skip
        self._holder = Child(command, log=self._log)
        self._holder.wait_for_output("mounted", seconds=_SECONDS)

    @property
    def is_mounted(self) -> bool:
        return self._holder is not None

    def inside(self, command: list[str]) -> list[str]:
        """Return the command that runs ``command`` where the disk is."""
        assert self._holder is not None, "this disk isn't there"
        return [*_ENTER, "--target", str(self._holder.pid), "--mount", "--", *command]

    def reached(self, path: Path) -> Path:
        """Return by what path this process sees one of those inside."""
        assert self._holder is not None, "this disk isn't there"
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def fill(self) -> None:
        """Take all the room that is left."""

        def filled() -> bool:
            with suppress(OSError), self._ballast.open("ab") as file:
                # What somebody else takes meanwhile makes it fail, and is looked for again.
                os.posix_fallocate(file.fileno(), file.tell(), self.free_bytes())
            return not self.free_bytes()

        wait_until(filled, seconds=_SECONDS, what="the disk is full")

    def free(self) -> None:
        """Give back what :meth:`fill` took."""
        self._ballast.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        found = os.statvfs(self.reached(self._directory))
        return found.f_bavail * found.f_frsize

    def unmount(self) -> None:
        """Be gone, with all that is on it."""
        if self._holder is not None:
            self._holder.kill()
            self._holder = None

    @property
    def _ballast(self) -> Path:
        return self.reached(self._directory) / "ballast"
