"""What is wrong on the dbt side of a config. Imports no Cosmos: who reports these errors may do without."""

from __future__ import annotations

from elt_factory.core.failures import PermanentError


class DbtError(PermanentError):
    """What is wrong with the dbt side of a config, and how to fix it."""

    def __init__(self, message: str, hint: str) -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message}; {hint}")


class ManifestError(DbtError):
    """There is no dbt manifest to draw the DAGs from, or it cannot be read."""


class SelectionError(DbtError):
    """A dbt selector that dbt would not understand, or that no model answers to."""


class ExecutableError(DbtError):
    """A dbt that the deployment does not let configs start."""
