"""What the tests of the page share."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

HIDDEN = "<script>alert(1)</script>"  # what a source may say


def pictures_wanted() -> bool:
    """Whether docs/images is written again: ELT_PICTURES=1."""
    return bool(os.environ.get("ELT_PICTURES"))


@contextmanager
def api_over(project: Path, warehouse: dict[str, Any], dags: Iterable[str]) -> Iterator[TestClient]:
    """The page's API over a project, whose DAGs Airflow knows, as of a server that has just begun; no one is logged in.

    Args:
        project: The folder of the project.
        warehouse: The fields of the connection.
        dags: The DAGs.
    """
    from airflow.api_fastapi.app import create_auth_manager

    from elt_factory.ui import estate, judged, picture, routes, source, tables
    from elt_factory.ui.app import app

    with pytest.MonkeyPatch.context() as patch, known_dags(dags):
        patch.setenv("ELT_PROJECT", str(project))
        patch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(warehouse))
        patch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
        patch.setattr(tables, "_kept", {})
        keeper, audit = picture.PictureKeeper(), judged.AuditKeeper()
        patch.setattr(picture, "table_states", lambda keeper=audit: judged.table_states(keeper))
        patch.setattr(picture, "states_as_known", lambda keeper=audit: judged.states_as_known(keeper))
        for module in (routes, source):
            patch.setattr(module, "current_picture", keeper.picture)
        patch.setattr(routes, "made_picture", keeper.made_now)
        create_auth_manager().init()
        estate._readers.clear()
        yield TestClient(app, raise_server_exceptions=False)
        estate._readers.clear()
        tables._replica.cache_clear()


@contextmanager
def known_dags(names: Iterable[str]) -> Iterator[None]:
    """Airflow has DAGs of some names."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="ui"))
        session.flush()
        for name in names:
            session.merge(DagModel(dag_id=name, bundle_name="ui", is_paused=False, is_stale=False))
    yield
    with create_session() as session:
        session.query(DagModel).filter(DagModel.bundle_name == "ui").delete()


def token_of(role: str | None) -> dict[str, str]:
    """The headers of a user with a role of Airflow's own SimpleAuthManager; None is a user without one."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=f"user-{role}", role=role))
    return {"Authorization": f"Bearer {token}"}
