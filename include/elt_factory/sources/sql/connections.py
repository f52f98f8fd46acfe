"""The Airflow connections of SQL databases."""

from __future__ import annotations

from collections.abc import Mapping

# "*": what no other kind of source takes is a database that SQLAlchemy may reach
TYPES = ("postgres", "sqlite", "mysql", "mssql", "oracle", "*")
EXTRAS: Mapping[str, str] = {"postgres": "postgres", "mysql": "mysql", "mssql": "mssql", "oracle": "oracle"}
