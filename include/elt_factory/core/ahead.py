"""What a process imports before it forks those that run tasks, so that none of them imports it again."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable

log = logging.getLogger(__name__)


def import_ahead(names: Iterable[str]) -> None:
    """Import modules; one that cannot be imported costs the tasks that need it, and not the process that forks them."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            log.exception("cannot import %s before the tasks", name)
