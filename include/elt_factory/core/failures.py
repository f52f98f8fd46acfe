"""What goes wrong while data moves: what a retry can heal, and what it cannot.

Messages name the source, the table and the cause, and never hold a secret: text that comes from outside passes `redact`
first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

# an address may carry its secret in its query, also one that is signed
_URL_KEY = re.compile(
    r"([?&;][\w.%\[\]-]*(?:key|token|secret|signature|sig|passw|pwd|auth|credential|session|jwt)[\w.%\[\]-]*=)"
    r"[^&;#\s\"'<>]+",
    re.IGNORECASE,
)
_HTTP_LOGIN = re.compile(r"(https?://)[^/\s:@?#]+@")
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")


class EltError(Exception):
    """Base of every error of ELT Factory at run time."""


class TransientError(EltError):
    """Transient: a server that is down or busy, a lock, a timeout. Retried with backoff."""


class PermanentError(EltError):
    """Not retryable, a change is needed: a wrong key, a missing column, a broken contract. Fails immediately."""


class SourceUnavailableError(TransientError):
    """The source system cannot be reached or does not answer correctly now."""


class AnswerLostError(SourceUnavailableError):
    """A request that starts something was sent, and no answer came: whether it had an effect is not known."""


class SourceNotReadyError(TransientError):
    """What the source should have by now is not there yet: a file, a folder."""


class SourceBusyError(TransientError):
    """The source asks to wait for longer than a worker should: `until` says when it may be asked again."""

    until: datetime | None = None


class JobRunningError(SourceBusyError):
    """A job that the source does for us is not done: look again `every` so often, at most `until` then."""

    every: timedelta = timedelta(seconds=30)


class RemoteJobFailedError(SourceUnavailableError):
    """A job of another system has failed: a retry starts another one."""


class RemoteJobEndedError(PermanentError):
    """A job of another system was cancelled, took too long, or is gone: to start it again is for a person to decide."""


class NotMovedError(PermanentError):
    """A job of another system has succeeded, and the warehouse does not show what it should have loaded."""


class AccessDeniedError(PermanentError):
    """The source or the warehouse refuses the credentials or the permission."""


class UnknownConnectionError(PermanentError):
    """A config names an Airflow connection that there is none of."""


class ConnectionsUnavailableError(TransientError):
    """A place where Airflow keeps connections, its database or a secrets backend, cannot be read now."""


class BadRequestError(PermanentError):
    """The source says that it was asked for something that it does not have."""


class BadDataError(PermanentError):
    """The source answers with something that cannot be read as records."""


class TooManyRejectsError(BadDataError):
    """More rows were rejected than `rejects` allows, or all of them: nothing was loaded."""


class ContractError(PermanentError):
    """The data break a contract that the YAML says must hold."""


class EmptyWindowError(PermanentError):
    """The run has no window, or one of no width: nothing would be read and no one would hear."""


class LandingError(PermanentError):
    """A landing is missing, incomplete or not what its manifest says."""


class ForgottenError(TransientError):
    """A landing may hold records that `elt forget` has erased since it was begun. Nothing was committed."""


class LandingUnavailableError(TransientError):
    """The storage that landings live in cannot be reached, or does not answer correctly now."""


class LandingChangedError(TransientError):
    """Another task has changed the landing meanwhile, and what it has left there stays. A retry looks again."""


class DiskFullError(TransientError):
    """A disk of this machine is full, or a quota on it used up; the message has the paths.

    Tried again: what other tasks have on the disk goes when they end.
    """


class BudgetError(PermanentError):
    """The budget of a source is used up. Nothing was read."""


class AccountingError(PermanentError):
    """Rows read, loaded, rejected and dropped do not add up. Nothing was committed."""


class WarehouseBusyError(TransientError):
    """Another process holds the warehouse, and continued holding it."""


class WarehouseTimeoutError(TransientError):
    """A statement reached its time limit. Sent again immediately it would take that long again; a later try may not."""


class WarehouseCancelledError(PermanentError):
    """A statement was cancelled by a person or a resource monitor: to send it again would defy them."""


class WarehouseUnavailableError(TransientError):
    """The warehouse cannot be reached, or the connection to it was lost."""


class WarehouseDamagedError(PermanentError):
    """The warehouse's file is damaged, or was written by something else."""


class MaintenanceError(PermanentError):
    """Something past its retention could not be removed. The next run of `elt_maintenance` finds it again."""


class QualityError(PermanentError):
    """A check of severity error does not hold; what is downstream does not run."""


class ModelTestError(QualityError):
    """Tests of dbt failed, which no retry changes."""


class ServiceError(EltError):
    """A process of ELT Factory in the background cannot be started, found or ended."""


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """Return the text without the given secrets, without logins in addresses and without keys in their queries."""
    cleaned = _URL_KEY.sub(r"\1***", _HTTP_LOGIN.sub(r"\1***@", _URL_PASSWORD.sub(r"\1:***@", text)))
    for secret in secrets:
        if secret:
            cleaned = cleaned.replace(secret, "***")
    return cleaned
