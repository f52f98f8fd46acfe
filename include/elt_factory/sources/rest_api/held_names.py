"""The names by which templates use values of the connection."""

from __future__ import annotations

import re
from collections.abc import Sequence

OF_EXTRA = "connection.extra."
OF_CONNECTION = ("connection.login", "connection.password")
_NAME = re.compile(rf"{re.escape(OF_EXTRA)}[A-Za-z_]\w*")


def is_of_connection(name: str) -> bool:
    """Whether a name is that of a value of the connection."""
    return name in OF_CONNECTION or bool(_NAME.fullmatch(name))


def used_in(texts: str) -> Sequence[str]:
    """Return the names of a connection's values that templates in a text use."""
    pattern = "|".join((*map(re.escape, OF_CONNECTION), re.escape(OF_EXTRA) + r"\w+"))
    return tuple(dict.fromkeys(re.findall(rf"\{{\{{\s*({pattern})\s*\}}\}}", texts)))
