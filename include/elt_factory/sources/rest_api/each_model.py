"""The language of JSON APIs: `for_each`, the rows or values that a table asks once for each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from elt_factory.config.errors import KEY, MistakeError, raise_found, shown
from elt_factory.config.models.sql_rules import check_reading

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_QUERY, _OF = "query", "of"
_TAKEN = ("window", "params", "cursor", "load_id", "run_id")
_EXAMPLE = "write the name of a table, or a list as in {region: [EMEA, APAC]}"


@dataclass(frozen=True)
class Each:
    """What a table asks once for each: the rows of a table of this config, values of lists, or rows of a query.

    Args:
        table: The table.
        lists: The values by their names; of several lists each combination.
        query: A query, with the name of its rows: of the warehouse, or of tables of this config.
        of: These tables.
    """

    table: str | None = None
    lists: Mapping[str, tuple[str | int | float | bool, ...]] = field(default_factory=dict)
    query: tuple[str, str] | None = None
    of: tuple[str, ...] = ()

    @property
    def parents(self) -> tuple[str, ...]:
        """The tables of this config whose landed rows are meant."""
        return (self.table,) if self.table else self.of

    @property
    def of_rows(self) -> str:
        """What the rows are called in templates; empty text where there are none."""
        return self.table or (self.query[0] if self.query else "")

    @property
    def names(self) -> tuple[str, ...]:
        """The names for templates; one that ends with a dot stands for the columns below it."""
        return (f"{self.of_rows}.",) if self.of_rows else tuple(self.lists)

    @property
    def written(self) -> Any:
        """What the YAML says."""
        if self.query:
            return {self.query[0]: {_QUERY: self.query[1], **({_OF: list(self.of)} if self.of else {})}}
        return self.table or {name: list(values) for name, values in self.lists.items()}


def _parse(value: object) -> Each:
    if isinstance(value, Each):
        return value
    if isinstance(value, str) and value:
        if value in _TAKEN:
            hint = "give the table another name"
            raise MistakeError(f'"{value}" is a name of templates already', hint, code="conflict")
        return Each(table=value)
    if not isinstance(value, Mapping) or not value:
        raise MistakeError(f"expected a table or a mapping, got {shown(value)}", _EXAMPLE, code="wrong-type")
    raise_found(_bad_names(value))
    queries = [name for name, below in value.items() if isinstance(below, Mapping)]
    if not queries:
        raise_found(mistake for name, below in value.items() for mistake in _bad_list(name, below))
        return Each(lists={name: tuple(below) for name, below in value.items()})
    (name, *more) = queries
    if more or len(value) > 1:
        raise MistakeError(
            "a query stands alone", "join what is needed within the query", at=(name, KEY), code="conflict"
        )
    return Each(query=(name, _query_of(name, value[name])), of=_tables_of(name, value[name]))


def _bad_names(value: Mapping[Any, Any]) -> Iterator[MistakeError]:
    for name in value:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
            hint = "use small letters, digits and _, and none of " + ", ".join(_TAKEN)
            yield MistakeError(f"invalid name {shown(name)}", hint, at=(name, KEY), code="bad-name")


def _bad_list(name: str, values: object) -> Iterator[MistakeError]:
    if not isinstance(values, list | tuple):
        hint = f"write it as a list: [{values}]" if isinstance(values, str | int) else _EXAMPLE
        yield MistakeError(f"expected a list, got {shown(values)}", hint, at=(name,), code="wrong-type")
    elif not values:
        yield MistakeError("the list is empty", "add a value", at=(name,), code="incomplete")
    else:
        for index, one in enumerate(values):
            # Python takes 1, 1.0 and true for the same
            if any(type(one) is type(other) and one == other for other in values[:index]):
                message = f"{shown(one)} is repeated"
                yield MistakeError(message, "write each value once", at=(name, index), code="conflict")
            if not isinstance(one, str | int | float) or one == "":
                hint = "write text or a number"
                yield MistakeError(f"expected a value, got {shown(one)}", hint, at=(name, index), code="wrong-type")


def _query_of(name: str, below: Mapping[Any, Any]) -> str:
    for key in below:
        if key not in (_QUERY, _OF):
            hint = f"write {_QUERY}, or {_OF} with the tables of this config that it reads"
            raise MistakeError(f"unknown key {shown(key)}", hint, at=(name, key, KEY), code="bad-value")
    query = below.get(_QUERY)
    if not isinstance(query, str) or not query.strip():
        hint = "write query: select id from ..."
        raise MistakeError("a query is missing", hint, at=(name,), code="incomplete")
    try:
        return check_reading(query)
    except MistakeError as error:
        raise MistakeError(error.message, error.hint, at=(name, _QUERY, *error.at), code=error.code) from None


def _tables_of(name: str, below: Mapping[Any, Any]) -> tuple[str, ...]:
    given = below.get(_OF, ())
    is_list = isinstance(given, list | tuple) and all(isinstance(table, str) for table in given)
    if not is_list or (_OF in below and not given):
        hint = "write a list of tables of this config, as in of: [orders]"
        raise MistakeError(f"expected tables, got {shown(given)}", hint, at=(name, _OF), code="wrong-type")
    return tuple(given)


_SCALAR = {"type": ["string", "number", "boolean"]}
ForEach = Annotated[
    Each,
    BeforeValidator(_parse),
    PlainSerializer(lambda each: each.written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": rf"^(?!({'|'.join(_TAKEN)})$){_NAME.pattern}$"},
                    "additionalProperties": {
                        "anyOf": [
                            {"type": "array", "minItems": 1, "items": _SCALAR},
                            {
                                "type": "object",
                                "additionalProperties": False,
                                "required": [_QUERY],
                                "properties": {
                                    _QUERY: {"type": "string", "minLength": 1},
                                    _OF: {"type": "array", "minItems": 1, "items": {"type": "string"}},
                                },
                            },
                        ]
                    },
                },
            ]
        }
    ),
]
