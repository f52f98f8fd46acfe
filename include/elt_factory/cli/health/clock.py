"""What time it is: the zones that configs name, and other clocks that rows are compared by."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from elt_factory.cli.health.found import Found
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.core.project import project_root
from elt_factory.core.sql_text import literal
from elt_factory.dag.runtime import get_connection
from elt_factory.warehouse.opening import CONNECTION_ID, open_warehouse

_AHEAD = 30.0  # seconds that clocks may differ
_MONTHS = (1, 7)


def zones(configs: Sequence[LoadedConfig]) -> Iterator[Found]:
    """Compare Python's zone data, which windows follow, with DuckDB's, which values follow."""
    system = next((path for path in zoneinfo.TZPATH if Path(path, "UTC").exists()), "")
    if not system and find_spec("tzdata") is None:
        yield Found("zones", "error", "there is no time zone data", "pip install tzdata")
        return
    names = sorted({"UTC", *(item.config.timezone for item in configs)})
    differing = [name for name in names if _differs(name)]
    for name in differing:
        found = f"Python and DuckDB disagree on the time in {name}"
        hint = "update the system's zone data (the package tzdata), and duckdb"
        yield Found("zones", "warning", found, hint)
    if not differing:
        yield Found("zones", "ok", f"{', '.join(names)}, from {system or 'the package tzdata'}")


def _differs(zone: str) -> bool:
    """Whether the two see another time in a zone, this winter, this summer or in the next year's."""
    import duckdb

    year = datetime.now(UTC).year
    moments = [datetime(year + more, month, 15, tzinfo=UTC) for more in (0, 1) for month in _MONTHS]
    with duckdb.connect(":memory:") as database:
        database.execute("SET TimeZone = 'UTC'")
        for moment in moments:
            asked = f"SELECT timezone({literal(zone)}, CAST({literal(moment.isoformat())} AS TIMESTAMPTZ))"
            (seen,) = database.execute(asked).fetchall()[0]
            if seen != moment.astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None):
                return True
    return False


def clocks() -> Iterator[Found]:
    """Hold this machine's clock to those of Airflow's database and of Snowflake."""
    asked = {name: seconds for name, seconds in _skews() if seconds is not None}
    off = {name: seconds for name, seconds in asked.items() if abs(seconds) > _AHEAD}
    for name, seconds in off.items():
        found = f"this machine is {abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} {name}"
        yield Found("clock", "warning", found, "set the clock by NTP: of two attempts the later one counts")
    if not off:
        yield Found("clock", "ok", f"as {' and '.join(asked)}" if asked else "no other clock to compare with")


def _skews() -> Iterator[tuple[str, float | None]]:
    yield "Airflow's database", _ahead_of_database()
    yield "Snowflake", _ahead_of_snowflake()


def _ahead_of_database() -> float | None:
    """Return the seconds that this machine is ahead; SQLite has this machine's clock."""
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    with create_session() as session:
        if session.get_bind().dialect.name == "sqlite":
            return None
        now = session.scalar(select(func.current_timestamp()))
        return ahead(now) if now else None


def _ahead_of_snowflake() -> float | None:
    connection = get_connection(CONNECTION_ID)
    if connection.conn_type != "snowflake":
        return None
    with open_warehouse(connection, project_root(), lambda _: None) as opened:
        # answered without waking a virtual warehouse
        return ahead(opened.query("SELECT CURRENT_TIMESTAMP() AS moment").rows[0][0])


def ahead(other: datetime) -> float:
    """Return the seconds that this machine's clock is ahead of a moment that was read just now."""
    return (datetime.now(UTC) - (other if other.tzinfo else other.replace(tzinfo=UTC))).total_seconds()
