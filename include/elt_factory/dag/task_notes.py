"""What a task leaves behind in Airflow's store of task states, for those who ask what it is doing, or why it failed.

Airflow itself keeps only the state of a task; the reason is in a log file, perhaps on another machine. The notes are in
its database, of any executor, and the same row for every try.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from elt_factory.core.failures import redact

STORE: Final = "task_state_store"
FAILURE: Final = "elt_failure"
SEEN: Final = "elt_seen"
_LONGEST = 2_000  # characters of a message
_ANCESTORS = ("Exception", "BaseException", "object")

log = logging.getLogger(__name__)


def keep_failure(context: Mapping[str, Any]) -> None:
    """Keep why a try failed: the kinds of the exception and its message.

    For the policy of retries, and for a failure that asks no policy.
    """
    error = context.get("exception")
    if not isinstance(error, BaseException):
        return  # the worker went without a word, and Airflow only knows that
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ not in _ANCESTORS]
    note = {"kinds": kinds, "message": clean(str(error))[:_LONGEST], "try": int(context["ti"].try_number)}
    _keep(context, FAILURE, note)


def keep_seen(context: Mapping[str, Any], message: str, until: datetime | None = None) -> None:
    """Keep what a task that waits has seen last, and until when it waits."""
    note = {"message": clean(message)[:_LONGEST], "try": int(context["ti"].try_number)}
    _keep(context, SEEN, note | ({"until": until.isoformat()} if until else {}))


def clean(text: str) -> str:
    """Return the text without the secrets that Airflow knows of: those of every connection that the task has used."""
    from airflow.sdk._shared.secrets_masker import redact as mask

    return str(mask(redact(text)))


def _keep(context: Mapping[str, Any], key: str, note: Mapping[str, Any]) -> None:
    store = context.get(STORE)
    if store is None:
        return
    try:
        store.set(key, dict(note))
    except Exception:  # a note that cannot be kept must not change how the task ends
        log.debug("the note %s could not be kept", key, exc_info=True)
