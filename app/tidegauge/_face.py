"""The face of a room: the names that others may use, each module imported on the first use of one.

So a command line waits for no module that it has no use for, a serving node's for none of a worker,
and rooms don't import each other in a circle for the sake of their faces. Type checkers read the
imports under ``TYPE_CHECKING`` in the room's ``__init__``, and so does :func:`face`: they are the
one list of its names.
"""

import linecache
import re
import sys
from importlib import import_module
from types import ModuleType

#: An import under ``TYPE_CHECKING``: the module, and the names with their aliases.
_PROMISE = re.compile(r"^    from ([\w.]+) import (\([^)]*\)|.*)", re.MULTILINE)


class _Face(ModuleType):
    """A package that resolves its names late. A name comes before a module that is called the same.

    As the import system binds each module in its package, and ``measure.measure`` is to be had as
    ``measure``, such a binding is passed over.
    """

    _places: dict[str, str]

    def __getattr__(self, name: str) -> object:
        place = self.__dict__.get("_places", {}).get(name)
        if place is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found: object = getattr(import_module(f"{self.__name__}.{place}"), name)
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in self._places):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._places})


def face(room: str) -> None:
    """Give ``room`` the names that its ``__init__`` imports for type checkers, as ``A as A``."""
    module = sys.modules[room]
    module.__class__ = _Face
    places = {name: place for place, names in _promised(module).items() for name in names}
    module.__dict__.update(_places=places, __all__=sorted(places))


def _promised(module: ModuleType) -> dict[str, list[str]]:
    # Through its loader, so from a zip file too.
    source = "".join(linecache.getlines(str(module.__file__), module.__dict__))
    return {
        place.removeprefix(f"{module.__name__}."): re.findall(r"\bas (\w+)", names)
        for place, names in _PROMISE.findall(source)
    }
