"""How a command fails: one clear line on standard error, and an exit code that says why."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer
from confluent_kafka import KafkaException
from pydantic import ValidationError

from tidegauge.cli._kafka import BrokersAway
from tidegauge.cli._print import echo
from tidegauge.kafka import NotTaken

P = ParamSpec("P")
R = TypeVar("R")

#: Wrong input or configuration.
BAD_INPUT = 2

#: Something that is needed can't be reached.
UNREACHABLE = 3


def fail(message: str, code: int) -> typer.Exit:
    """Say what is wrong; raise what this returns."""
    echo(f"tidegauge: {message}", err=True, fg="red")
    return typer.Exit(code)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that a user can mend into a line and an exit code."""

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
        except typer.Exit:
            raise
        except Exception as error:
            # With numpy and redis it takes half of the start of a command that uses neither.
            from tidegauge.baseline.io import StoreError, StoreUnavailable

            if isinstance(error, StoreUnavailable):
                raise fail(str(error), UNREACHABLE) from error
            if isinstance(error, OSError) and error.filename and error.strerror:
                raise fail(f"{error.filename}: {error.strerror}", BAD_INPUT) from error
            if isinstance(error, (StoreError, ValueError, OSError)):
                raise fail(str(error), BAD_INPUT) from error
            raise

    return run
