"""The extras of the package: what each must be able to import, and the error where that is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from elt_factory.core.failures import PermanentError


@dataclass(frozen=True)
class Extra:
    """What an extra is for, and what must import where it is installed."""

    purpose: str
    modules: tuple[str, ...]


EXTRAS: Mapping[str, Extra] = {
    "snowflake": Extra(
        "Snowflake as the warehouse, and as a source", ("airflow.providers.snowflake", "snowflake.connector")
    ),
    "dbt": Extra("`transform.dbt`, on DuckDB", ("cosmos", "dbt.cli", "dbt.adapters.duckdb")),
    "dbt-snowflake": Extra("`transform.dbt` on Snowflake; includes both above", ("dbt.adapters.snowflake",)),
    "postgres": Extra("PostgreSQL as a source", ("psycopg",)),
    "mysql": Extra("MySQL and MariaDB as sources", ("pymysql",)),
    "mssql": Extra("SQL Server as a source", ("mssql_python",)),
    "oracle": Extra("Oracle as a source", ("oracledb",)),
    "dynamodb": Extra("DynamoDB as a source", ("boto3",)),
    "mongodb": Extra("MongoDB as a source", ("pymongo", "bson")),
    "s3": Extra("files and landings in S3", ("obstore", "boto3")),
    "gcs": Extra("files and landings in Google Cloud Storage", ("obstore", "google.auth")),
    "azure": Extra("files and landings in Azure", ("obstore",)),
    "sftp": Extra("files on SFTP servers", ("paramiko",)),
    "excel": Extra("Excel workbooks as files", ("python_calamine",)),
    "apprise": Extra("alerts to the services that Apprise knows", ("apprise",)),
    "avro": Extra("Avro files", ("fastavro",)),
    "connectors": Extra("Singer taps and Airbyte connectors as sources", ("uv",)),
    "celery": Extra(
        "tasks on Celery workers, with Redis or RabbitMQ", ("airflow.providers.celery", "redis", "psycopg2")
    ),
    "git": Extra("configs from a git repository: the bundle `GitYamlBundle`", ("airflow.providers.git",)),
    "pictures": Extra("`elt plan --png`", ("resvg_py", "fontpkg_inter")),
    "testing": Extra("the conformance suites in `elt_factory.testing`", ("pytest", "sqlglot")),
}


class MissingExtraError(PermanentError):
    """Something that is used needs packages that are not installed, and an extra brings."""

    def __init__(self, user: str, extra: str, module: str) -> None:
        self.message = f"{user} needs the Python package {module}, which is not installed"
        self.hint = install(extra)
        super().__init__(f"{self.message}; {self.hint}")


@contextmanager
def needs(extra: str, user: str) -> Iterator[None]:
    """Say which extra to install where an import finds none of its packages.

    Args:
        extra: The extra that brings what is imported.
        user: What needs it, as a subject: `transform.dbt`.

    Raises:
        MissingExtraError: a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = error.name or ""
        # where `snowflake.connector` is missing, `snowflake` may be what is not found
        if not any(f"{name}.".startswith(f"{one}.") or one.startswith(f"{name}.") for one in EXTRAS[extra].modules):
            raise
        raise MissingExtraError(user, extra, name) from None


def missing(extra: str) -> str:
    """Return the first module of an extra that is not installed, "" where all are."""
    return next((module for module in EXTRAS[extra].modules if not _is_there(module)), "")


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f'pip install "elt-factory[{extra}]"'


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
