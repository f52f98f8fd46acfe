"""What this machine refuses, in one sentence: a full disk, a folder that cannot be written, Airflow's own database."""

from __future__ import annotations

import errno
import sys

from elt_factory.core.failures import redact

_HINTS = {
    errno.ENOSPC: "free space on the disk",
    errno.EDQUOT: "free space in the quota of this user",
    errno.EROFS: "use a folder that can be written",
    errno.EACCES: "give this user the right to it, or use another folder",
    errno.EPERM: "give this user the right to it, or use another folder",
}


def of_system(error: OSError) -> str:
    """Return what the operating system refused, where, and what helps."""
    place = f"{error.filename}: " if error.filename else ""
    hint = f"; hint: {_HINTS[error.errno]}" if error.errno in _HINTS else ""
    return f"{place}{error.strerror or error}{hint}"


def is_of_database(error: Exception) -> bool:
    """Whether an error is of Airflow's database: nothing else that a command asks is reached through SQLAlchemy."""
    known = sys.modules.get("sqlalchemy.exc")
    return known is not None and isinstance(error, known.DBAPIError)


def of_database(error: Exception) -> str:
    """Return what Airflow's database refused, without the statement and its parameters."""
    first = (redact(str(error)).strip().splitlines() or [""])[0]
    return f"Airflow's database cannot be used: {first}; hint: elt doctor, or elt airflow db migrate"
