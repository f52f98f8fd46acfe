"""Who may see what: Airflow's login, and its permission for each DAG. Every route depends on one of these."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.batch_apis import IsAuthorizedDagRequest
from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, HTTPException, Request, status

from elt_factory.ui.estate import current_estate


@dataclass(frozen=True)
class Rights:
    """What a user may do with a DAG: start runs of it, change it."""

    run: bool
    edit: bool


def _website(user: GetUserDep) -> Any:
    """Return the user, who is logged in and may see Airflow's web UI.

    Raises:
        HTTPException: 401 for no one, 403 for a user without a role.
    """
    if not get_auth_manager().is_authorized_view(access_view=AccessView.WEBSITE, user=user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    return user


User = Annotated[Any, Depends(_website)]


def _own(request: Request) -> bool:
    """Whether no page of another site has made a browser ask."""
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def _own_user(user: User, request: Request) -> Any:
    """Return the user, whose own page asks.

    Raises:
        HTTPException: 403 for a request that another site has made.
    """
    if not _own(request):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    return user


OwnUser = Annotated[Any, Depends(_own_user)]


def _readable(user: User) -> frozenset[str]:
    """Return the sources whose DAGs and runs the user may read, as for the page of each."""
    known = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return _with_runs(user, current_estate().configs.keys() & known, "GET")


Readable = Annotated[frozenset[str], Depends(_readable)]


def _runnable(readable: Readable, user: User) -> frozenset[str]:
    """Return the sources that the user sees and may start runs of. Airflow itself asks again when one is started."""
    return _with_runs(user, readable, "POST")


Runnable = Annotated[frozenset[str], Depends(_runnable)]


def _spends(runnable: Runnable, user: OwnUser) -> Any:
    """Return the user, who may have the warehouse asked: who may start runs of a source can resume it by any of them.

    Raises:
        HTTPException: 403 for a user who may start none.
    """
    if not runnable:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    return user


Spends = Annotated[Any, Depends(_spends)]


def _source(name: str, user: User) -> str:
    """Return the name of a source whose DAG and runs the user may read: 403 is the answer for any other name."""
    if not all(may(user, name, "GET", entity) for entity in (None, DagAccessEntity.RUN)):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    return name


SourceName = Annotated[str, Depends(_source)]


def _rights(name: SourceName, user: User) -> Rights:
    return Rights(run=may(user, name, "POST", DagAccessEntity.RUN), edit=may(user, name, "PUT"))


OwnRights = Annotated[Rights, Depends(_rights)]


def _edited(name: SourceName, rights: OwnRights, request: Request) -> str:
    """Return the name of a source that the user may change, and whose own page asks.

    Raises:
        HTTPException: 403 for a user who may only read it, and for a request that another site has made.
    """
    if not rights.edit or not _own(request):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    return name


EditedSource = Annotated[str, Depends(_edited)]


def _sees_errors(user: User) -> bool:
    """Whether the user may see which files cannot be read, and why."""
    return bool(get_auth_manager().is_authorized_view(access_view=AccessView.IMPORT_ERRORS, user=user))


SeesErrors = Annotated[bool, Depends(_sees_errors)]


def may(user: Any, dag_id: str, method: Any, entity: DagAccessEntity | None = None) -> bool:
    """Whether Airflow lets the user do something with a DAG."""
    from airflow.models.dag import DagModel

    team = DagModel.get_team_name(dag_id)
    details = DagDetails(id=dag_id, team_name=team)
    return bool(get_auth_manager().is_authorized_dag(method=method, access_entity=entity, details=details, user=user))


def _with_runs(user: Any, names: Collection[str], method: Any) -> frozenset[str]:
    """Return the DAGs whose runs Airflow lets the user read or start, by one question where it is all of them.

    No list of Airflow's has them: to start a run needs a right of its own, which need not follow from one for the DAG.
    """
    if not names:
        return frozenset()
    from airflow.models.dag import DagModel

    manager, teams = get_auth_manager(), DagModel.get_dag_id_to_team_name_mapping(sorted(names))
    asked: dict[str, IsAuthorizedDagRequest] = {
        name: {
            "method": method,
            "access_entity": DagAccessEntity.RUN,
            "details": DagDetails(id=name, team_name=teams.get(name)),
        }
        for name in sorted(names)
    }
    if manager.batch_is_authorized_dag(list(asked.values()), user=user):
        return frozenset(names)
    return frozenset(name for name, one in asked.items() if manager.batch_is_authorized_dag([one], user=user))


def changes_every_dag(user: Any) -> bool:
    """Whether the user may change DAGs, whichever: a new one is none of those that there are."""
    return bool(get_auth_manager().is_authorized_dag(method="PUT", user=user))


def changes_connection(user: Any, conn_id: str | None) -> bool:
    """Whether the user may change a connection; without one, make a new one."""
    if conn_id is None:
        return bool(get_auth_manager().is_authorized_connection(method="POST", user=user))
    from airflow.models.connection import Connection

    details = ConnectionDetails(conn_id=conn_id, team_name=Connection.get_team_name(conn_id))
    return bool(get_auth_manager().is_authorized_connection(method="PUT", details=details, user=user))


def changed_connections(user: Any) -> set[str]:
    """Return the connections of Airflow's database that the user may change."""
    return set(get_auth_manager().get_authorized_connections(user=user, method="PUT"))
