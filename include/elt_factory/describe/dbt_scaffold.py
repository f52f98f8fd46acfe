"""dbt's files for the tables of a config: its sources, with freshness by both clocks, and a staging model of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from elt_factory.config.models.checks import Check
from elt_factory.config.models.source import Source
from elt_factory.config.models.table import Column, Table

BY_BUSINESS_DATE = "by_business_date"
_HEAD = "# Written by `elt dbt scaffold {name}` from {name}.yaml. It is yours now: no command changes it again.\n"
_OWN = {"_load_id": "The load that wrote the row.", "_loaded_at": "When the load wrote the row."}
_CURRENT = "_valid_to is null"
_NOT_DELETED = "_deleted_at is null"


@dataclass(frozen=True)
class Scaffold:
    """What becomes of a config.

    Args:
        files: The text of each file, by its path below the folder of the staging models.
        left_out: The checks that dbt has no test for; ELT Factory runs them all the same.
    """

    files: Mapping[str, str]
    left_out: tuple[str, ...]


def scaffold_of(config: Source) -> Scaffold:
    """Return the files for a config."""
    left_out: list[str] = []
    models = [_model(config, table, left_out) for table in config.tables]
    document = {"version": 2, "sources": [*_sources(config)], "models": models}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    files = {f"{config.name}.yml": _HEAD.format(name=config.name) + text}
    files |= {f"{_staged(config, table)}.sql": _statement(config, table) for table in config.tables}
    return Scaffold(files, tuple(left_out))


def _staged(config: Source, table: str) -> str:
    return f"stg_{config.name}__{table}"


def _sources(config: Source) -> Iterator[dict[str, Any]]:
    """Yield the tables by schema, and those with a limit on business dates once more: dbt looks at one clock each."""
    schemas: dict[str, list[str]] = {}
    for table in config.tables:
        schemas.setdefault(config.place_of(table)[0], []).append(table)
    for schema, tables in schemas.items():
        name = config.name if len(schemas) == 1 else f"{config.name}_{schema}"
        listed = [_table(config, table) for table in tables]
        yield {
            "name": name,
            **({"description": config.description} if config.description else {}),
            "schema": schema,
            "config": {"loaded_at_field": "_loaded_at"},
            "tables": listed,
        }
        dated = [found for table in tables if (found := _dated(config, table))]
        if dated:
            yield {"name": f"{name}_{BY_BUSINESS_DATE}", "schema": schema, "tables": dated}


def _table(config: Source, name: str) -> dict[str, Any]:
    table = config.tables[name]
    columns = [{"name": column, "description": _meaning(said)} for column, said in _kept(table).items()]
    columns += [{"name": column, "description": text} for column, text in _OWN.items()]
    freshness = _freshness(config, name, "loaded_within")
    return {
        **_named(config, name),
        **({"description": table.description} if table.description else {}),
        **({"config": {"freshness": freshness}} if freshness else {}),
        "columns": columns,
    }


def _dated(config: Source, name: str) -> dict[str, Any] | None:
    freshness = _freshness(config, name, "business_date_within")
    if freshness is None:
        return None
    field = f"cast({config.tables[name].business_date} as timestamp)"
    return {**_named(config, name), "config": {"loaded_at_field": field, "freshness": freshness}}


def _named(config: Source, table: str) -> dict[str, Any]:
    identifier = config.place_of(table)[1]
    return {"name": table, **({"identifier": identifier} if identifier != table else {})}


def _freshness(config: Source, table: str, limit: str) -> dict[str, Any] | None:
    """Return the limits of the table's freshness checks, in dbt's words."""
    found: dict[str, Any] = {}
    for check in config.quality.get(table, ()):
        within = getattr(check.spec, limit, None) if check.kind == "freshness" else None
        if within is not None:
            found["warn_after" if check.severity == "warn" else "error_after"] = _period(within)
    return found or None


def _period(within: timedelta) -> dict[str, Any]:
    minutes = max(int(within.total_seconds()) // 60, 1)
    for period, size in (("day", 24 * 60), ("hour", 60)):
        if minutes % size == 0:
            return {"count": minutes // size, "period": period}
    return {"count": minutes, "period": "minute"}


def _kept(table: Table) -> dict[str, Column]:
    """Return the columns that the table has for sure: keys, and what the config names."""
    names = dict.fromkeys([*table.primary_key, *table.columns])
    columns = {name: table.columns.get(name, Column()) for name in names}
    return {name: column for name, column in columns.items() if column.pii != "drop"}


def _meaning(column: Column) -> str:
    hashed = "SHA-256 of the value, hashed before it was landed." if column.pii == "hash" else ""
    return " ".join(filter(None, [column.description, hashed]))


def _model(config: Source, name: str, left_out: list[str]) -> dict[str, Any]:
    table = config.tables[name]
    keys = table.primary_key
    columns: list[dict[str, Any]] = []
    for column, said in _kept(table).items():
        tests = list(_tests(config, name, column, left_out))
        if column in keys or not said.nullable:
            tests.insert(0, "not_null")
        if keys == (column,) and _is_unique(table):
            tests.insert(0, "unique")
        unlike = [test for place, test in enumerate(tests) if test not in tests[:place]]
        named = {"name": column, "description": _meaning(said)}
        columns.append({**named, **({"data_tests": unlike} if unlike else {})})
    left_out += [f"{name}: {check.kind}" for check in config.quality.get(name, ()) if check.kind != "freshness"]
    described = {"description": table.description} if table.description else {}
    return {"name": _staged(config, name), **described, "columns": columns}


def _is_unique(table: Table) -> bool:
    return table.write_disposition in ("merge", "replace", "scd2")


def _tests(config: Source, table: str, column: str, left_out: list[str]) -> Iterator[Any]:
    for check in config.tables[table].columns.get(column, Column()).checks:
        arguments = _arguments(config, check)
        settings = _settings(check)
        if arguments is None or settings is None:
            left_out.append(f"{table}.{column}: {check.kind}")
        elif arguments or settings:
            said = {**({"arguments": arguments} if arguments else {}), **({"config": settings} if settings else {})}
            yield {check.kind: said}
        else:
            yield check.kind


def _arguments(config: Source, check: Check) -> dict[str, Any] | None:
    """Return the arguments of dbt's own test of the same meaning; None where it has none."""
    if check.kind in ("not_null", "unique"):
        return {}
    if check.kind == "accepted_values":
        values = list(check.spec)
        return {"values": values, **({} if all(isinstance(one, str) for one in values) else {"quote": False})}
    if check.kind == "relationships":
        rule = check.spec
        return {"to": f"source('{rule.source or config.name}', '{rule.table}')", "field": rule.column}
    return None


def _settings(check: Check) -> dict[str, Any] | None:
    """Return the settings of a test; None where dbt has none for a share of rows."""
    if check.max_failing.of_a_share:
        return None
    allowed = check.max_failing.count
    return {
        **({"severity": "warn"} if check.severity == "warn" else {}),
        **({"where": check.where} if check.where else {}),
        **({"error_if": f">{allowed}", "warn_if": f">{allowed}"} if allowed else {}),
    }


def _statement(config: Source, name: str) -> str:
    table = config.tables[name]
    schemas = {config.place_of(other)[0] for other in config.tables}
    source = config.name if len(schemas) == 1 else f"{config.name}_{config.place_of(name)[0]}"
    conditions = [_CURRENT] if table.write_disposition == "scd2" else []
    if table.follows_deletes is not None and table.follows_deletes.compare == "soft":
        conditions.append(_NOT_DELETED)
    where = f"\nwhere {' and '.join(conditions)}" if conditions else ""
    return (
        f"{{{{ config(materialized='view', tags=['{config.name}']) }}}}\n\n"
        f"select *\nfrom {{{{ source('{source}', '{name}') }}}}{where}\n"
    )
