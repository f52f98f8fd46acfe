"""The one door by which kinds come in: kinds of sources, formats, warehouses, checks, sensors, notifiers.

A kind is one object that holds all that is known of it. Built-in kinds and those of other packages are found alike, by
a name and the place of the object, `package.module:OBJECT`; another package names its own as entry points. An object is
imported when a config names it, and not before: what a config does not use costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class KindError(Exception):
    """A kind that is registered and cannot be used: it does not import, or is not what its door takes."""


@dataclass(frozen=True)
class Door(Generic[T]):
    """Where the kinds of one thing come in.

    Args:
        group: The entry points' group, as in `elt_factory.sensors`.
        built_in: ELT Factory's own kinds: where the object of each is.
        takes: Where the class of such an object is.
    """

    group: str
    built_in: Mapping[str, str]
    takes: str
    _found: dict[str, T] = field(default_factory=dict, compare=False)

    def names(self) -> tuple[str, ...]:
        """Return the names of all kinds, ours first; nothing is imported."""
        return (*self.built_in, *(name for name in sorted(_installed(self.group)) if name not in self.built_in))

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a kind of this name; other packages are asked only where none of ELT Factory has it."""
        return name in self.built_in or name in _installed(self.group)

    def get(self, name: str) -> T:
        """Return the kind of this name.

        Raises:
            KeyError: there is none.
            KindError: it cannot be imported, or is not such an object.
        """
        if name not in self._found:
            self._found[name] = self._load(name)
        return self._found[name]

    def all(self) -> tuple[T, ...]:
        """Return every kind, ours first. Each is imported.

        Raises:
            KindError: one of them cannot be.
        """
        return tuple(self.get(name) for name in self.names())

    def _load(self, name: str) -> T:
        place = self.built_in[name] if name in self.built_in else _installed(self.group)[name]
        what = f'"{name}" of {self.group}, {place},'
        try:
            found, taken = _object(place), _object(self.takes)
        except Exception as error:  # whatever a package of someone else's raises is this kind's trouble alone
            raise KindError(f"{what} cannot be imported: {type(error).__name__}: {error}") from error
        if not isinstance(found, taken):
            raise KindError(f"{what} is not a {taken.__name__}")
        if getattr(found, "name", None) != name:
            raise KindError(f"{what} has the name {getattr(found, 'name', None)!r}")
        return cast("T", found)


@cache
def _installed(group: str) -> Mapping[str, str]:
    """Where other packages say that their kinds are, by name."""
    return {point.name: point.value for point in entry_points(group=group)}


def _object(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
