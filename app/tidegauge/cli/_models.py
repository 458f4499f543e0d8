"""What a command adds when it finds nothing of the model that it was asked for.

"Nothing fires" is what somebody wants to read, so it must not be the answer to a name that no model
has.
"""

from collections.abc import Iterable

#: Models that are named; anybody may make up names.
_NAMED = 10


def of_model(model: str | None, known: Iterable[str], what: str) -> str:
    """Return the end of a line that says that nothing was found.

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
    named = ", ".join(models[:_NAMED]) + (" and others" if len(models) > _NAMED else "")
    others = f"; there are some of {named}" if models else ""
    return f" of model {model}: there is no {what} of that model{others}"
