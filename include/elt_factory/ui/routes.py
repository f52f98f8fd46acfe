"""The routes of the API, version 1. Each needs a login, and those of a source the permission to read its DAG."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from airflow.utils.session import create_session
from fastapi import APIRouter, HTTPException, Response, status

from elt_factory.config.loading import LoadedConfig
from elt_factory.diagnosis.acknowledged import QUIET, acknowledge
from elt_factory.ui.access import (
    EditedSource,
    OwnRights,
    Readable,
    Runnable,
    SeesErrors,
    SourceName,
    Spends,
    User,
)
from elt_factory.ui.backfills import backfill_answer
from elt_factory.ui.catalogue import catalogue as columns
from elt_factory.ui.costs import cost_of
from elt_factory.ui.estate import current_estate
from elt_factory.ui.graphs import lineage_graph
from elt_factory.ui.history import changes_of, rejects_of, results_of
from elt_factory.ui.models import (
    Acknowledged,
    Acknowledgement,
    Backfill,
    ChangeRow,
    CheckHistory,
    ColumnRow,
    ConfigAnswer,
    Copied,
    Cost,
    Graph,
    Loads,
    Overview,
    Rejects,
    Source,
)
from elt_factory.ui.picture import current_picture, made_picture
from elt_factory.ui.source import config_answer, loads_answer, source_answer
from elt_factory.ui.tables import ask_again, audit_tables

Described = dict[int | str, dict[str, Any]]
WRONG: Described = {
    401: {"description": "No login"},
    403: {"description": "No permission"},
    503: {"description": "No warehouse"},
}
_NOT_FOUND: Described = {404: {"description": "The config or its table is not there, or is broken"}}
_NOTHINGWRONG: Described = {409: {"description": "Nothing is wrong with the table"}}
router = APIRouter(prefix="/api/v1", responses=WRONG)


@router.get("/overview", response_model=Overview)
def overview(readable: Readable, runnable: Runnable, sees_errors: SeesErrors) -> Response:
    """Return all tables of the sources that the user may see, and the YAMLs that are broken."""
    picture, now = current_picture(), datetime.now(UTC)
    answer = Overview(
        now=now,
        copied=picture.copied(now),
        tables=[],
        scheduled=picture.scheduled,
        may_run=sorted(runnable & set(picture.rows)),
        broken=list(picture.broken) if sees_errors else [],
    )
    rows = ",".join(row for source, rows in picture.rows.items() if source in readable for row in rows)
    # each row is text already: of a thousand sources few have changed
    text = answer.model_dump_json().replace('"tables":[]', f'"tables":[{rows}]', 1)
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post("/asked")
def asked(_: Spends) -> Copied:
    """Ask the warehouse now for what the list shows, although that may resume it, and return how old that is."""
    ask_again()
    return made_picture().copied_now()


@router.get("/catalogue")
def catalogue(readable: Readable) -> list[ColumnRow]:
    """Return every column of the tables that the user may see."""
    return list(columns(current_estate(), readable))


@router.get("/sources/{name}", responses=_NOT_FOUND)
def source(name: SourceName, readable: Readable, rights: OwnRights) -> Source:
    """Return a source with its tables, what is wrong with them, and who waits for whom."""
    return source_answer(_item(name), readable, rights)


@router.post("/sources/{name}/acknowledgement", responses=_NOT_FOUND | _NOTHINGWRONG, status_code=201)
def acknowledgement(name: EditedSource, user: User, said: Acknowledgement) -> Acknowledged:
    """Write into Airflow's audit log that the user takes care of what is wrong with a table."""
    if said.table not in (_item(name).config.all_tables or ("",)):
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} has no such table")
    verdict = next((one for one in current_picture().verdicts.get(name, ()) if one.table == said.table), None)
    if verdict is None or verdict.state in QUIET:
        raise HTTPException(status.HTTP_409_CONFLICT, "nothing is wrong with this table")
    with create_session() as session:
        acknowledge(session, (name, said.table), verdict.code, user.get_name(), said.why.strip())
    return Acknowledged(who=user.get_name(), at=datetime.now(UTC), why=said.why.strip())


@router.get("/sources/{name}/tables/{table}/loads", responses=_NOT_FOUND, response_model=Loads)
def loads(name: SourceName, table: str) -> Response:
    """Return the loads of a table and the windows that are missing between them."""
    item = _item(name)
    if table not in item.config.all_tables:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} has no such table")
    with audit_tables() as tables:
        answer = loads_answer(tables.warehouse, item.config, table)
    # hundreds of loads, which are right already: to check them again would take longer than to read them
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/sources/{name}/backfill", responses=_NOT_FOUND)
def backfill(name: SourceName, first: date, last: date) -> Backfill:
    """Return the windows that a backfill of some days would load: those that `elt backfill` says."""
    return backfill_answer(_item(name).config, first, last)


@router.get("/sources/{name}/rejects", responses=_NOT_FOUND)
def rejects(name: SourceName, table: str | None = None) -> Rejects:
    """Return the rejects of a source by reason and by load, with samples."""
    _item(name)
    with audit_tables() as tables:
        return rejects_of(tables.warehouse, name, table)


@router.get("/sources/{name}/changes", responses=_NOT_FOUND)
def changes(name: SourceName) -> list[ChangeRow]:
    """Return the columns of a source that changed."""
    _item(name)
    with audit_tables() as tables:
        return changes_of(tables.warehouse, name)


@router.get("/sources/{name}/quality", responses=_NOT_FOUND)
def quality(name: SourceName) -> list[CheckHistory]:
    """Return the results of the checks, dbt models and dbt tests of a source over time."""
    _item(name)
    with audit_tables() as tables:
        return results_of(tables.warehouse, name)


@router.get("/sources/{name}/config", responses=_NOT_FOUND)
def config(name: SourceName) -> ConfigAnswer:
    """Return the config in effect: every value, and where it comes from."""
    return config_answer(_item(name))


@router.get("/sources/{name}/cost", responses=_NOT_FOUND)
def cost(name: SourceName) -> Cost:
    """Return what the newest runs of a source took, step by step. The warehouse is not asked."""
    budget = _item(name).config.budget
    with create_session() as session:
        return cost_of(session, name, current_picture().kind, budget)


@router.get("/sources/{name}/lineage", responses=_NOT_FOUND)
def lineage(name: SourceName, readable: Readable) -> Graph:
    """Return where a source's data come from and where they go to, through the dbt models."""
    configs = [item.config for item in current_estate().configs.values() if item.config.name in readable]
    return lineage_graph(configs, _item(name).config)


def _item(name: str) -> LoadedConfig:
    """Return the config of a source.

    Raises:
        HTTPException: 404 where none that can be used has the name.
    """
    found = current_estate().configs.get(name)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "No config of this name can be used")
    return found
