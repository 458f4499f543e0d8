"""A peer's side of the conversation: a question a line on stdin, its answer a line on stdout."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

#: From a question's fields to an answer that JSON can hold.
Handler = Callable[..., Any]


def answer(handlers: Mapping[str, Handler]) -> None:
    """Answer until stdin ends; each question names its handler in ``ask``."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a package prints is no answer
    for line in sys.stdin:
        question = json.loads(line)
        handler = handlers[question.pop("ask")]
        print(json.dumps(handler(**question)), file=answers, flush=True)
