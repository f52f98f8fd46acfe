"""The Airflow connections of SQL databases."""

from __future__ import annotations

from collections.abc import Mapping

# "*": what no other kind of source takes is a database that SQLAlchemy may reach
TYPES = ("postgres", "postgresql", "sqlite", "mysql", "mariadb", "mssql", "oracle", "snowflake", "duckdb", "*")
EXTRAS: Mapping[str, str] = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "mssql",
    "oracle": "oracle",
    "snowflake": "snowflake",
}
