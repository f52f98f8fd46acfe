"""The names of a table's checks in `_elt.quality_results`: no two checks of a table have the same one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from elt_factory.config.models.allowance import NONE
from elt_factory.config.models.checks import Check, ColumnCheck, TableCheck
from elt_factory.config.models.table import Table

C = TypeVar("C", bound=Check)


@dataclass(frozen=True)
class Named(Generic[C]):
    """A check and its name. `column` is "" where it is the table's."""

    name: str
    check: C
    column: str = ""


@dataclass(frozen=True)
class NamedChecks:
    """The checks of a table's columns, and those of the table."""

    of_columns: tuple[Named[ColumnCheck], ...]
    of_table: tuple[Named[TableCheck], ...]


def named_checks(table: Table, checks: Sequence[TableCheck]) -> NamedChecks:
    """Return the checks of a table with their names.

    A name is the short one where no other check has it. Those that would share one say in what they differ: the rule,
    how many rows may fail, the severity, the stage; what still is the same gets a number.
    """
    columns = [(check, name) for name, column in table.columns.items() for check in column.checks]
    names = _names([*columns, *((check, "") for check in checks)])
    of_columns = tuple(Named(name, *both) for name, both in zip(names, columns, strict=False))
    return NamedChecks(of_columns, tuple(map(Named, names[len(columns) :], checks)))


def _names(checks: Sequence[tuple[Check, str]]) -> list[str]:
    groups: dict[str, list[int]] = defaultdict(list)
    for place, (check, column) in enumerate(checks):
        groups[check.named(column)].append(place)
    names = dict[int, str]()
    for places in groups.values():
        names.update(zip(places, _told_apart([checks[place] for place in places]), strict=True))
    return list(_numbered([names[place] for place in range(len(checks))]))


def _told_apart(checks: Sequence[tuple[Check, str]]) -> list[str]:
    """Return names with what differs between checks that have one name."""
    said = [_parts(check, column) for check, column in checks]
    differ = [len(set(values)) > 1 for values in zip(*said, strict=True)]
    return [
        " ".join(part for place, part in enumerate(parts) if part and (place in _SHORT or differ[place]))
        for parts in said
    ]


_SHORT = frozenset({0, 2})  # the parts that every name has


def _parts(check: Check, column: str) -> tuple[str, ...]:
    return (
        check.label(column),
        check.rule,
        f"where {check.where}" if check.where else "",
        f"for all but {check.max_failing}" if check.max_failing != NONE else "",
        f"({check.severity})",
        f"({check.stage.replace('_', ' ')})" if isinstance(check, TableCheck) else "",
    )


def _numbered(names: Sequence[str]) -> Iterator[str]:
    taken = set[str]()
    for name in names:
        own, number = name, 1
        while own in taken:
            number += 1
            own = f"{name}, {number}"
        taken.add(own)
        yield own
