"""The extras of the package: what each must be able to import, and the error where that is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from elt_factory.core.failures import PermanentError

EXTRAS: Mapping[str, Sequence[str]] = {
    "azure": ("adlfs",),
    "dbt": ("cosmos", "dbt.cli", "dbt.adapters.duckdb"),
    "dbt-snowflake": ("dbt.adapters.snowflake",),
    "gcs": ("gcsfs",),
    "git": ("airflow.providers.git",),
    "mysql": ("pymysql",),
    "pictures": ("resvg_py", "fontpkg_inter"),
    "postgres": ("psycopg",),
    "s3": ("s3fs",),
    "snowflake": ("airflow.providers.snowflake", "snowflake.connector"),
    "testing": ("pytest", "sqlglot"),
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
        if not any(f"{name}.".startswith(f"{one}.") or one.startswith(f"{name}.") for one in EXTRAS[extra]):
            raise
        raise MissingExtraError(user, extra, name) from None


def missing(extra: str) -> str:
    """Return the first module of an extra that is not installed, "" where all are."""
    return next((module for module in EXTRAS[extra] if not _is_there(module)), "")


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f'pip install "elt-factory[{extra}]"'


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
