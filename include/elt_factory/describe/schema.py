"""The JSON Schema of a config, out of the models: what editors complete, explain and underline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import TypeAdapter

from elt_factory.config.models.checks import AFTER, COLUMN_CHECKS, OPTIONS, QUARANTINE, TABLE_CHECKS
from elt_factory.config.models.one_kind import KINDS_OF, Written
from elt_factory.config.models.remote_jobs import REMOTE_JOBS
from elt_factory.config.models.sensors import SENSORS
from elt_factory.config.models.source import SOURCES, TransformOnly
from elt_factory.config.models.values import Type, TypeName
from elt_factory.core.kinds import Door
from elt_factory.describe.reference import all_models
from elt_factory.describe.schema_rules import environments, held, hold

DIALECT = "http://json-schema.org/draft-07/schema#"  # the one that every editor's YAML support knows
_DEFINITIONS = "#/definitions/{model}"
_DOORS: Sequence[Door[Any]] = (SENSORS, REMOTE_JOBS, COLUMN_CHECKS, TABLE_CHECKS)
_DEPENDS_ON_KIND = ("extract", "tables")
_NOT_IN_ENVIRONMENTS = ("name", "version", "environments")
_VARIABLE = "Variable"
_IS_VARIABLE = {
    "description": "A variable of the environment: ${NAME} or ${NAME:-default}.",
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}",
}
_COLUMN_TYPE: str = TypeAdapter(Type).json_schema()["pattern"]
# words in any case, as they are read; the first is what editors complete
_IN_ANY_CASE = "|".join("".join(f"[{letter}{letter.upper()}]" for letter in name) for name in get_args(TypeName))
_PRECISION = r"\(\s*([1-9]|[12][0-9]|3[0-8])\s*(,\s*([0-9]|[12][0-9]|3[0-8])\s*)?\)"
_COLUMN_TYPES = {
    "anyOf": [
        {"enum": list(get_args(TypeName))},
        {"type": "string", "pattern": rf"^({_IN_ANY_CASE}|[dD][eE][cC][iI][mM][aA][lL]{_PRECISION})$"},
    ]
}


def config_schema() -> dict[str, Any]:
    """One schema for the four kinds of config: `extract.type` picks what `extract` and `tables` may say."""
    configs = {**{kind.name: kind.config for kind in SOURCES.all()}, "": TransformOnly}
    types: list[tuple[tuple[str, str], Any]] = [(("config", kind), model) for kind, model in configs.items()]
    types += [((door.group, kind.name), kind.model) for door in _DOORS for kind in door.all()]
    found, whole = TypeAdapter.json_schemas(
        [(key, "validation", TypeAdapter(model)) for key, model in types], by_alias=True, ref_template=_DEFINITIONS
    )
    schemas = {key: _plain(schema) for (key, _), schema in found.items()}
    definitions = {name: _with_kinds(_plain(schema), schemas) for name, schema in whole["$defs"].items()}
    kinds = {kind: definitions.pop(_name(schemas["config", kind])) for kind in SOURCES.names()}
    alone = definitions.pop(_name(schemas["config", ""]))
    variable = _DEFINITIONS.format(model=_VARIABLE)
    models = {model.__name__: model for model in all_models()}
    definitions = {
        name: hold(name, schema, variable, models.get(name)) if "properties" in schema else schema
        for name, schema in definitions.items()
    }
    top = hold("", {"properties": alone["properties"]}, variable)
    choice = _choice(kinds)
    known = [key for key in (*top["properties"], *_DEPENDS_ON_KIND) if key not in _NOT_IN_ENVIRONMENTS]
    properties = {**top["properties"], **{key: _of_all(kinds, key) for key in _DEPENDS_ON_KIND}}
    return {
        "$schema": DIALECT,
        "title": "ELT Factory config",
        "description": "A source with its tables, or a transform across sources.",
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {**properties, "environments": environments(properties, known)},
        "allOf": [*choice["allOf"], *top["allOf"]],
        "definitions": {**dict(sorted(definitions.items())), _VARIABLE: _IS_VARIABLE},
    }


def schema_text() -> str:
    """Return the schema as the file that is committed."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


