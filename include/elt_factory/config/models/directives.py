"""Patterns of dates and times, like %d/%m/%Y."""

from __future__ import annotations

import re

from elt_factory.config.errors import MistakeError, shown

# those that DuckDB and Python read and write alike
DIRECTIVES = "aAbBdfHIjmMpSyYz%"
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)


def check_pattern(value: str) -> str:
    """Return a pattern of directives.

    Raises:
        MistakeError: it has none, or one that is not known.
    """
    found = _DIRECTIVE.findall(value)
    for sign in found:
        if not sign or sign not in DIRECTIVES:
            raise MistakeError(
                f"unsupported date directive %{sign}", f"use {', '.join(f'%{one}' for one in DIRECTIVES)}"
            )
    if not set(found) - {"%"}:
        raise MistakeError(f"unknown format {shown(value)}", "write a pattern like %d/%m/%Y")
    return value
