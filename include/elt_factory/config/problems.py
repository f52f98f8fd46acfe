"""Problems from what pydantic finds: each at its place in the file, in our words, with the mend."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from elt_factory.config.errors import KEY, MistakeError, MistakesError, Position, Problem, near_name, shown
from elt_factory.config.other_words import near_word
from elt_factory.config.places import Place, choices, fields, homes, is_model, kinds, locate, required
from elt_factory.config.yaml_source import YamlPath, YamlSource

# by the beginning of pydantic's error type
_WANTED: Mapping[str, str] = {
    "string": "text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "model": "a mapping",
    "dict": "a mapping",
    "mapping": "a mapping",
    "tuple": "a list",
    "list": "a list",
}
_LIMITS: Mapping[str, str] = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
}
_LENGTHS: Mapping[str, tuple[str, str]] = {
    "string_too_short": ("this text is too short", "characters: at least {min_length}"),
    "string_too_long": ("this text is too long", "characters: at most {max_length}"),
    "too_short": ("too few entries stand here", "write at least {min_length}"),
    "too_long": ("too many entries stand here", "write at most {max_length}"),
}
_EXAMPLES: Mapping[str, str] = {
    "text": "write one value, without brackets, dashes or keys",
    "true or false": "write true or false",
    "a whole number": "write digits, such as 3",
    "a number": "write digits, such as 0.5",
}

# words of YAML 1.1, and true and false in quotes, which are text here
_FLAGS: Mapping[str, str] = {
    word: flag
    for flag, words in (("true", ("yes", "on", "y", "true")), ("false", ("no", "off", "n", "false")))
    for word in words
}


def problems(source: YamlSource, model: type[BaseModel], errors: Iterable[ErrorDetails]) -> list[Problem]:
    """What pydantic found wrong in a file's data, one problem for each place."""
    found: dict[tuple[YamlPath, bool], Problem] = {}
    details = list(errors)
    unknown = [tuple(detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"]
    for detail in details:
        if _is_count_of_wrong(detail) or (detail["type"] == "missing" and _is_misspelt(tuple(detail["loc"]), unknown)):
            continue
        for mistake, place in _mistakes(model, detail):
            found.setdefault((place.path, place.is_key), _problem(source, place, mistake))
    return list(found.values())


def unknown_key(source: YamlSource, path: YamlPath, hint: str) -> Problem:
    """The problem of a key that does not exist."""
    return Problem(source.at_key(path), "unknown-key", f"{shown(path[-1])} is no key here", hint)


def wrong_kind(value: object, known: Iterable[str], what: str) -> MistakeError:
    """The mistake of a `type` that does not exist."""
    hint = near_word(value if isinstance(value, str) else "", known)
    return MistakeError(f"{shown(value)} is no {what}", hint, code="unknown-kind")


def needs_kind(value: object, known: Iterable[str]) -> MistakeError:
    """The mistake of something else where a mapping with a `type` belongs."""
    names = ", ".join(known)
    hint = f"write {{type: {value}}}" if value in tuple(known) else f"write {{type: ...}} with one of {names}"
    return MistakeError(f"a mapping with a type belongs here, not {shown(value)}", hint, code="wrong-type")


def _mistakes(model: type[BaseModel], detail: ErrorDetails) -> Iterator[tuple[MistakeError, Place]]:
    error = detail.get("ctx", {}).get("error")
    for mistake in error.found if isinstance(error, MistakesError) else [error]:
        if isinstance(mistake, MistakeError):
            # the mistake may lie below what was validated, and further below a union of models
            place = locate(model, detail["loc"])
            below = tuple(part for part in mistake.at if part != KEY)
            yield mistake, Place((*place.path, *below), place.options, is_key=place.is_key or KEY in mistake.at)
        else:
            yield _mistake(model, detail)


def _mistake(model: type[BaseModel], detail: ErrorDetails) -> tuple[MistakeError, Place]:
    kind, value = detail["type"], detail["input"]
    place = locate(model, detail["loc"])
    if kind == "extra_forbidden":
        key = str(place.path[-1])
        return MistakeError("", _near_key(model, key, place), code="unknown-key"), place
    if kind == "missing":
        return MistakeError(
            f"{shown(place.path[-1])} is missing here", f"add {place.path[-1]}:", code="missing-key"
        ), place
    if kind.startswith("union_tag"):
        return _union_mistake(place, kind, value)
    return _value_mistake(detail, place), place


def _value_mistake(detail: ErrorDetails, place: Place) -> MistakeError:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "literal_error":
        return _choice_mistake(place, value)
    if kind in _LIMITS:
        return MistakeError(f"{shown(value)} is out of range", f"write {_LIMITS[kind].format(**context)}")
    if kind in _LENGTHS:
        message, hint = _LENGTHS[kind]
        return MistakeError(message, hint.format(**context))
    wanted = _WANTED.get(re.split(r"[_.]", kind)[0])
    if wanted:
        message = f"{wanted} belongs here, not {shown(value)}" if value is not None else f"{wanted} is missing here"
        return MistakeError(message, _type_hint(wanted, value, place), code="wrong-type")
    return MistakeError(detail["msg"].removeprefix("Value error, "))


def _problem(source: YamlSource, place: Place, mistake: MistakeError) -> Problem:
    if mistake.code == "unknown-key":
        return unknown_key(source, place.path, mistake.hint)
    if mistake.code == "missing-key":
        return Problem(source.at_key(place.path[:-1]), mistake.code, mistake.message, mistake.hint)
    position = _position(source, place, mistake)
    named = ".".join(map(str, place.path))
    return Problem(position, mistake.code, f"{named}: {mistake.message}" if named else mistake.message, mistake.hint)


def _position(source: YamlSource, place: Place, mistake: MistakeError) -> Position:
    """What is empty or incomplete is found by its key; an entry of a list has none."""
    by_key = place.is_key or mistake.code == "incomplete" or _at(source.data, place.path) is None
    return source.at_key(place.path) if by_key and place.path in source.keys else source.at(place.path)


def _at(data: Any, path: YamlPath) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        else:
            data = data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None
    return data


def _is_count_of_wrong(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because pydantic does not count its wrong entries, told by themselves."""
    context, value = detail.get("ctx", {}), detail["input"]
    return detail["type"] == "too_short" and isinstance(value, (list, dict)) and len(value) >= context["min_length"]


def _is_misspelt(missing: tuple[str | int, ...], unknown: Iterable[tuple[str | int, ...]]) -> bool:
    """Whether a missing key stands there under a name that the hint for the unknown one mends already."""
    beside = [str(loc[-1]) for loc in unknown if loc[:-1] == missing[:-1]]
    return any(is_near(key, str(missing[-1])) for key in beside)


def is_near(key: str, known: str) -> bool:
    """Whether a key is another word for a known one."""
    return near_word(key, [known]).startswith("did you mean")


def _near_key(model: type[BaseModel], key: str, place: Place) -> str:
    """The hint for an unknown key: the place where it belongs, a near name, or all names."""
    elsewhere = next(homes(model, key), None)
    if elsewhere and not near_name(key, place.beside).startswith("did you mean"):
        return f"it belongs in {elsewhere}; look at the indentation"
    return near_word(key, place.beside)


def _union_mistake(place: Place, kind: str, value: Any) -> tuple[MistakeError, Place]:
    known = kinds(place.options)
    if kind == "union_tag_invalid":
        at_type = Place((*place.path, "type"), ())
        return wrong_kind(value["type"], known, str(place.path[-1])), at_type
    near = next((key for key in value if is_near(key, "type")), None) if isinstance(value, dict) else None
    if near:
        return MistakeError("", 'did you mean "type"?', code="unknown-key"), Place((*place.path, near), ())
    hint = f"add type: with one of {', '.join(known)}"
    return MistakeError('"type" is missing here', hint, code="missing-key"), Place((*place.path, "type"), ())


def _choice_mistake(place: Place, value: Any) -> MistakeError:
    known = choices(place.options)
    if known == (True,):
        return MistakeError(
            f"true belongs here, not {shown(value)}", "write true, or leave the rule out", code="wrong-type"
        )
    names = [str(choice) for choice in known]
    message = f"{shown(value)} is not known here"
    return MistakeError(message, near_word(str(value), names), code="unknown-value")


def _type_hint(wanted: str, value: Any, place: Place) -> str:
    scalar = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if wanted == "text" and isinstance(value, (int, float)):
        return f'put it in quotes: "{shown(value).removeprefix("the number ")}"'
    if wanted == "true or false" and isinstance(value, str) and value.casefold() in _FLAGS:
        return f"write {_FLAGS[value.casefold()]}, without quotes"
    if wanted == "a list" and (scalar or isinstance(value, dict)):
        return f"write it as a list: [{value}]" if scalar else "begin its entries with a dash"
    if wanted == "a mapping":
        return _mapping_hint(value, place)
    return "write it after the colon" if value is None else _EXAMPLES.get(wanted, "")


def _mapping_hint(value: Any, place: Place) -> str:
    if isinstance(value, list):
        return "write keys without dashes"
    model = next((option for option in place.options if is_model(option)), None)
    keys = list(fields(model)) if model else []
    if isinstance(value, str) and (value in kinds(place.options) or "type" in keys):
        return f"write {{type: {value}}}"
    if value in keys:
        return f"write {{{value}: ...}}"
    if value is None and not (model and required(model)):
        return "write {} when there is nothing to say"
    return f"write keys below it: {', '.join(keys)}" if keys else 'write "key: value" lines below it'
