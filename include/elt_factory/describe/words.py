"""Human-readable values and types: a field's type in words with its units, a value as YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from elt_factory.config.errors import MistakeError
from elt_factory.config.models import durations, values
from elt_factory.config.models.base import Model
from elt_factory.config.models.by_type import opened
from elt_factory.config.models.cron import Cron
from elt_factory.config.models.templates import Template
from elt_factory.sources.rest_api.each_model import ForEach
from elt_factory.sources.rest_api.request_model import Param

# the first whose marks an annotation carries: what narrows another appears before it
_NAMED: tuple[tuple[Any, str], ...] = (
    (durations.PositiveDuration, "duration above zero in s, m, h, d, w"),
    (durations.Duration, "duration in s, m, h, d, w"),
    (values.RequestRate, "count/second, count/minute or count/hour"),
    (values.Share, "percentage"),
    (values.Type, "column type"),
    (values.TimeZone, "IANA time zone"),
    (values.Beginning, "date, instant or whole number"),
    (values.Date, "date"),
    (values.TimeOfDay, "time of day"),
    (values.FileTemplate, "file name pattern with templates"),
    (values.FilePattern, "file name pattern"),
    (values.Query, "query with templates"),
    (values.Name, "name"),
    (values.ConnectionId, "connection id"),
    (values.ColumnName, "column name"),
    (Cron, "cron expression"),
    (Template, "text with templates"),
    (ForEach, "table, mapping from names to lists, or mapping from a name to a query"),
    (Param, "text with templates, number, true or false"),
    (values.ParamName, "name"),
    (values.ParamValue, "text, number, true or false"),
    (values.Scalar, "text, number, true or false"),
)
_PLAIN: dict[Any, str] = {Any: "anything", str: "text", int: "whole number", float: "number", bool: "true or false"}
_TIMES: dict[Any, str] = {date: "date", datetime: "instant", time: "time of day", timedelta: "duration"}
_WIDE = 10_000


class _Dumper(yaml.SafeDumper):
    """Puts only text into quotes that YAML 1.2 takes for something else: dates, times, `no` stay plain."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and type are PyYAML's
        None: [
            (f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z", re.IGNORECASE))
            for tag, pattern in (
                ("null", "~|null|"),
                ("bool", "true|false"),
                ("int", "[-+]?[0-9]+"),
                ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:e[-+]?[0-9]+)?"),
            )
        ]
    }


def field_words(field: FieldInfo) -> str:
    """Return the type of a model's field."""
    return type_words(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)


def type_words(annotation: Any) -> str:
    """Return a type: `list of column names`, `append, merge or replace`; models by their name in brackets."""
    if get_origin(annotation) is Annotated:
        marks = get_args(annotation)[1:]
        named = next((words for alias, words in _NAMED if all(mark in marks for mark in get_args(alias)[1:])), None)
        return named or ("text with templates" if _takes_templates(annotation) else type_words(get_args(annotation)[0]))
    kinds = opened(annotation)
    if kinds != (annotation,):
        return either([type_words(kind) for kind in kinds])
    return _PLAIN.get(annotation) or _TIMES.get(annotation) or _compound(annotation)


def models_in(annotation: Any) -> Iterator[type[Model]]:
    """Yield the models that appear in a type, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield from opened(annotation)
    for argument in get_args(annotation):
        yield from models_in(argument)


def in_yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=_WIDE, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def either(words: list[str]) -> str:
    """Return `a, b or c`."""
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


def _takes_templates(annotation: Any) -> bool:
    """Whether a text is checked for the names of templates; other checks may differ from field to field."""
    if get_args(annotation)[0] is not str:
        return False
    try:
        TypeAdapter(annotation).validate_python("{{ unheard_of }}")
    except ValidationError as error:
        cause = error.errors()[0].get("ctx", {}).get("error")
        return isinstance(cause, MistakeError) and cause.code == "unknown-name"
    return False


def _compound(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return either([type_words(one) for one in arguments if one is not type(None)])
    if origin is Literal:
        return either([f"`{in_yaml(choice)}`" for choice in arguments])
    if origin is dict:
        return f"mapping from {type_words(arguments[0])} to {type_words(arguments[1])}"
    if origin in (tuple, list):
        return _list_words(arguments)
    return f"[{annotation.__name__}]" if isinstance(annotation, type) else "anything"


def _list_words(arguments: tuple[Any, ...]) -> str:
    if Ellipsis in arguments:
        return f"list of {type_words(arguments[0])}"
    return f"list of {len(arguments)}, each {type_words(arguments[0])}"
