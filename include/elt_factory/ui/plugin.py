"""What Airflow itself must know: deadlines, timetables, windows, the Sources page. Found by `airflow.plugins`.

Every Airflow process imports this, workers too, so the page's API is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from elt_factory.dag.core_timetables import CalendarTimetable, EveryTimetable
from elt_factory.dag.deadline_references import QueuedDeadline, TimeOfDayDeadline
from elt_factory.dag.partitions import WindowsMapper
from elt_factory.dag.scheduler_preload import ImportsBeforeTasks
from elt_factory.dag.triggered_callbacks import spare_callbacks
from elt_factory.dag.triggered_dags import spare_dags
from elt_factory.ui.turns import WritersTakeTurns

PREFIX = "/elt"
STATIC = Path(__file__).parent / "static"
BUNDLE = "sources.js"


class LazyApp:
    """An ASGI application that is imported with the first request to it.

    Args:
        module: Where it is.
        name: Its name there.
    """

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        await self.loaded()(scope, receive, send)

    def loaded(self) -> Any:
        """Return the application."""
        if self._app is None:
            module, name = self._place
            self._app = getattr(import_module(module), name)
        return self._app


def bundle_url() -> str:
    """Return the address of the page's bundle below Airflow's own; another one when its content is another."""
    try:
        version = (STATIC / f"{BUNDLE}.version").read_text(encoding="utf-8").strip()
    except OSError:
        version = "none"
    return f"{PREFIX.removeprefix('/')}/static/{BUNDLE}?v={version}"


def react_apps() -> list[dict[str, Any]]:
    """Return the page in the navigation, and the tab of each DAG. The names are those that the bundle registers."""
    icon = f"{PREFIX.removeprefix('/')}/static/icon"
    shared = {"bundle_url": bundle_url(), "icon": f"{icon}.svg", "icon_dark_mode": f"{icon}-dark.svg"}
    return [
        {"name": "Sources", "url_route": "sources", "destination": "nav", "nav_top_level": True, **shared},
        {"name": "Source", "url_route": "source", "destination": "dag", **shared},
    ]


# Airflow reads its plugins before it forks the process of the triggers
spare_dags()
spare_callbacks()


class EltFactoryPlugin(AirflowPlugin):
    """ELT Factory in Airflow's list of plugins."""

    name = "elt_factory"
    deadline_references = [TimeOfDayDeadline, QueuedDeadline]  # noqa: RUF012 - as AirflowPlugin declares it
    listeners = [ImportsBeforeTasks()]  # noqa: RUF012
    timetables = [CalendarTimetable, EveryTimetable]  # noqa: RUF012
    partition_mappers = [WindowsMapper]  # noqa: RUF012
    fastapi_apps = [  # noqa: RUF012
        {"name": "ELT Factory", "url_prefix": PREFIX, "app": LazyApp("elt_factory.ui.app", "app")}
    ]
    fastapi_root_middlewares = [  # noqa: RUF012
        {"name": "Requests that write to SQLite take turns", "middleware": WritersTakeTurns}
    ]
    react_apps = react_apps()
