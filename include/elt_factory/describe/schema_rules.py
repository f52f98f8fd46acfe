"""What the JSON Schema says beyond the models' types: the rules that an editor can underline.

Only what holds whatever `_defaults.yaml` adds: a key that is missing in a file may appear there, so nothing is required
of a mapping that defaults are laid under. Entries of lists are always written whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from elt_factory.checks.kind import ColumnCheckKind
from elt_factory.config.models.base import Model
from elt_factory.config.models.checks import COLUMN_CHECKS
from elt_factory.config.models.schema_patterns import CLOCK, DAY, NO_TEMPLATE, NOT_TOO_LONG, SOME_TIME, Schema, not_both
from elt_factory.config.models.source import RESERVED_NAMES
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import FORM_FIELDS, TypeName

_REGIONS = (
    "Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Brazil|Canada|Chile|Etc|Europe|Indian|Mexico|Pacific|US"
)
_ZONES = (
    "CET|CST6CDT|Cuba|EET|EST|EST5EDT|Egypt|Eire|GB|GB-Eire|GMT|GMT[+-]0|GMT0|Greenwich|HST|Hongkong|Iceland|Iran|Israel|"
    "Jamaica|Japan|Kwajalein|Libya|MET|MST|MST7MDT|NZ|NZ-CHAT|Navajo|PRC|PST8PDT|Poland|Portugal|ROC|ROK|Singapore|"
    "Turkey|UCT|UTC|Universal|W-SU|WET|Zulu|localtime"
)
TYPES: Sequence[TypeName] = get_args(TypeName)
_AT_LEAST_A_DAY = r"[1-9][0-9]*[dw]|([2-9][4-9]|[3-9][0-9]|[0-9]{3,})h|[0-9]{4,}[ms]"
_FIELD = r"[0-9A-Za-z*/,#?LW-]+"
_ALIAS = "hourly|daily|midnight|weekly|monthly|yearly|annually"
_CRON = (
    rf"^(@?({_ALIAS})|\s*[0-5]?[0-9*?][0-9/,*-]*\s+(([01]?[0-9]|2[0-3])(?![0-9])|\*)[0-9/,*-]*(\s+{_FIELD}){{3}}\s*)$"
)

# by model and key: patterns that its text must fit, next to those of its type
PATTERNS: Mapping[tuple[str, str], Sequence[str]] = {
    ("", "schedule"): (_CRON,),
    ("", "start_date"): (rf"{DAY}$",),
    ("", "end_date"): (rf"{DAY}$",),
    ("", "timezone"): (rf"^(({_REGIONS})/.+|{_ZONES})$",),
    ("", "name"): (rf"^(?!({'|'.join(RESERVED_NAMES)})$)",),
    ("Deadline", "timezone"): (rf"^(({_REGIONS})/.+|{_ZONES})$",),
    ("Deadline", "by"): (rf"^{CLOCK}$",),
    ("Deadline", "within"): (SOME_TIME, NOT_TOO_LONG),
    ("Retries", "delay"): (SOME_TIME, NOT_TOO_LONG),
    ("Retries", "max_delay"): (SOME_TIME, NOT_TOO_LONG),
    ("Retention", "landing"): (_AT_LEAST_A_DAY,),
    ("Retention", "rejects"): (_AT_LEAST_A_DAY,),
    ("RowRetention", "rows"): (_AT_LEAST_A_DAY,),
    ("Incremental", "initial"): (rf"{DAY}([T ]{CLOCK}(\.[0-9]{{1,6}})?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?$",),
    ("Dbt", "select"): (NO_TEMPLATE,),
    ("Dbt", "exclude"): (NO_TEMPLATE,),
}


def _if(key: str, values: Schema, then: Schema) -> Schema:
    return {"if": {"required": [key], "properties": {key: values}}, "then": then}


_TABLE: Sequence[Schema] = (
    _if(
        "write_disposition",
        {"enum": ["merge", "scd2"]},
        {"required": ["primary_key"], "properties": {"primary_key": {"minItems": 1}}},
    ),
    {"properties": {"primary_key": {"uniqueItems": True}, "cluster_by": {"uniqueItems": True}}},
)
# by model: schemas that hold for the whole mapping
RULES: Mapping[str, Sequence[Schema]] = {
    "Column": (
        _if(
            "pii", {"const": "drop"}, {"properties": {"checks": {"maxItems": 0}, "nullable": {"not": {"const": False}}}}
        ),
    ),
    "Deadline": (not_both("by", "within", "within_usual"),),
    "Sensors": ({"properties": {"before_extract": {"items": {"not": {"required": ["freshness"]}}}}},),
    "Table": _TABLE,
}
TOP_LEVEL: Sequence[Schema] = (
    {"properties": {"params": {"propertyNames": {"not": {"enum": list(FORM_FIELDS)}}}}},
    {
        "properties": {
            "params": {"additionalProperties": {"not": {"type": "string", "pattern": r"[\u0000-\u001f\u007f]"}}}
        }
    },
)
# what an environment may hold of the top level, whole or switched off by null
IN_ENVIRONMENTS = (
    "description",
    "owner",
    "tags",
    "schedule",
    "timezone",
    "start_date",
    "end_date",
    "catchup",
    "deadline",
    "retries",
    "quality",
    "after",
    "alerts",
    "budget",
    "retention",
    "sensors",
)


def column_checks() -> Iterator[Schema]:
    """Yield what the checks of a column may hold by its type, and where it is hashed, as each kind says it."""
    kinds: Sequence[ColumnCheckKind] = COLUMN_CHECKS.all()
    by_type = {name: {kind.name: kind.schemas[name] for kind in kinds if name in kind.schemas} for name in TYPES}
    for checks in [*by_type.values()]:
        types = [name for name, same in by_type.items() if same == checks]
        if checks and types:
            yield _if("type", {"enum": types}, _checks(checks))
        by_type = {name: other for name, other in by_type.items() if name not in types}
    compared = {kind.name: False for kind in kinds if kind.compares}
    yield _if("pii", {"const": "hash"}, _checks(compared))


def _checks(properties: Mapping[str, Schema | bool]) -> Schema:
    return {"properties": {"checks": {"items": {"properties": dict(properties)}}}}


def hold(name: str, schema: Schema, variable: str, model: type[Model] | None = None) -> Schema:
    """Return a mapping's schema with what is said of it here, and by the model itself.

    Args:
        name: The model's name; "" for the config itself.
        schema: Its schema.
        variable: The reference to the schema of a variable, which stands for any text.
        model: The model, where the schema is one's.
    """
    own = model.schema_patterns if model else {}
    properties = {
        key: held(below, (*PATTERNS.get((name, key), ()), *own.get(key, ())), variable)
        for key, below in schema["properties"].items()
    }
    of_tables = RULES["Table"] if model and issubclass(model, Table) else ()
    rules = [*schema.get("allOf", ()), *of_tables, *(RULES.get(name, ()) if name else TOP_LEVEL)]
    rules += model.schema_rules if model else ()
    rules += column_checks() if name == "Column" else ()
    return {**schema, "properties": properties, **({"allOf": rules} if rules else {})}


def environments(properties: Mapping[str, Any], known: Sequence[str]) -> Schema:
    """Return the schema of `environments`: keys of a config, each as in a config where it can stand alone."""
    alone = {key: {"anyOf": [properties[key], {"type": "null"}]} for key in IN_ENVIRONMENTS if key in properties}
    one = {"type": "object", "propertyNames": {"enum": list(known)}, "properties": alone}
    by_name = dict.fromkeys(properties["environments"]["patternProperties"], one)
    return {**properties["environments"], "patternProperties": by_name}


def held(schema: Any, patterns: Sequence[str], variable: str) -> Any:
    """Return the schema of a text that must fit patterns, where it is not a variable."""
    if not patterns:
        return schema
    rules = [{"anyOf": [{"pattern": pattern}, {"$ref": variable}]} for pattern in patterns]
    return {**schema, "allOf": [*schema.get("allOf", ()), *rules]}