def _with_kinds(schema: dict[str, Any], schemas: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Return the schema of a mapping with one key that names its kind, and a key for each."""
    group = schema.pop(KINDS_OF, None)
    door = next((door for door in _DOORS if door.group == group), None)
    if door is None:
        return schema
    null = {"type": "null"}
    variable = _DEFINITIONS.format(model=_VARIABLE)
    kinds = {
        kind.name: held(
            {"anyOf": [schemas[group, kind.name], null], **_said(kind)}, getattr(kind, "schema_patterns", ()), variable
        )
        for kind in door.all()
    }
    one = {"oneOf": [{"required": [name]} for name in kinds]}
    more = {kind.name: kind.schema for kind in door.all() if getattr(kind, "schema", None)}
    rules = [one, *([{"properties": more}] if more else []), *_without_options(door), *_without_quarantine(door)]
    return {**schema, "properties": {**kinds, **schema["properties"]}, "allOf": rules}


def _without_options(door: Door[Any]) -> Iterator[dict[str, Any]]:
    """Yield that checks of some kinds cannot have keys that others can."""
    for option in OPTIONS:
        lacking = [kind.name for kind in door.all() if option not in getattr(kind, "options", OPTIONS)]
        if lacking:
            having = {"anyOf": [{"required": [name]} for name in lacking]}
            yield {"if": having, "then": {"properties": {option: False}}}


_SUBQUERY = r"^[^'\"/-]*\b[sS][eE][lL][eE][cC][tT]\b"  # before any text in quotes or comments
_NOT_IN_QUARANTINE: Mapping[str, Any] = {
    "stage": {"not": {"const": AFTER}},
    "max_failing": {
        "not": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"pattern": "[1-9]", "type": "string"}]}
    },
    "where": {"not": {"type": "string", "pattern": _SUBQUERY}},
    "expression": {"not": {"type": "string", "pattern": _SUBQUERY}},
}


def _without_quarantine(door: Door[Any]) -> Iterator[dict[str, Any]]:
    """Yield that checks of more than single rows cannot set rows aside, and what those that do cannot have."""
    one = {"properties": {"severity": {"const": QUARANTINE}}, "required": ["severity"]}
    yield {"if": one, "then": {"properties": _NOT_IN_QUARANTINE}}
    more = [kind.name for kind in door.all() if getattr(kind, "judges_rows", None) is False]
    if more:
        having = {"anyOf": [{"required": [name]} for name in more]}
        yield {"if": having, "then": {"properties": {"severity": {"not": {"const": QUARANTINE}}}}}


def _said(kind: Written) -> dict[str, Any]:
    return {"description": kind.description, "examples": list(kind.examples)}


def _of_all(kinds: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Return what any kind of source may say under a key: enough to describe it.

    The choice below validates it against its kind.
    """
    first = next(iter(kinds.values()))["properties"][key]
    examples = [example for kind in kinds.values() for example in kind["properties"][key]["examples"]]
    return {"description": first["description"], "examples": examples, "type": "object"}


def _choice(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """If this type then that shape; a config without extract is a transform."""
    rules: list[dict[str, Any]] = [_rule(kind, schema) for kind, schema in kinds.items()]
    kind_is_known = {"properties": {"type": {"enum": list(kinds)}}, "required": ["type"]}
    return {
        "allOf": [
            {
                "if": {"required": ["extract"]},
                "then": {"required": ["tables"], "properties": {"extract": kind_is_known}},
                "else": {"required": ["transform"], "properties": {"tables": False}},
            },
            *rules,
        ]
    }


def _rule(kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    is_kind = {"properties": {"type": {"const": kind}}, "required": ["type"]}
    shape = {key: schema["properties"][key] for key in _DEPENDS_ON_KIND}
    return {"if": {"required": ["extract"], "properties": {"extract": is_kind}}, "then": {"properties": shape}}


def _plain(schema: Any) -> Any:
    """Return a schema without what editors do not show or know: titles, discriminators, the newer words for tuples."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("pattern") == _COLUMN_TYPE:
        return _COLUMN_TYPES
    plain = dict(_plain_entries(schema))
    if "prefixItems" in schema:
        # both ends of a range are of one kind
        plain["items"] = _plain(schema["prefixItems"][0])
    if "patternProperties" in schema:
        plain["additionalProperties"] = False
    return _or_variable(plain) if _is_held(plain) else plain


def _is_held(schema: Mapping[str, Any]) -> bool:
    """Whether a scalar is validated against something that a variable, before it has its value, is not."""
    if "const" in schema:
        return False
    kind = schema.get("type")
    return kind in ("integer", "number", "boolean") or any(key in schema for key in ("pattern", "enum", "format"))


def _or_variable(schema: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: schema[key] for key in ("description", "default", "examples") if key in schema}
    held = {key: value for key, value in schema.items() if key not in told}
    return {**told, "anyOf": [held, {"$ref": _DEFINITIONS.format(model=_VARIABLE)}]}


def _plain_entries(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key == "properties":
            yield key, {name: _plain(below) for name, below in value.items()}
        elif key in ("examples", "const", "enum") or (key == "default" and value is not None):
            yield key, value
        elif not (key == "title" and isinstance(value, str)) and key not in ("default", "discriminator", "prefixItems"):
            yield key, _plain(value)


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rsplit("/", 1)[1]
