"""What commands share: settings, exit codes, and the records that they find or skip."""

import functools
import getpass
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import typer
from pydantic import ValidationError

from tidegauge.cli.printing import echo
from tidegauge.config import Settings, load_settings
from tidegauge.kafka import BrokersAway, KafkaException, NotTaken, ask_brokers

P = ParamSpec("P")
R = TypeVar("R")

#: Wrong input or configuration.
BAD_INPUT = 2

#: Something that is needed can't be reached.
UNREACHABLE = 3


def fail(message: str, code: int) -> typer.Exit:
    """Print what is wrong; the caller raises what this returns."""
    echo(f"tidegauge: {message}", err=True, fg="red")
    return typer.Exit(code)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that a user can correct into a line and an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KafkaException as error:
            raise fail(f"Kafka: {error.args[0]}", UNREACHABLE) from error
        except (BrokersAway, NotTaken) as error:
            raise fail(str(error), UNREACHABLE) from error
        except ValidationError as error:
            # Never with the value that was found: it may be a password.
            wrong = [
                f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
                for one in error.errors(include_input=False, include_url=False)
            ]
            raise fail("; ".join(wrong), BAD_INPUT) from error
        except (typer.Exit, BrokenPipeError):
            # Of a pipe whose reader has seen enough, as ``head`` does, click ends the command.
            raise
        except Exception as error:
            # Imported late: with numpy and redis it would double the start of other commands.
            from tidegauge.baseline.io import StoreError, StoreUnavailable

            if isinstance(error, StoreUnavailable):
                raise fail(
                    f"{error}. Is it running? Its address is redis.url in tidegauge.yaml or "
                    "TIDEGAUGE_REDIS__URL, its password redis.password",
                    UNREACHABLE,
                ) from error
            if isinstance(error, OSError) and error.filename and error.strerror:
                raise fail(f"{error.filename}: {error.strerror}", BAD_INPUT) from error
            if isinstance(error, (StoreError, ValueError, OSError)):
                raise fail(str(error), BAD_INPUT) from error
            raise

    return run


def kafka_settings() -> Settings:
    """Read the settings of a command that needs the brokers; asks once, briefly, if one answers.

    Raises :class:`BrokersAway` if none does. Every later request has a longer deadline of its own,
    and librdkafka would fill it with lines about each attempt.
    """
    settings = load_settings()
    ask_brokers(settings.kafka)
    return settings


T = TypeVar("T")

#: Models that are named; anybody may make up names.
_NAMED_MODELS = 10

#: Places that are named; the others are counted.
_NAMED_PLACES = 5


def only(
    found: Iterable[T], id: str, what: str, id_of: Callable[[T], Iterable[str]], *, see: str
) -> T:
    """Return the last record among those of the one name that begins with ``id``.

    ``id_of`` returns the name of a record, and after it other ids that it is known by. Raises
    ``ValueError``, which refers to the command ``see``, if no name or more than one fits.
    """
    named: dict[str, T] = {}
    for one in found:
        name, *others = id_of(one)
        if any(each.startswith(id) for each in (name, *others)):
            named[name] = one
    if not named:
        raise ValueError(f"there is no {what} {id}; see: {see}")
    if len(named) > 1:
        raise ValueError(f"{len(named)} {what}s begin with {id}; give more of the id")
    return next(iter(named.values()))


def actor_or_user(actor: str) -> str:
    """Return who acts: ``actor``, or else the user of this process and its host."""
    return actor or f"{user()}@{socket.gethostname()}"


def user() -> str:
    """Return the user of this process; a container often has only a number for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def of_model(model: str | None, known: Iterable[str], what: str) -> str:
    """Return the end of a line that says that nothing was found.

    "Nothing fires" must not be the answer to a name that no model has.

    >>> of_model(None, ["credit"], "alert"), of_model("credit", ["credit"], "alert")
    ('', ' of model credit')
    >>> of_model("kredit", ["credit", "fraud"], "alert")
    ' of model kredit: there is no alert of that model; there are some of credit, fraud'
    """
    if model is None:
        return ""
    models = sorted(set(known))
    if model in models:
        return f" of model {model}"
    more = " and others" if len(models) > _NAMED_MODELS else ""
    others = f"; there are some of {', '.join(models[:_NAMED_MODELS])}{more}" if models else ""
    return f" of model {model}: there is no {what} of that model{others}"


class SkippedRecords:
    """Called with the place of a record that is not what its topic holds, and the reason."""

    def __init__(self) -> None:
        self.number = 0
        self._first: list[str] = []

    def __call__(self, place: str, why: str) -> None:
        """Note one record."""
        self.number += 1
        if len(self._first) < _NAMED_PLACES:
            self._first.append(f"{place} ({why})")

    def __str__(self) -> str:
        """Return how many there were, and where."""
        records = "1 record was" if self.number == 1 else f"{self.number:,} records were"
        more = self.number - len(self._first)
        named = "; ".join(self._first) + (f"; and {more:,} more" if more else "")
        return f"{records} skipped: {named}"


@contextmanager
def skipping() -> Iterator[SkippedRecords]:
    """Yield what to call for a skipped record; afterwards warn of them once."""
    found = SkippedRecords()
    try:
        yield found
    finally:
        if found.number:
            warn(str(found))


def warn(text: str, *, fg: str | None = None) -> None:
    """Print a warning on standard error; it has no effect on the exit code."""
    echo(f"tidegauge: warning: {text}", err=True, fg=fg)
