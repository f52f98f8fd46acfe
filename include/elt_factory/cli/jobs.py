"""`elt new --job`: a config of tables that another system loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.cli.output import errors, fail, say, short, write_new
from elt_factory.core.project import config_folder

if TYPE_CHECKING:
    from elt_factory.config.models.values import ColumnType
    from elt_factory.sources.remote_job.discovery import JobFound
    from elt_factory.warehouse.base import Warehouse


def write_job(target: Path, name: str, job: str, relations: Sequence[str], connection: str | None) -> None:
    """Write a config of a remote job, once it is known to be valid; never over another."""
    from elt_factory.config.errors import ConfigError
    from elt_factory.config.layers.defaults import defaults_of
    from elt_factory.config.loading import load_text
    from elt_factory.core.failures import EltError
    from elt_factory.importing.writing import yaml_text
    from elt_factory.sources.remote_job.discovery import look_at_job

    asked = [one for some in relations for one in some.split(",") if one]
    if connection is None or not asked:
        fail("--job needs --connection, and --table with what it loads: --table raw.orders, or 'raw.*' for all")
    try:
        found = look_at_job(job, _columns(asked))
        root = config_folder()
        defaults = defaults_of(target.parent, root)
        config = _config((name, connection), found, defaults.data if defaults else {})
        text = yaml_text(config, [*_remarks(found)])
        load_text(target, text, root)
    except EltError as error:
        fail(str(error))
    except ConfigError as error:
        errors.print(str(error), style="yellow", markup=False, highlight=False, soft_wrap=True)
        fail("nothing written: the generated config would be invalid")
    try:
        write_new(target, text)
    except FileExistsError:
        fail(f"{short(target)} already exists; choose another name")
    say(f"Wrote {short(target)}: {', '.join(found.tables)}. Its first lines say what to look at. Next:")
    for line in (f"elt validate {short(target)} --live", f"elt run {name}"):
        say(f"  {line}")


def _columns(asked: Sequence[str]) -> dict[str, Mapping[str, ColumnType] | None]:
    """Return the tables in the warehouse with their columns; None for one that is not there."""
    from elt_factory.cli.opening import opened_warehouse
    from elt_factory.warehouse.dialect import Relation

    found: dict[str, Mapping[str, ColumnType] | None] = {}
    with opened_warehouse() as opened:
        for relation in [one for pattern in asked for one in _matching(opened, pattern)]:
            schema, _, table = relation.partition(".")
            found[relation] = opened.columns(Relation(schema, table))
    return found


def _matching(opened: Warehouse, pattern: str) -> Iterator[str]:
    from elt_factory.core.sql_text import text_literal

    schema, dot, table = pattern.partition(".")
    if not dot or not schema or not table:
        fail(f'"{pattern}" is not a table of the warehouse; write schema.table')
    if table != "*":
        yield pattern
        return
    rows = opened.query(
        "SELECT table_name AS name FROM information_schema.tables "
        f"WHERE lower(table_schema) = lower({text_literal(schema)}) ORDER BY 1"
    ).dicts()
    if not rows:
        fail(f"the warehouse has no tables in {schema}")
    yield from (f"{schema}.{row['name']}" for row in rows)


def _config(named: tuple[str, str], found: JobFound, defaults: Mapping[str, Any]) -> dict[str, Any]:
    from elt_factory.importing.project import head_of

    name, connection = named
    head = {key: value for key, value in head_of(name).items() if key == "name" or key not in defaults}
    checks = {table: [{"row_count": {"min": 1}}] for table in found.tables}
    extract = {"type": "remote_job", "connection": connection, "job": found.job}
    # yaml_text writes a day as one; the defaults' own may be meant
    begins = {} if "start_date" in head else {"start_date": str(defaults["start_date"])}
    return {**head, **begins, "extract": extract, "tables": found.tables, "quality": checks}


def _remarks(found: JobFound) -> Iterator[str]:
    yield "Written by `elt new --job`: when the job has succeeded, each table is looked at in the warehouse."
    for table, notes in found.notes.items():
        for note in notes:
            yield f"  {table}: {note}"
