"""The routes of a config that is being written: its mistakes, its sample, its branch. No file here is written."""

from __future__ import annotations

from typing import Any

from airflow.utils.session import create_session
from fastapi import APIRouter, HTTPException, status

from elt_factory.core.failures import EltError
from elt_factory.ui.access import OwnUser, Readable, User, changed_connections, changes_connection, changes_every_dag
from elt_factory.ui.drafts import checked
from elt_factory.ui.estate import current_estate
from elt_factory.ui.models import Checked, Draft, Onboarding, Proposal, SampledConfig, SampleWish
from elt_factory.ui.proposals import note as note_proposal
from elt_factory.ui.proposals import proposed, repository
from elt_factory.ui.sampling import CONNECTIONS, BusyError, allowed, allowed_hosts, sampled
from elt_factory.ui.sampling import note as note_sample

_UNFIT: dict[int | str, dict[str, Any]] = {
    422: {"description": "What was sent is not valid, or cannot be done: the reason is in `detail`"},
    429: {"description": "Others are served; try again in a moment"},
}
router = APIRouter(prefix="/api/v1")


@router.get("/onboarding")
def onboarding(user: User) -> Onboarding:
    """Return what the user may do with a config that is being written."""
    connections = CONNECTIONS in allowed()
    return Onboarding(
        connections=connections and changes_connection(user, None),
        known=sorted(changed_connections(user)) if connections else [],
        hosts=allowed_hosts() if changes_connection(user, None) else [],
        repository=repository() if changes_every_dag(user) else None,
    )


@router.post("/draft")
def draft(_: OwnUser, readable: Readable, written: Draft) -> Checked:
    """Return what is wrong in the text of a YAML, and the DAG that it would make. Nothing is kept of it."""
    return checked(written.text, current_estate(), readable)


@router.post("/sample", responses=_UNFIT)
def sample(user: OwnUser, wish: SampleWish) -> SampledConfig:
    """Look at a source as `elt new` does, and return the config that it would write.

    Needs to change the connection, which is one of Airflow's database.
    """
    listed = wish.connection is None or wish.connection in changed_connections(user)
    if not listed or not changes_connection(user, wish.connection):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")

    def written_down() -> None:
        with create_session() as session:
            note_sample(session, user.get_name(), wish)

    try:
        return sampled(wish, written_down)
    except BusyError as error:
        raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, str(error)) from error
    except EltError as error:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, str(error)) from error


@router.post("/proposal", responses=_UNFIT)
def proposal(user: OwnUser, readable: Readable, written: Draft) -> Proposal:
    """Push a branch with a config to the repository of the git bundle. Needs to change every DAG."""
    if not changes_every_dag(user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    found = checked(written.text, current_estate(), readable)
    if found.mistakes:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, "the YAML has mistakes")
    try:
        made = proposed(found.file, written.text, user.get_name())
    except EltError as error:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, str(error)) from error
    if made.pushed:
        with create_session() as session:
            note_proposal(session, user.get_name(), made)
    return made
