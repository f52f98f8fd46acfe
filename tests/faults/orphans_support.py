"""What faults leave behind is gone once its retention is over: landings, staging tables."""

from datetime import UTC, datetime, timedelta

from elt_factory.dag.cleanup import Landings, remove_old
from elt_factory.landing.places import Place
from elt_factory.sources.sql.model import SqlSource
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import Warehouse

LATER = datetime.now(UTC) + timedelta(days=60)  # longer than anything is kept by default


def assert_nothing_orphaned(
    warehouse: Warehouse, landings: Place, project: str, table: str = "tab", source: str = "src"
) -> None:
    """What retention and sweeps remove is all there was of a table but for its rows and its account."""
    fields = {"name": source, "extract": {"type": "sql", "connection": "c"}, "tables": {table: {}}}
    remove_old(warehouse, SqlSource.model_validate(fields), table, Landings(landings, project), lambda _: None, LATER)
    assert list(landings.files()) == []
    warehouse.sweep(LATER)
    found = {
        (str(schema).lower(), str(name).lower())
        for schema, name in warehouse.query(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = current_database()"
        ).rows
    }
    own = audit.SCHEMA.lower()
    # the turns of other tables of the warehouse are theirs
    tables = {(source, table)} | {(schema, name) for schema, name in found if schema != own}
    known = {*audit.TABLES, *audit.LOGS.values(), *(audit.turn(*one).name for one in tables)}
    assert {name for schema, name in found if schema == own} <= {name.lower() for name in known}
