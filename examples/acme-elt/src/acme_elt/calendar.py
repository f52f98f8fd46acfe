"""A source without a system behind it: the days of the window, for a date dimension."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from elt_factory.config.models.source import Extract, Source
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import Name
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.sources.kind import Asked, SourceKind


class Calendar(Extract):
    """The calendar: nothing has to be reached."""

    type: Literal["calendar"]
    connection: None = Field(None, description="A calendar has no connection.", examples=[None])


class CalendarTable(Table):
    """The days of the window, a row each."""

    first_weekday: Literal["monday", "sunday"] = Field(
        "monday", description="Day that weeks begin with.", examples=["sunday"]
    )

    @property
    def takes_window(self) -> bool:
        """A calendar has the days of the window alone."""
        return True


class CalendarSource(Source):
    """Tables from the calendar."""

    extract: Calendar = Field(description="How the source is reached.", examples=[{"type": "calendar"}])
    tables: dict[Name, CalendarTable] = Field(
        min_length=1, description="Tables to load.", examples=[{"days": {"primary_key": ["day"]}}]
    )


def days(window: Window) -> Iterator[date]:
    """Yield the days that begin in the window."""
    day = window.start.date()
    while day < window.end.date():
        yield day
        day += timedelta(days=1)


def row(day: date, first_weekday: str) -> dict[str, Any]:
    """Return what is known of a day."""
    weekday = day.isoweekday() % 7 + 1 if first_weekday == "sunday" else day.isoweekday()
    return {
        "day": day.isoformat(),
        "weekday": weekday,
        "iso_week": day.isocalendar().week,
        "quarter": (day.month + 2) // 3,
    }


def _read(request: ReadRequest) -> Spool:
    spec = request.source.tables[request.table]
    file, count = request.workdir / "days.ndjson", 0
    with file.open("w", encoding="utf-8") as lines:
        for day in days(request.window):
            lines.write(json.dumps(row(day, spec.first_weekday)) + "\n")
            count += 1
    return Spool("ndjson", (file,), count)


def _asked(asked: Asked) -> list[str]:
    return [f"the days of {asked.window}"]


def _sampled(asked: Asked, _: Connection | None, __: Path) -> tuple[Source, str]:
    return asked.source, f"the days of {asked.window}"


KIND = SourceKind(
    name="calendar",
    title="A calendar",
    config=CalendarSource,
    places=((Calendar, "extract"), (CalendarTable, "tables.<name>")),
    read=_read,
    asked=_asked,
    sampled=_sampled,
)
