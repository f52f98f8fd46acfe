"""What a statement needs on Snowflake, read out of it by sqlglot, and what GRANT statements give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import sqlglot
from sqlglot import exp

Need = tuple[str, str]  # a privilege, and what it is on
_FREE = re.compile(r"(BEGIN|COMMIT|ROLLBACK|SELECT CURRENT_TIMESTAMP\(\))$")
_STAGE = re.compile(r'@("(?:[^"]|"")+")\."?((?:[^"]|"")+)"?')
_INTEGRATION = re.compile(r'STORAGE_INTEGRATION = ("[^"]+")')
_PLACE = re.compile(r"EXISTS (\S+?)[.]")
_GRANT = re.compile(r"GRANT (.+) ON (?:(ALL|FUTURE) (TABLES|VIEWS) IN )?(\w+) (\S+) TO ROLE (\S+)")
_CREATES = {"TABLE": "CREATE TABLE", "VIEW": "CREATE VIEW", "STAGE": "CREATE STAGE"}
_CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Alter, exp.Drop, exp.TruncateTable, exp.Comment)


def needs(statement: str) -> set[Need]:
    """The privileges without which Snowflake refuses a statement.

    What changes a table needs that the role owns it, so that it may create tables there.
    """
    if _FREE.match(statement):
        return set()
    return set(_of_words(statement) or _of_tree(sqlglot.parse_one(statement, read="snowflake")))


def _of_words(statement: str) -> list[Need]:
    """What sqlglot reads as a command, or without the names that count here."""
    verb, *words = statement.split()
    if verb == "USE":
        return [("USAGE", f"WAREHOUSE {words[1]}")]
    if verb in ("PUT", "REMOVE", "LIST", "LS"):
        schema, stage = _STAGE.search(statement).groups()
        privilege = "READ" if verb == "LIST" else "WRITE"
        return [("USAGE", f"SCHEMA {schema}"), (privilege, f'STAGE {schema}."{stage}"')]
    if verb == "DESCRIBE":
        schema = words[1] if words[0] == "SCHEMA" else words[1].partition(".")[0]
        return [("USAGE", f"SCHEMA {schema}")]
    if statement.startswith("CREATE SCHEMA"):
        # refused where the role may not: then it must be there
        return [("USAGE", f"SCHEMA {words[-1]}")]
    if statement.startswith("CREATE STAGE"):
        integration, place = _INTEGRATION.search(statement), _PLACE.search(statement)
        wanted = [("CREATE STAGE", f"SCHEMA {place[1]}")]
        return [*wanted, *([("USAGE", f"INTEGRATION {integration[1]}")] if integration else [])]
    return []


def _of_tree(tree: exp.Expression) -> Iterator[Need]:
    target = _target(tree)
    if target is not None:
        yield _CREATES[tree.kind] if isinstance(tree, exp.Create) else "CREATE TABLE", f"SCHEMA {_schema(target)}"
    for table in tree.find_all(exp.Table):
        # what has no schema is a name of the statement's own
        if table.args.get("db"):
            yield from _of_table(table, is_read=table is not target)
    for schema, stage in _STAGE.findall(tree.sql(dialect="snowflake") if isinstance(tree, exp.Copy) else ""):
        yield "READ", f'STAGE {schema}."{stage}"'


def _of_table(table: exp.Table, is_read: bool) -> Iterator[Need]:
    if table.catalog.upper() == "SNOWFLAKE":
        yield "BOOKS", table.name.upper()
    elif table.db.lower() == "information_schema":
        yield "USAGE", "DATABASE"
    else:
        yield "USAGE", f"SCHEMA {_schema(table)}"
        if is_read:
            yield "SELECT", f"SCHEMA {_schema(table)}"


def _target(tree: exp.Expression) -> exp.Table | None:
    if isinstance(tree, (exp.Create, exp.Copy, *_CHANGES)):
        found = tree.this or tree.args["tables"][0]
        if isinstance(found, exp.Column):  # COMMENT ON COLUMN schema.table.column
            return exp.table_(found.table, db=found.db, quoted=True)
        return found if isinstance(found, exp.Table) else found.find(exp.Table)
    return None


def _schema(table: exp.Table) -> str:
    return table.args["db"].sql(dialect="snowflake")


def given(grants: Iterable[str], role: str) -> set[Need]:
    """What GRANT statements give a role, without the name of the database."""
    found: set[Need] = set()
    for statement in grants:
        books = re.fullmatch(rf"GRANT DATABASE ROLE SNOWFLAKE\.(\w+) TO ROLE {re.escape(role)}", statement)
        if books:
            found |= {("BOOKS", view) for view in BOOKS[books[1]]}
        match = _GRANT.fullmatch(statement)
        if not match or match[6] != role:
            continue
        place = match[5].partition(".")[2] or match[5]
        where = "DATABASE" if match[4] == "DATABASE" else f"{match[4]} {place}"
        found |= {(privilege.strip(), where) for privilege in match[1].split(",")}
    # who creates tables in a schema reads the tables that it has created
    return found | {("SELECT", where) for privilege, where in found if privilege == "CREATE TABLE"}


BOOKS = {
    "GOVERNANCE_VIEWER": {"QUERY_HISTORY"},
    "USAGE_VIEWER": {"QUERY_ATTRIBUTION_HISTORY", "WAREHOUSE_METERING_HISTORY"},
}
