"""What Snowflake bills for a source: its account's books, by the tag that every statement has.

`query_history` has the tags, `query_attribution_history` the credits of single queries (up to eight hours later),
`warehouse_metering_history` what virtual warehouses were billed for, hour by hour, and how much of it was work.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.snowflake.sql import DIALECT
from elt_factory.warehouse.spending import Bill, Meter, Metered, Spent

_BOOKS = "snowflake.account_usage"
_NO_SOURCE = "(no source)"


def spent(start: datetime, end: datetime) -> str:
    """SELECT of what each step of each source cost a day, and on which virtual warehouse."""
    # what is older than the tag's `step` is of a load, a check or a sensor
    return (
        f"SELECT coalesce(nullif({_tag('source')}, ''), nullif({_tag('dag')}, ''), '{_NO_SOURCE}') AS source, "
        f"coalesce({_tag('step')}, {_tag('page')}, '') AS step, to_date(q.start_time) AS day, q.warehouse_name, "
        "count(*) AS queries, sum(q.total_elapsed_time) / 1000 AS seconds, "
        "coalesce(sum(a.credits_attributed_compute), 0) AS credits "
        f"FROM {_BOOKS}.query_history AS q LEFT JOIN {_BOOKS}.query_attribution_history AS a "
        "ON a.query_id = q.query_id "
        f"WHERE {_within('q.start_time', start, end)} AND ({_tag('dag')} IS NOT NULL OR {_tag('step')} IS NOT NULL) "
        "AND q.warehouse_name IS NOT NULL GROUP BY 1, 2, 3, 4"
    )


def attributed(start: datetime, end: datetime) -> str:
    """SELECT of the credits of all queries, also those of others, for each virtual warehouse."""
    return (
        f"SELECT warehouse_name, sum(credits_attributed_compute) AS credits FROM {_BOOKS}.query_attribution_history "
        f"WHERE {_within('start_time', start, end)} GROUP BY 1"
    )


def metered(start: datetime, end: datetime) -> str:
    """SELECT of what virtual warehouses were billed for."""
    return (
        "SELECT warehouse_name, sum(credits_used_compute) AS compute, "
        "sum(credits_used_cloud_services) AS cloud_services, sum(credits_attributed_compute_queries) AS working "
        f"FROM {_BOOKS}.warehouse_metering_history WHERE {_within('start_time', start, end)} GROUP BY 1"
    )


def credits_since(source: str, start: datetime) -> str:
    """SELECT of the credits that were attributed to the statements of a source."""
    return (
        "SELECT coalesce(sum(credits_attributed_compute), 0) AS credits "
        f"FROM {_BOOKS}.query_attribution_history AS q "
        f"WHERE q.start_time >= {DIALECT.literal(start)} AND {_tag('source')} = {DIALECT.literal(source)}"
    )


def _tag(key: str) -> str:
    return f"TRY_PARSE_JSON(q.query_tag):{key}::string"


def _within(moment: str, start: datetime, end: datetime) -> str:
    return f"{moment} >= {DIALECT.literal(start)} AND {moment} < {DIALECT.literal(end)}"


def _bill(warehouse: Warehouse, start: datetime, end: datetime) -> Bill:
    rows = warehouse.query(spent(start, end)).dicts()
    used = {row["warehouse_name"] for row in rows}
    of_queries = {row["warehouse_name"]: _figure(row["credits"]) for row in _rows(warehouse, attributed(start, end))}
    found = [row for row in _rows(warehouse, metered(start, end)) if row["warehouse_name"] in used]
    return Bill(
        tuple(
            Spent(
                row["source"],
                row["step"],
                row["day"],
                int(row["queries"]),
                *map(_figure, (row["seconds"], row["credits"])),
            )
            for row in rows
        ),
        tuple(
            Metered(
                row["warehouse_name"],
                _figure(row["compute"]),
                _figure(row["cloud_services"]),
                _figure(row["working"]),
                of_queries.get(row["warehouse_name"], 0.0),
            )
            for row in found
        ),
    )


def _rows(warehouse: Warehouse, statement: str) -> Sequence[dict[str, Any]]:
    return warehouse.query(statement).dicts()


def _figure(value: Any) -> float:
    return float(value or 0)


def _credits_of(warehouse: Warehouse, source: str, start: datetime) -> float:
    return _figure(warehouse.query(credits_since(source, start)).rows[0][0])


METER = Meter(_bill, _credits_of)
