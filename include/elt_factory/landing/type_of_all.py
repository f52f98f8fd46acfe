"""The one type that holds the values of several: of the parts of a load, and of files that say their types."""

from __future__ import annotations

from collections.abc import Mapping

from elt_factory.config.models.values import MAX_PRECISION, ColumnType
from elt_factory.config.models.widening import INTEGER_DIGITS, holds

_WHOLE_IN_FLOAT = 2**53  # every whole number below is a float exactly
_DIGITS_IN_FLOAT = 15  # every decimal number of that many digits can be read back from the nearest float
_ROUNDED = 1 + 2**-50  # how much a number may be larger than the float that it became
_NUMBERS = ("integer", "decimal")


def type_of_all(largest: Mapping[ColumnType, float]) -> ColumnType | None:
    """Return the type that holds every value of all types; None where there is none.

    Text does so, too, but not as the source has written it: it is found only where it is the only one.

    Args:
        largest: The types that have values, each with its largest number; that of other values is 0.
    """
    if len(largest) == 1:
        return next(iter(largest))
    fit = (kind for kind in largest if kind.name != "text" and all(_holds(kind, *other) for other in largest.items()))
    return next(fit, None) or _decimal_for(largest)


def _holds(wider: ColumnType, narrower: ColumnType, largest: float) -> bool:
    """Whether every value of one type, the largest of which is known, is a value of the other."""
    if (wider.name, narrower.name) == ("float", "integer"):
        return largest < _WHOLE_IN_FLOAT
    if (wider.name, narrower.name) == ("float", "decimal"):
        return _digits(largest) + narrower.scale <= _DIGITS_IN_FLOAT
    return holds(wider, narrower)


def _decimal_for(largest: Mapping[ColumnType, float]) -> ColumnType | None:
    """Return a decimal with all digits that the types have, else with all that their values have."""
    if any(kind.name not in _NUMBERS for kind in largest):
        return None
    scale = max(kind.scale for kind in largest)
    whole = max(INTEGER_DIGITS if kind.name == "integer" else kind.precision - kind.scale for kind in largest)
    if whole + scale <= MAX_PRECISION:
        return ColumnType("decimal", whole + scale, scale)
    fits = _digits(max(largest.values())) + scale <= MAX_PRECISION
    return ColumnType("decimal", MAX_PRECISION, scale) if fits else None


def _digits(number: float) -> int:
    """Return how many digits a number has before the point at most."""
    return len(str(int(number * _ROUNDED)))
