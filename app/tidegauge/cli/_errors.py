"""How a command fails: one line on standard error, and an exit code for the kind of failure."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer
from pydantic import ValidationError

from tidegauge.cli._print import echo
from tidegauge.kafka import BrokersAway, KafkaException, NotTaken

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
