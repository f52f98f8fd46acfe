"""What is known by column in a warehouse that does not keep the case of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class Folded(Mapping[str, Kept], Generic[Kept]):
    """A mapping whose names are found in any case and listed in small letters, in their order.

    Args:
        given: What there is by the names that the warehouse has.
    """

    def __init__(self, given: Mapping[str, Kept]) -> None:
        self._listed = {_small(name): value for name, value in given.items()}
        self._folded = {name.upper(): value for name, value in given.items()}

    def __getitem__(self, name: str) -> Kept:
        return self._folded[name.upper()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def __repr__(self) -> str:
        return f"Folded({self._listed!r})"


def _small(name: str) -> str:
    """Return a name in small letters; where they are those of another name, as of a Turkish capital i, as it is."""
    small = name.lower()
    return small if small.upper() == name.upper() else name


def exact_names(columns: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names whose case is known: none where the warehouse does not keep it."""
    return () if isinstance(columns, Folded) else tuple(columns)
