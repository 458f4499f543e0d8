"""What an error may show of a file that holds secrets: never what may be one.

People write a password as a key, as a type, behind ``env:``, or forget a quote. So an error names
the place, what was expected, and of what was found only words that a file of that kind has.
"""

import re
from collections.abc import Collection
from difflib import get_close_matches

#: What stands for what is not shown.
UNSHOWN = "…"

_WORD = re.compile(r"[a-z]+(_[a-z]+)*")

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")

#: What a parser of YAML quotes of its own.
_TOKENS = re.compile(r"['\"](<[a-z ]+>|[^\w\s]{1,3})['\"]")


def shown(word: str, known: Collection[str]) -> str:
    """Return a word if it is a known one or a slip of one, else :data:`UNSHOWN`.

    >>> shown("match", ["match"]), shown("matsh", ["match"]), shown("Tr0ub4dor", ["match"])
    ('match', 'matsh', '…')
    """
    if word in known:
        return word
    return word if _WORD.fullmatch(word) and get_close_matches(word, known, n=1) else UNSHOWN


def without_quotes(message: str) -> str:
    """Take from a parser's message what it quotes of the text.

    >>> without_quotes("found undefined alias 'hunter2'")
    "found undefined alias '…'"
    """
    return _QUOTED.sub(
        lambda found: found[0] if _TOKENS.fullmatch(found[0]) else f"'{UNSHOWN}'", message
    )
