"""`elt new` for the form in the browser: what the API server asks for a user, and what it never asks.

A server that asks what a user names can be used to reach what only it can reach. So nothing is asked unless the
deployment says so in `ELT_PAGE_SAMPLES`, as Airflow's own "Test connection" is off: `connections` allows those that
Airflow's database holds and the user may change, a name of a host, or of all below it (`*.example.org`), a URL there.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

from elt_factory.config.errors import ConfigError
from elt_factory.config.yaml.variables import unread_variables
from elt_factory.core.failures import BadRequestError, EltError
from elt_factory.core.project import config_folder, project_root
from elt_factory.ui.models import SampledConfig, SampleWish, SkippedTable

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from elt_factory.core.connection import Connection
    from elt_factory.discover.found import SourceFound

VARIABLE = "ELT_PAGE_SAMPLES"
CONNECTIONS = "connections"
EVENT = "elt_sample"
_HOST = re.compile(r"(?:\*\.)?[^*?\s]+")
_LOGIN = re.compile(r"[^/]*@")
_AT_ONCE = BoundedSemaphore(2)  # samples: each may take minutes and a core


class BusyError(EltError):
    """Others have the server sample for them."""


def allowed() -> Sequence[str]:
    """Return what the deployment lets the page ask: the word `connections`, and hosts."""
    return tuple(filter(None, map(str.strip, os.environ.get(VARIABLE, "").lower().split(","))))


def allowed_hosts() -> list[str]:
    """Return the hosts of which a URL may be asked; `*.` before a name allows what is below it, no other `*` counts."""
    return [one for one in allowed() if one != CONNECTIONS and _HOST.fullmatch(one)]


def _is_of(bare: str, host: str, allowed_host: str) -> bool:
    if allowed_host.startswith("*."):
        return bare.endswith(allowed_host[1:])
    return allowed_host in (bare, host)


def sampled(wish: SampleWish, before: Callable[[], None] = lambda: None) -> SampledConfig:
    """Return the config that `elt new` would write.

    Args:
        wish: What is asked for.
        before: Is called once it is known to be allowed, before anything is asked.

    Raises:
        EltError: the deployment does not allow it, it cannot be reached, or there is nothing to be found.
        BusyError: others are served.
    """
    from elt_factory.describe.new_config import written

    root = config_folder()
    _require_allowed(wish)
    if not _AT_ONCE.acquire(blocking=False):
        raise BusyError("two samples are being taken already; hint: try again in a moment")
    try:
        before()
        with tempfile.TemporaryDirectory() as scratch:
            found = _found(wish, Path(scratch))
        # a user and a source give the text: no variable of the server's environment is read for it
        with unread_variables():
            text, found = written(wish.name, found, root / f"{wish.name}.yaml", root)
    except ConfigError as error:
        raise BadRequestError(f"the config would be invalid: {error.problems[0].message}") from error
    finally:
        _AT_ONCE.release()
    skipped = [SkippedTable(name=one.name, reason=one.reason) for one in found.skipped]
    return SampledConfig(file=f"{wish.name}.yaml", text=text, skipped=skipped, todo=list(found.todo))


def _require_allowed(wish: SampleWish) -> None:
    if bool(wish.url) == bool(wish.connection):
        raise BadRequestError("name a connection or a URL, one of them")
    if wish.connection:
        if CONNECTIONS not in allowed():
            raise BadRequestError(f"this deployment samples no connections; hint: {VARIABLE}={CONNECTIONS}")
        _require_below(wish.path or "")
        return
    from elt_factory.sources.rest_api.address import address_of

    host = address_of(wish.url or "").host.partition("://")[2].lower()
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if not any(_is_of(bare, host, one) for one in allowed_hosts()):
        raise BadRequestError(f"this deployment samples no URLs of {bare}; hint: {VARIABLE}={bare}, or a connection")


def _require_below(path: str) -> None:
    """Refuse a path that points outside what the connection names."""
    plain = unquote(path).replace("\\", "/")
    if "://" in plain.partition("?")[0] or plain.startswith("//") or ".." in PurePosixPath(plain).parts:
        raise BadRequestError("the path points outside the connection; hint: write one below it")


def _found(wish: SampleWish, scratch: Path) -> SourceFound:
    from elt_factory.describe.new_config import look, look_at_url
    from elt_factory.sources.kind import Wish

    if wish.url:
        return look_at_url(wish.name, wish.url, scratch)
    connection = _stored(str(wish.connection))
    if connection.conn_type in ("http", "https") or not (wish.path or "").startswith("/"):
        asked = Wish(wish.name, connection, wish.path or None, wish.tables, wish.schema_name, project_root(), _missing)
        return look(asked, scratch)
    raise BadRequestError("the path points outside the connection; hint: write one below it")


def _stored(conn_id: str) -> Connection:
    """Return a connection of Airflow's database: no other one is a user's to change.

    Raises:
        BadRequestError: the database has none, or the environment or a secrets backend has another one of this id.
    """
    from airflow.models.connection import Connection as Row
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from elt_factory.dag.runtime import as_connection, get_connection

    with create_session() as session:
        row = session.scalar(select(Row).where(Row.conn_id == conn_id))
        if row is None or as_connection(conn_id, row) != (found := get_connection(conn_id)):
            raise BadRequestError(
                f"the connection {conn_id} is not the one of Airflow's database; hint: name one that is kept there"
            )
    return found


def _missing(question: str) -> NoReturn:
    """Refuse to ask: there is no one at a keyboard."""
    raise BadRequestError(f"this connection needs more: {question.lower()}; hint: fill in the path")


def note(session: Session, who: str, wish: SampleWish) -> None:
    """Write into Airflow's audit log what is asked for whom. Logins, parameters and fragments are left out."""
    from airflow.models.log import Log

    asked = {"connection": wish.connection, "url": _plain(wish.url), "path": _plain(wish.path)}
    session.add(Log(event=EVENT, owner=who, owner_display_name=who, extra=json.dumps(asked)))


def _plain(address: str | None) -> str:
    """Return an address, or a path, without what may be a secret."""
    return _LOGIN.sub("", re.split(r"[?#;]", unquote(address or ""), maxsplit=1)[0])
