"""Where a place in the models lies in a file, and what may appear there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from elt_factory.config.errors import KEY
from elt_factory.config.models.base import Model
from elt_factory.config.models.by_type import opened
from elt_factory.config.yaml.source import YamlPath


@dataclass(frozen=True)
class Location:
    """A place in a config.

    Args:
        path: Its path in the file.
        options: The types that a value may have here, without None; nothing where nothing is known.
        is_key: Whether the key is meant and not its value.
        siblings: The keys that are known next to it.
    """

    path: YamlPath
    options: tuple[Any, ...]
    is_key: bool = False
    siblings: tuple[str, ...] = ()


def locate(model: type[Model], loc: Sequence[str | int]) -> Location:
    """Return the place that a pydantic location means; the tags of unions in it do not appear in the file."""
    place = Location((), (model,))
    for part in loc:
        if part == KEY:
            return Location(place.path, place.options, is_key=True)
        place = _step(place, part)
    return place


def kinds(options: Sequence[Any]) -> dict[str, type[Model]]:
    """Return the models of a union by their `type`; empty where there is no such union."""
    models = [option for option in options if is_model(option) and "type" in option.model_fields]
    return {tag: model for model in models for tag in get_args(model.model_fields["type"].annotation)}


def choices(options: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values of the literals among the options."""
    return tuple(value for option in options if get_origin(option) is Literal for value in get_args(option))


def fields(model: type[Model]) -> dict[str, Any]:
    """Return the annotations of a model's fields, by the names they have in a file."""
    return {name: field.annotation for name, field in model.keys().items()}


def required(model: type[Model]) -> list[str]:
    """Return the keys that a model cannot do without, by the names they have in a file."""
    return [name for name, field in model.keys().items() if field.is_required()]


def is_model(option: Any) -> TypeGuard[type[Model]]:
    """Whether an option is a model, and so a mapping with known keys in the file."""
    return isinstance(option, type) and issubclass(option, Model)


@dataclass(frozen=True)
class Home:
    """A place where a key is known.

    Args:
        above: The path of the mapping that takes it, with <name> and <n> for any entry.
        key: The key.
        tag: The `type` of the mapping, where it is one of several kinds; else "".
    """

    above: tuple[str, ...]
    key: str
    tag: str

    def __str__(self) -> str:
        return ".".join((*self.above, self.key))


def homes(model: type[Model], key: str) -> Iterator[Home]:
    """Yield the places in a file where a key is known below a model, the nearest first, as in `tables.<name>.path`."""
    level: list[tuple[tuple[str, ...], Any]] = [((), model)]
    while level:
        models = [(path, option) for path, option in level if is_model(option)]
        yield from (Home(path, key, _tag(option) if path else "") for path, option in models if key in fields(option))
        level = [below for path, option in level for below in _below(path, option)]


def _tag(model: type[Model]) -> str:
    """Return the `type` of a model that is one kind of several; "" for others."""
    field = model.model_fields.get("type")
    found = get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
    return str(found[0]) if found else ""


def _below(path: tuple[str, ...], option: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if is_model(option):
        found: Mapping[str, Any] = fields(option)
    else:
        found = {"<name>" if get_origin(option) is dict else "<n>": inner for inner in _inner(option)}
    for name, annotation in found.items():
        for inner in flat(annotation):
            yield (*path, name), inner


def _inner(option: Any) -> tuple[Any, ...]:
    origin, arguments = get_origin(option), get_args(option)
    if origin is dict:
        return arguments[1:]
    return tuple(argument for argument in arguments if argument is not Ellipsis) if origin in (tuple, list) else ()


def flat(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of an annotation: unions and doors opened, None and what only annotates left out."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return flat(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(option for argument in get_args(annotation) for option in flat(argument))
    return () if annotation in (None, type(None)) else opened(annotation)


def _step(place: Location, part: str | int) -> Location:
    tagged = kinds(place.options)
    if len(place.options) > 1 and part in tagged:
        return Location(place.path, (tagged[str(part)],))
    option = place.options[0] if place.options else None
    if isinstance(part, int):
        # a list may be the second of what is allowed
        option = next((one for one in place.options if _inner(one)), option)
    if is_model(option):
        known = fields(option)
        return Location((*place.path, part), flat(known.get(str(part))), siblings=tuple(known))
    inner = _inner(option)
    if not inner:
        # a type within a union of plain types, as in ("initial", "int")
        return place
    item = inner[part] if isinstance(part, int) and part < len(inner) else inner[0]
    return Location((*place.path, part), flat(item))
