"""The facts of this project's tables, for the commands that show or judge them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from elt_factory.core.private import use_private_files

if TYPE_CHECKING:
    from elt_factory.diagnosis.facts import Facts


def gathered(names: Sequence[str] = ()) -> list[Facts]:
    """Return the facts of all tables, or of those of some configs."""
    from elt_factory.cli.local import ensure_local_airflow

    ensure_local_airflow()
    use_private_files()
    # what Airflow and the connector log would appear in the answer, which machines read
    logging.disable(logging.WARNING)
    from elt_factory.diagnosis.gather import gather, here

    return gather(here(), names)
