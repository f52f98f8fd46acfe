"""Problems from what pydantic finds: each at its place in the file, in our words, with the hint."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any, get_origin

from pydantic_core import ErrorDetails

from elt_factory.config.errors import KEY, MistakeError, MistakesError, Position, Problem, shown, written_from
from elt_factory.config.mistakes.key_hints import HintContext, hint_for_key, is_near
from elt_factory.config.mistakes.locations import Location, choices, fields, flat, is_model, kinds, locate, required
from elt_factory.config.models.base import Model
from elt_factory.config.synonyms import near_word
from elt_factory.config.yaml.scalars import resolve
from elt_factory.config.yaml.slips import called, odd_sign
from elt_factory.config.yaml.source import YamlPath, YamlSource

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
    "string_too_short": ("text is too short", "the minimum length is {min_length}"),
    "string_too_long": ("text is too long", "the maximum length is {max_length}"),
    "too_short": ("too few entries", "write at least {min_length}"),
    "too_long": ("too many entries", "write at most {max_length}"),
}
_BELOW = "indent what follows, so that it is below: {}"
_CURLED = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_EXAMPLES: Mapping[str, str] = {
    "text": "write one value, without brackets, dashes or keys",
    "true or false": "write true or false",
    "a whole number": "write a number, like 3",
    "a number": "write a number, like 0.5",
}

# words of YAML 1.1, and true and false in quotes, which are text here
_FLAGS: Mapping[str, str] = {
    word: flag
    for flag, words in (("true", ("yes", "on", "y", "true")), ("false", ("no", "off", "n", "false")))
    for word in words
}


def problems(
    source: YamlSource, model: type[Model], errors: Iterable[ErrorDetails], others: Mapping[str, type[Model]]
) -> list[Problem]:
    """Return what pydantic found wrong in a file's data, one problem for each place.

    Args:
        source: The file's data.
        model: The model that they are validated against.
        errors: What pydantic found.
        others: The models of all kinds of source: a key may belong to another one.
    """
    unseen = list(_unseen_signs(source))
    if unseen:
        return unseen
    found: dict[tuple[YamlPath, bool], Problem] = {}
    details = list(errors)
    unknown = [tuple(detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"]
    known = HintContext(source, model, others)
    outdented = dict(_outdented(source, details, unknown))
    for detail in details:
        if tuple(detail["loc"]) in outdented or _is_count_of_wrong(detail) or _is_rest_of_type(source, detail):
            continue
        if detail["type"] == "missing" and _is_misspelt(tuple(detail["loc"]), unknown):
            continue
        for mistake, place in _mistakes(known, detail):
            below = [str(key[-1]) for key, above in outdented.items() if above == place.path]
            told = (
                MistakeError(mistake.message, _BELOW.format(", ".join(below)), code=mistake.code) if below else mistake
            )
            found.setdefault((place.path, place.is_key), _problem(source, place, told))
    return list(found.values())


def _outdented(
    source: YamlSource, details: Iterable[ErrorDetails], unknown: Collection[YamlPath]
) -> Iterator[tuple[YamlPath, YamlPath]]:
    """Yield unknown keys behind an empty one that wants a mapping, with its path: they belong below it."""
    for detail in details:
        path = tuple(detail["loc"])
        around = _at(source.data, path[:-1])
        if detail["input"] is not None or _wanted(detail) != "a mapping" or not isinstance(around, dict):
            continue
        behind = [(*path[:-1], key) for key in around]
        for key in takewhile(unknown.__contains__, behind[behind.index(path) + 1 :] if path in behind else ()):
            yield key, path


def _unseen_signs(source: YamlSource) -> Iterator[Problem]:
    """Keys that begin or end with a sign that no one sees: all else that is found follows from it."""
    for path in source.keys:
        key = str(path[-1]) if path else ""
        sign = odd_sign(key[:1]) or odd_sign(key[-1:])
        if sign:
            message = f"key contains {called(sign)}"
            yield Problem(source.at_key(path), "unknown-key", message, "delete it, and indent with plain spaces")


def _is_rest_of_type(source: YamlSource, detail: ErrorDetails) -> bool:
    """Whether an unknown key is what braces have left of decimal(18,2), whose first part has the hint."""
    path = tuple(detail["loc"])
    if detail["type"] != "extra_forbidden" or not re.fullmatch(r"[0-9 ]+\)", str(path[-1])):
        return False
    siblings = _at(source.data, path[:-1])
    return isinstance(siblings, dict) and "(" in str(siblings.get("type"))


def unknown_key(source: YamlSource, path: YamlPath, hint: str) -> Problem:
    """Return the problem of a key that does not exist."""
    return Problem(source.at_key(path), "unknown-key", f"unknown key {shown(path[-1])}", hint)


def wrong_kind(value: object, known: Iterable[str], what: str) -> MistakeError:
    """Return the mistake of a `type` that does not exist."""
    hint = near_word(value if isinstance(value, str) else "", known)
    message = f"unknown {what} type {shown(value)}" if isinstance(value, str) else f"expected text, got {shown(value)}"
    return MistakeError(message, hint, code="unknown-kind")


def needs_kind(value: object, known: Iterable[str]) -> MistakeError:
    """Return the mistake of something else where a mapping with a `type` belongs."""
    names = ", ".join(known)
    glued = re.fullmatch(r"type:(\S+)", value) if isinstance(value, str) else None
    if glued:
        message = f"expected a mapping with a type, got {shown(value)}"
        return MistakeError(message, f"write a space after the colon: type: {glued[1]}", code="wrong-type")
    hint = f"write {{type: {value}}}" if value in tuple(known) else f"write {{type: ...}} with one of {names}"
    return MistakeError(f"expected a mapping with a type, got {shown(value)}", hint, code="wrong-type")


def _mistakes(known: HintContext, detail: ErrorDetails) -> Iterator[tuple[MistakeError, Location]]:
    error = detail.get("ctx", {}).get("error")
    for mistake in error.found if isinstance(error, MistakesError) else [error]:
        if isinstance(mistake, MistakeError):
            # the mistake may lie below what was validated, and further below a union of models
            place = locate(known.model, detail["loc"])
            below = tuple(part for part in mistake.at if part != KEY)
            yield mistake, Location((*place.path, *below), place.options, is_key=place.is_key or KEY in mistake.at)
        else:
            yield _mistake(known, detail)


def _mistake(known: HintContext, detail: ErrorDetails) -> tuple[MistakeError, Location]:
    kind, value = detail["type"], detail["input"]
    place = locate(known.model, detail["loc"])
    if kind == "extra_forbidden":
        key = str(place.path[-1])
        return MistakeError("", hint_for_key(known, key, place), code="unknown-key"), place
    if kind == "missing":
        return MistakeError(f"missing key {shown(place.path[-1])}", f"add {place.path[-1]}:", code="missing-key"), place
    if kind.startswith("union_tag"):
        return _union_mistake(place, kind, value)
    return _value_mistake(known, detail, place), place


def _value_mistake(known: HintContext, detail: ErrorDetails, place: Location) -> MistakeError:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "literal_error":
        return _choice_mistake(place, value)
    if kind in _LIMITS:
        return MistakeError(f"{shown(value)} is out of range", f"write {_LIMITS[kind].format(**context)}")
    if kind in _LENGTHS:
        message, hint = _LENGTHS[kind]
        return MistakeError(message, hint.format(**context))
    if wanted := _wanted(detail):
        hint = _quoted_hint(known, value, place) if wanted == "text" else ""
        hint = hint or _type_hint(wanted, value, place)
        return MistakeError(f"expected {wanted}, got {shown(value)}", hint, code="wrong-type")
    return MistakeError(detail["msg"].removeprefix("Value error, "))


def _wanted(detail: ErrorDetails) -> str:
    return _WANTED.get(re.split(r"[_.]", detail["type"])[0], "")


def _problem(source: YamlSource, place: Location, mistake: MistakeError) -> Problem:
    if mistake.code == "unknown-key":
        return unknown_key(source, place.path, mistake.hint)
    if mistake.code == "missing-key":
        return Problem(source.at_key(place.path[:-1]), mistake.code, mistake.message, mistake.hint)
    position = _position(source, place, mistake)
    typed_oddly = None if place.is_key else _typed_oddly(_at(source.data, place.path))
    mistake = typed_oddly or mistake
    named = ".".join(map(str, place.path))
    return Problem(position, mistake.code, f"{named}: {mistake.message}" if named else mistake.message, mistake.hint)


def _typed_oddly(value: Any) -> MistakeError | None:
    """Return the mistake of text with signs around it that look like others."""
    text = value if isinstance(value, str) else ""
    sign = odd_sign(text[:1]) or odd_sign(text[-1:])
    if sign:
        return MistakeError(f"value contains {called(sign)}", "delete it")
    if text and (text[0] in _CURLED or text[-1] in _CURLED):
        return MistakeError(f"{shown(text)} contains typographic quotes", 'use plain quotes: "')
    return None


def _position(source: YamlSource, place: Location, mistake: MistakeError) -> Position:
    """Return what is empty or incomplete is found by its key; an entry of a list has none."""
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
    """Whether a missing key appears there under a name that the hint for the unknown one fixes already."""
    siblings = [str(loc[-1]) for loc in unknown if loc[:-1] == missing[:-1]]
    return any(is_near(key, str(missing[-1])) for key in siblings)


def _union_mistake(place: Location, kind: str, value: Any) -> tuple[MistakeError, Location]:
    known = kinds(place.options)
    if kind == "union_tag_invalid":
        at_type = Location((*place.path, "type"), ())
        return wrong_kind(value["type"], known, str(place.path[-1])), at_type
    near = next((key for key in value if is_near(key, "type")), None) if isinstance(value, dict) else None
    if near:
        return MistakeError("", 'did you mean "type"?', code="unknown-key"), Location((*place.path, near), ())
    hint = f"add type: with one of {', '.join(known)}"
    return MistakeError('missing key "type"', hint, code="missing-key"), Location((*place.path, "type"), ())


def _choice_mistake(place: Location, value: Any) -> MistakeError:
    glued = value.split("#")[0].strip() if isinstance(value, str) and "#" in value else None
    known = choices(place.options)
    if known == (True,):
        return MistakeError(f"expected true, got {shown(value)}", "write true, or remove the rule", code="wrong-type")
    names = [str(choice) for choice in known]
    if glued in names:
        return MistakeError(f"unknown value {shown(value)}", "write a space before the #", code="unknown-value")
    message = f"unknown value {shown(value)}"
    return MistakeError(message, near_word(str(value), names), code="unknown-value")


def _quoted_hint(known: HintContext, value: Any, place: Location) -> str:
    """Return how a number or a truth value becomes text: in quotes, as it is written and not as it was understood."""
    if not isinstance(value, (int, float)):
        return ""
    found = re.match(r"[-+.\w]+", written_from(known.source.at(place.path)))
    written = found[0] if found and resolve(found[0]) == value else shown(value)
    return f'put it in quotes: "{written}"'


def _type_hint(wanted: str, value: Any, place: Location) -> str:
    scalar = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if wanted == "true or false" and isinstance(value, str) and value.casefold() in _FLAGS:
        return f"write {_FLAGS[value.casefold()]}, without quotes"
    if wanted == "a list" and isinstance(value, str) and re.match(r"-\S", value):
        return f"write a space after each dash: - {value[1:].split(' -')[0]}"
    if wanted == "a list" and (scalar or isinstance(value, dict)):
        return f"write it as a list: [{value}]" if scalar else "start each entry with a dash"
    if wanted == "a mapping":
        return _mapping_hint(value, place)
    return "write it after the colon" if value is None else _EXAMPLES.get(wanted, "")


def _mapping_hint(value: Any, place: Location) -> str:
    if isinstance(value, list):
        named = value[0].get("name") if value and isinstance(value[0], dict) else None
        if named:
            return f"write {named}: with its keys below it, without dashes"
    model = next((option for option in place.options if is_model(option)), None)
    if isinstance(value, list):
        return _listed(value, model) or "write keys without dashes"
    keys = list(fields(model)) if model else []
    if isinstance(value, (str, int)):
        if isinstance(value, str) and ("type" in keys or value in kinds(place.options)) and ":" not in value:
            return f"write {{type: {value}}}"
        if meant := _meant_by(value, model):
            return meant
    if value is None and not (model and required(model)):
        return "write {} for an empty mapping"
    return f"write keys below it: {', '.join(keys)}" if keys else 'write "key: value" lines below it'


def _listed(value: list[Any], model: type[Model] | None) -> str:
    """Return the mapping that a list of texts most likely means, where the key that a plain value means takes lists."""
    key = model.plain_key if model else ""
    takes = flat(fields(model)[key]) if model and key else ()
    fits = all(isinstance(entry, str) for entry in value) and any(get_origin(option) is tuple for option in takes)
    return f"write {{{key}: [...]}}" if fits else ""


def _meant_by(value: str | int, model: type[Model] | None) -> str:
    """Return the mapping that a plain value in its place most likely means; nothing where that is open."""
    glued = re.fullmatch(r"(\w+):(\S.*)", str(value))
    if glued:
        return f"write a space after the colon: {glued[1]}: {glued[2]}"
    if model and value in fields(model):
        is_flag = True in choices(flat(fields(model)[str(value)]))
        return f"write {{{value}: {'true' if is_flag else '...'}}}"
    key = model.plain_key if model else ""
    return f"write {{{key}: {value}}}" if key else ""
