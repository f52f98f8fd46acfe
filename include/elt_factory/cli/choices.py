"""Options that take one of a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from elt_factory.config.errors import near_name


def choice(*flags: str, words: Sequence[str], say: str) -> Any:
    """Return an option that takes one of some words, and names the near one where it is given another.

    Args:
        flags: Its names, as in `--for`.
        words: What it may be.
        say: What `--help` says of it.
    """

    def parsed(text: str) -> str:
        if text not in words:
            raise typer.BadParameter(f'unknown "{text}"; {near_name(text, words)}')
        return text

    return typer.Option(
        *flags, parser=parsed, metavar=f"[{'|'.join(words)}]", help=say, autocompletion=lambda: list(words)
    )
