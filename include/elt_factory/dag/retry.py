"""What a failed task does: what cannot heal fails immediately, what can is tried again, ever later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowRescheduleException

from elt_factory.config.models.source import Retries
from elt_factory.core.failures import SourceBusyError
from elt_factory.dag.task_notes import keep_failure, keep_seen

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.retry_policy import RetryDecision

_LONGEST = timedelta(days=1)  # of one task's waits for a source, all together


def retry_arguments(retries: Retries) -> dict[str, Any]:
    """Operator arguments: exponential backoff, and the rule for errors that no retry heals."""
    return {
        "retries": retries.count,
        "retry_delay": retries.delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": retries.max_delay,
        "retry_policy": NotingRetryPolicy(
            [
                RetryRule(
                    "elt_factory.core.failures.PermanentError",
                    RetryAction.FAIL,
                    reason="not retryable: needs a config, credential or source change",
                )
            ]
        ),
    }


class NotingRetryPolicy(ExceptionRetryPolicy):
    """The rules, and a note of why a try failed, before its state is reported: a callback of a retry is too late.

    Airflow gives the task another id for its next try in the very moment that the failure is reported to it.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide as the rules say."""
        if context is not None:
            keep_failure({**context, "exception": exception})
        return super().evaluate(exception, try_number, max_tries, context)


@contextmanager
def worker_given_back(context: Mapping[str, Any], log: Callable[[str], None]) -> Iterator[None]:
    """Let a task whose source asks to wait for long wait without a worker. It uses up no retry.

    Raises:
        SourceBusyError: the task has waited for a day already.
    """
    try:
        yield
    except SourceBusyError as error:
        if error.until is None:
            raise
        began = context["ti"].get_first_reschedule_date(context)
        if began is not None and datetime.now(UTC) - began > _LONGEST:
            raise
        log(f"{error}; the task gives its worker back until then")
        keep_seen(context, str(error), error.until)
        raise AirflowRescheduleException(error.until) from error  # type: ignore[no-untyped-call]
