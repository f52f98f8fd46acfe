"""Errors of the machine that reads a config, told apart from errors of the config.

No change of the YAML fixes them, and they go by themselves: a disk has room again, a package is installed. So Airflow
is asked to read such a file again from time to time, and a file with an error of its own is not.
"""

from __future__ import annotations

import re
from pathlib import Path

_OF_MACHINE = (ImportError, MemoryError, OSError)
_CODE = "environment"
# Both have a place in the YAML, where what this machine lacks is asked for
_LACKING = re.compile(r"\[(environment|missing-extra|broken-kind)\]")
_PLACED = re.compile(r"\.ya?ml:\d+:\d+: ", re.IGNORECASE)


class EnvironmentFailedError(RuntimeError):
    """A config could not be read because of the machine: no memory, no disk, a package that does not import."""

    def __init__(self, file: Path, cause: BaseException) -> None:
        told = f"{type(cause).__name__}: {cause}".removesuffix(": ")
        super().__init__(
            f"{file}: this machine could not read the config: {told} [{_CODE}]\n"
            "  hint: nothing in the file needs to change; once the machine is fixed, the DAG comes back by itself"
        )


def is_of_machine(error: BaseException | None) -> bool:
    """Tell whether an error says nothing about the config that was being read."""
    return isinstance(error, _OF_MACHINE)


def may_pass(import_error: str) -> bool:
    """Tell whether the text of an import error is of a kind that goes without a change of the file.

    An error with a place in the YAML is the author's to fix. All others are not: a parse that took too long, too.
    """
    return bool(_LACKING.search(import_error)) or not _PLACED.search(import_error)
