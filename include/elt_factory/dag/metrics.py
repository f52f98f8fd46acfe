"""What tasks count, by Airflow's own metrics: StatsD, Datadog or OpenTelemetry, as Airflow is configured.

Where metrics are off, all of this does nothing. Each has the tags `source` and `table`, or `model`;
docs/guides/diagnose.md lists them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from elt_factory.landing.manifest import Manifest

if TYPE_CHECKING:
    from elt_factory.checks.run import Result
    from elt_factory.warehouse.base import LoadReport
    from elt_factory.warehouse.kind import Purpose
    from elt_factory.warehouse.work import Work

_DAY_TEXT = len("2013-01-01")


@dataclass(frozen=True)
class Moved:
    """What an extract or a load moved: its landing, and the rows that it wrote."""

    manifest: Manifest
    rows: int


@contextmanager
def followed(stage: str, source: str, table: str, load_id: str) -> Iterator[None]:
    """Let each line of the task's log have the `load_id`, and count how long the stage took when it succeeds."""
    from airflow.sdk.observability import stats
    from structlog.contextvars import bound_contextvars

    began = time.monotonic()
    with bound_contextvars(load_id=load_id):
        yield
    milliseconds = (time.monotonic() - began) * 1000
    stats.timing("elt.duration", milliseconds, tags={"source": source, "table": table, "stage": stage})


def count_extract(manifest: Manifest) -> None:
    """Count what was read and landed."""
    from airflow.sdk.observability import stats

    tags = {"source": manifest.source, "table": manifest.table}
    stats.incr("elt.rows_read", manifest.rows_read, tags=tags)
    stats.incr("elt.bytes_landed", manifest.bytes, tags=tags)


def count_load(manifest: Manifest, report: LoadReport) -> None:
    """Count what was loaded and rejected, and how late it is: by when it was loaded, and by when it happened."""
    from airflow.sdk.observability import stats

    tags = {"source": manifest.source, "table": manifest.table}
    stats.incr("elt.rows_loaded", report.rows_loaded, tags=tags)
    stats.incr("elt.rows_rejected", report.rows_rejected, tags=tags)
    if report.gave_way:
        return
    end = datetime.fromisoformat(manifest.window_end)
    stats.gauge("elt.load_lag", (datetime.now(UTC) - end).total_seconds(), tags=tags)
    business = business_lag(manifest)
    if business is not None:
        stats.gauge("elt.business_date_lag", business, tags=tags)


def count_work(purpose: Purpose, work: Work) -> None:
    """Count how long the warehouse worked for a step, and how many statements that were: what it costs goes by that."""
    from airflow.sdk.observability import stats

    tags = {name: purpose.tag.get(name, "") for name in ("source", "table", "step")}
    if purpose.compute:
        tags["warehouse"] = purpose.compute
    stats.timing("elt.warehouse_time", work.seconds * 1000, tags=tags)
    stats.incr("elt.statements", work.statements_run, tags=tags)


def count_models(source: str, results: Iterable[Result]) -> None:
    """Count how long the warehouse worked for each model of dbt; for its tests without their names, which are many."""
    from airflow.sdk.observability import stats

    for one in results:
        named = {"model": one.check} if one.kind == "dbt_model" else {}
        tags = {"source": source, "step": "transform", **named}
        stats.timing("elt.warehouse_time", one.seconds * 1000, tags=tags)


def count_checks(source: str, table: str, failed: int) -> None:
    """Count checks that do not hold."""
    from airflow.sdk.observability import stats

    stats.incr("elt.checks_failed", failed, tags={"source": source, "table": table})


def business_lag(manifest: Manifest) -> float | None:
    """Return how many seconds the newest business date of a landing is before the end of its window."""
    text = manifest.business_date_max
    if not text or len(text) <= _DAY_TEXT:
        return None  # a day says nothing of seconds
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((datetime.fromisoformat(manifest.window_end) - moment).total_seconds(), 0.0)
