"""What the Snowflake connector raises, as the errors that say whether a retry heals it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from elt_factory.core.failures import (
    AccessDeniedError,
    EltError,
    WarehouseBusyError,
    WarehouseCancelledError,
    WarehouseTimeoutError,
    WarehouseUnavailableError,
)
from elt_factory.storage.snowflake_errors import Fault, fault_of, raised, said
from elt_factory.warehouse.base import StatementError

_HINTS: Mapping[type[EltError], str] = {
    WarehouseTimeoutError: "; raise STATEMENT_TIMEOUT_IN_SECONDS in the connection's session_parameters, or use "
    "a larger warehouse",
    WarehouseCancelledError: "; clear the task to run it again",
}


class NoSuchObjectError(StatementError):
    """A table, schema or stage is not there, or the role may not see it."""


_KINDS: Mapping[Fault, type[EltError]] = {
    Fault.NO_SUCH_OBJECT: NoSuchObjectError,
    Fault.DENIED: AccessDeniedError,
    Fault.BUSY: WarehouseBusyError,
    Fault.TIMEOUT: WarehouseTimeoutError,
    Fault.CANCELLED: WarehouseCancelledError,
    Fault.UNAVAILABLE: WarehouseUnavailableError,
    Fault.STATEMENT: StatementError,
}


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
    except raised() as error:
        kind = _KINDS[fault_of(error)]
        raise kind(f"{said(error, secrets)}{_HINTS.get(kind, '')}") from error
