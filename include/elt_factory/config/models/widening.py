"""Which type holds every value of another: the order in which a column may grow, and never shrink."""

from __future__ import annotations

from elt_factory.config.models.values import MAX_PRECISION, ColumnType

INTEGER_DIGITS = 19  # of 64 bits
_SCALE = 9  # that of `decimal` without numbers
UNDECLARED = ColumnType("decimal", MAX_PRECISION, _SCALE)  # of numbers of which nothing says the scale
# each has one way to be written, the same in every warehouse
_AS_TEXT = ("integer", "decimal", "boolean", "date", "json")


def holds(wider: ColumnType, narrower: ColumnType) -> bool:
    """Whether every value of one type is a value of the other, exactly."""
    if wider == narrower:
        return True
    match wider.name, narrower.name:
        case "decimal", "decimal":
            return wider.scale >= narrower.scale and _whole_digits(wider) >= _whole_digits(narrower)
        case "decimal", "integer":
            return _whole_digits(wider) >= INTEGER_DIGITS
        case "text", name:
            return name in _AS_TEXT
        case "datetime", "date":
            return True
    return False


def number_for(kind: ColumnType, whole_digits: int, scale: int) -> ColumnType | None:
    """Return the decimal that holds a number type and numbers of that many digits; None without one or a need."""
    if kind.name not in ("integer", "decimal"):
        return None
    whole = max(whole_digits, INTEGER_DIGITS if kind.name == "integer" else _whole_digits(kind))
    found = decimal_for(whole, max(scale, kind.scale))
    return found if found != kind else None


def decimal_for(whole_digits: int, scale: int) -> ColumnType | None:
    """Return the decimal that holds numbers of that many digits before and after the point; None without one.

    It is `decimal(38,9)` where that suffices, so that a column does not grow again with every digit.
    """
    wanted = scale if scale > _SCALE or whole_digits + _SCALE > MAX_PRECISION else _SCALE
    return ColumnType("decimal", MAX_PRECISION, wanted) if whole_digits + wanted <= MAX_PRECISION else None


def _whole_digits(kind: ColumnType) -> int:
    return kind.precision - kind.scale
