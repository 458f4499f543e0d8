"""A file of receivers that changes: what is taken up, and what a wrong one leaves in force."""

from pathlib import Path

import pytest

from tidegauge.config.files import LOOK_SECONDS, FileError, WatchedFile
from tidegauge.notify.config import ReceiverFile, load_receivers

FILE = """\
receivers:
- {name: a, type: webhook, url: "http://one/", secret: {file: SECRET}}
"""


class World:
    """A file of receivers with a secret, and the time."""

    def __init__(self, directory: Path) -> None:
        self.path, self.secret = directory / "receivers.yaml", directory / "secret"
        self.secret.write_text("first")
        self.write(FILE)
        self.now = 100.0
        self.file: WatchedFile[ReceiverFile] = WatchedFile(
            lambda: load_receivers(self.path), lambda: self.now, what="receivers"
        )

    def write(self, text: str) -> None:
        self.path.write_text(text.replace("SECRET", str(self.secret)))

    def look(self, times: int = 2) -> list[bool]:
        news = []
        for _ in range(times):
            self.now += LOOK_SECONDS
            news.append(self.file.look())
        return news


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_news_are_told_once_when_they_are_found_the_same_twice(world: World) -> None:
    assert world.look() == [False, False]
    world.write(FILE.replace("name: a", "name: b"))
    assert world.look(3) == [False, True, False]
    assert [one.name for one in world.file.value.receivers] == ["b"]


def test_what_means_the_same_is_no_news(world: World) -> None:
    world.write("# the same\n" + FILE)
    assert world.look(3) == [False, False, False]


def test_another_secret_is_news_though_the_file_is_the_same(world: World) -> None:
    world.secret.write_text("second")
    assert world.look() == [False, True]
    assert world.file.value.receivers[0].secret.reveal() == "second"


def test_a_secret_that_is_gone_keeps_the_receivers_of_before(world: World) -> None:
    world.secret.unlink()
    assert world.look(3) == [False, False, False]
    assert "can't be read" in world.file.problems[0]
    assert world.file.value.receivers[0].secret.reveal() == "first"
    world.secret.write_text("first")
    assert world.look() == [False, False]
    assert world.file.problems == []


def test_a_wrong_file_at_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "receivers.yaml").write_text("receivers: []\n")
    with pytest.raises(FileError):
        WatchedFile(
            lambda: load_receivers(tmp_path / "receivers.yaml"), lambda: 0.0, what="receivers"
        )
