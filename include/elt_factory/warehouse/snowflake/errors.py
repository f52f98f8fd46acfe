"""What the Snowflake connector raises, as the errors that say whether a retry heals it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from elt_factory.core.failures import (
    AccessDeniedError,
    EltError,
    WarehouseBusyError,
    WarehouseCancelledError,
    WarehouseTimeoutError,
    WarehouseUnavailableError,
    redact,
)
from elt_factory.warehouse.base import StatementError

NO_SUCH_OBJECT = (2003, 2043)  # does not exist, or this role may not know that it does
_NO_RIGHTS = (3001, 3003, 3540)
_BUSY = (625,)  # a lock that was not free in time, or more than 20 statements waiting for it
_TIMEOUT = (630,)  # the statement's time limit or that of the queue
_CANCELLED = (604,)
_INTERNAL = (603,)  # "processing aborted by error 300010": an incident on Snowflake's side
_NO_SESSION = (390111, 390112, 390114, 390195)
_LOGIN = range(390100, 390500)
_NO_LOGIN = (251001, 251002, 251005, 251006, 251007, 251008)  # account, user or password is not given

_HINTS: Mapping[type[EltError], str] = {
    WarehouseTimeoutError: "; raise STATEMENT_TIMEOUT_IN_SECONDS in the connection's session_parameters, or use "
    "a larger warehouse",
    WarehouseCancelledError: "; clear the task to run it again",
}


class NoSuchObjectError(StatementError):
    """A table, schema or stage is not there, or the role may not see it."""


@contextmanager
def translated(secrets: Sequence[str | None] = ()) -> Iterator[None]:
    """Raise the connector's errors as ours, in one line and without secrets.

    Raises:
        AccessDeniedError: the credentials or the rights do not suffice.
        WarehouseBusyError: a lock was not free in time, or too many statements wait for it.
        WarehouseTimeoutError: a statement reached its time limit.
        WarehouseCancelledError: a statement was cancelled.
        WarehouseUnavailableError: Snowflake cannot be reached, or the connection was lost.
        StatementError: any other statement that Snowflake refuses.
    """
    try:
        yield
    except _raised() as error:
        raise _translate(error, secrets) from error
    except OSError as error:
        # an OAuth server that answers 4xx refuses; anything else is the way there
        answer = getattr(getattr(error, "response", None), "status_code", 0)
        refused = HTTPStatus.BAD_REQUEST <= answer < HTTPStatus.INTERNAL_SERVER_ERROR
        kind = AccessDeniedError if refused else WarehouseUnavailableError
        raise kind(f"cannot reach Snowflake: {_line(error, secrets)}") from error


def _raised() -> tuple[type[Exception], ...]:
    """Return what the connector raises: nothing where it is not installed, and a plan is made."""
    try:
        from snowflake.connector import errors
    except ModuleNotFoundError:
        return ()
    return (errors.Error,)


def _translate(error: Exception, secrets: Sequence[str | None]) -> EltError:
    from snowflake.connector import errors

    said = f"Snowflake: {_line(error, secrets)}"
    # a login that was not answered has the number of one that was refused
    number = -1 if isinstance(error, errors.OperationalError) else int(getattr(error, "errno", None) or 0)
    for numbers, kind in (
        (NO_SUCH_OBJECT, NoSuchObjectError),
        (_NO_RIGHTS, AccessDeniedError),
        (_BUSY, WarehouseBusyError),
        (_TIMEOUT, WarehouseTimeoutError),
        (_CANCELLED, WarehouseCancelledError),
        (_INTERNAL, WarehouseUnavailableError),
        (_NO_SESSION, WarehouseUnavailableError),
        (_NO_LOGIN, AccessDeniedError),
        (_LOGIN, AccessDeniedError),
    ):
        if number in numbers:
            return kind(said + _HINTS.get(kind, ""))
    return _by_class(error)(said)


def _by_class(error: Exception) -> type[EltError]:
    from snowflake.connector import errors

    if isinstance(error, errors.ForbiddenError):
        return AccessDeniedError
    if isinstance(error, errors.OperationalError) or not isinstance(error, errors.DatabaseError):
        return WarehouseUnavailableError
    if isinstance(error, errors.InternalError):
        return WarehouseUnavailableError
    # the login's own answer "incorrect username or password" is a plain DatabaseError
    return StatementError if isinstance(error, _refused()) else AccessDeniedError


def _refused() -> tuple[type[Exception], ...]:
    from snowflake.connector import errors

    return errors.ProgrammingError, errors.DataError, errors.IntegrityError, errors.NotSupportedError


def _line(error: Exception, secrets: Sequence[str | None]) -> str:
    return redact(" ".join(str(error).split()), secrets)
