"""What a failed task does: what cannot heal fails immediately, what can is tried again, ever later."""

from __future__ import annotations

from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from elt_factory.config.models.source import Retries


def retry_arguments(retries: Retries) -> dict[str, Any]:
    """Operator arguments: exponential backoff, and the rule for errors that no retry heals."""
    return {
        "retries": retries.count,
        "retry_delay": retries.delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": retries.max_delay,
        "retry_policy": ExceptionRetryPolicy(
            [
                RetryRule(
                    "elt_factory.core.failures.PermanentError",
                    RetryAction.FAIL,
                    reason="not retryable: needs a config, credential or source change",
                )
            ]
        ),
    }
