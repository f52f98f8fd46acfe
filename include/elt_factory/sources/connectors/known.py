"""Packages of connectors by their names: what `elt connectors` lists, and what is near a misspelt one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

Kind = Literal["airbyte", "singer"]
AIRBYTE_PREFIX = "airbyte-source-"


@cache
def packages() -> tuple[str, ...]:
    """Return the names of all packages that are known, Airbyte's first; others can be used as well."""
    return tuple(Path(__file__).with_name("known.txt").read_text(encoding="utf-8").split())


def kind_of(package: str) -> Kind:
    """Return the kind of a package, by its name."""
    return "airbyte" if package.startswith(AIRBYTE_PREFIX) else "singer"


def found(words: str) -> list[str]:
    """Return the packages whose names have all of these words in them, without regard to their case."""
    wanted = words.casefold().replace("_", "-").split()
    return [name for name in packages() if all(word in name for word in wanted)]
