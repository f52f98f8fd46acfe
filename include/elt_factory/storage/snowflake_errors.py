"""What the Snowflake connector raises, and the fault that it means."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from http import HTTPStatus

from elt_factory.core.failures import redact


class Fault(Enum):
    """What is wrong."""

    NO_SUCH_OBJECT = auto()
    DENIED = auto()
    BUSY = auto()
    TIMEOUT = auto()
    CANCELLED = auto()
    UNAVAILABLE = auto()
    STATEMENT = auto()


_NO_SUCH_OBJECT = (2003, 2043)  # does not exist, or this role may not know that it does
_NO_RIGHTS = (3001, 3003, 3540)
_BUSY = (625,)  # a lock that was not free in time, or more than 20 statements waiting for it
_TIMEOUT = (630,)  # the statement's time limit or that of the queue
_CANCELLED = (604,)
_INTERNAL = (603,)  # "processing aborted by error 300010": an incident on Snowflake's side
_NO_SESSION = (390111, 390112, 390114, 390195)
_LOGIN = range(390100, 390500)
_NO_LOGIN = (251001, 251002, 251005, 251006, 251007, 251008)  # account, user or password is not given

_BY_NUMBER = (
    (_NO_SUCH_OBJECT, Fault.NO_SUCH_OBJECT),
    (_NO_RIGHTS, Fault.DENIED),
    (_BUSY, Fault.BUSY),
    (_TIMEOUT, Fault.TIMEOUT),
    (_CANCELLED, Fault.CANCELLED),
    (_INTERNAL, Fault.UNAVAILABLE),
    (_NO_SESSION, Fault.UNAVAILABLE),
    (_NO_LOGIN, Fault.DENIED),
    (_LOGIN, Fault.DENIED),
)


def raised() -> tuple[type[Exception], ...]:
    """Return what the connector raises, and what comes of the network."""
    try:
        from snowflake.connector import errors
    except ModuleNotFoundError:
        # a plan is made without it
        return (OSError,)
    return errors.Error, OSError


def fault_of(error: Exception) -> Fault:
    """Return the fault that an error of `raised` means."""
    if isinstance(error, OSError):
        # an OAuth server that answers 4xx refuses; anything else is the way there
        answer = getattr(getattr(error, "response", None), "status_code", 0)
        refused = HTTPStatus.BAD_REQUEST <= answer < HTTPStatus.INTERNAL_SERVER_ERROR
        return Fault.DENIED if refused else Fault.UNAVAILABLE
    from snowflake.connector import errors

    # a login that was not answered has the number of one that was refused
    number = -1 if isinstance(error, errors.OperationalError) else int(getattr(error, "errno", None) or 0)
    return next((fault for numbers, fault in _BY_NUMBER if number in numbers), _by_class(error))


def said(error: Exception, secrets: Sequence[str | None]) -> str:
    """Return what an error says, in one line and without secrets."""
    line = redact(" ".join(str(error).split()), secrets)
    return f"cannot reach Snowflake: {line}" if isinstance(error, OSError) else f"Snowflake: {line}"


def _by_class(error: Exception) -> Fault:
    from snowflake.connector import errors

    if isinstance(error, errors.ForbiddenError):
        return Fault.DENIED
    unlike = (errors.OperationalError, errors.InternalError)
    if isinstance(error, unlike) or not isinstance(error, errors.DatabaseError):
        return Fault.UNAVAILABLE
    # the login's own answer "incorrect username or password" is a plain DatabaseError
    refused = (errors.ProgrammingError, errors.DataError, errors.IntegrityError, errors.NotSupportedError)
    return Fault.STATEMENT if isinstance(error, refused) else Fault.DENIED
