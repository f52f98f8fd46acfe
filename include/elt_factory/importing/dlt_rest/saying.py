"""Texts and paths of a configuration of dlt in the words of a config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elt_factory.config.models.secrets import is_secret
from elt_factory.discover.periods import sane_name
from elt_factory.importing.dlt_rest.literals import Called, Joined, Unknown
from elt_factory.importing.manifest.saying import UnsaidError

_PLACE = re.compile(r"\{(resources\.[^{}]+|incremental\.\w+)\}")
_JSONPATH = re.compile(r"\$?\.?((?:[A-Za-z_@$][\w@$-]*|'[^']+'|\"[^\"]+\"|\[\*\]|\['[^']+'\])(?:\.|(?=\[)|$))*")
_STEP = re.compile(r"\['([^']+)'\]|'([^']+)'|\"([^\"]+)\"|(\[\*\])|([^.\[\]]+)")
TO_BE_SET = "TO BE SET"


@dataclass
class Words:
    """What templates of one table may say.

    Args:
        params: Takes the params of the config that are used.
        start: The template of where a read begins; None where the table is not read by changes.
        end: The template of where it ends.
        parents: Takes the parent's table, with the columns that are used: the column, its path.
    """

    params: dict[str, Any]
    start: str | None = None
    end: str | None = None
    parents: dict[str, dict[str, str]] = field(default_factory=dict)

    def text(self, value: Any) -> Any:
        """Return a value of a request with templates in it; numbers stay numbers.

        Raises:
            UnsaidError: it is a secret, or code.
        """
        if isinstance(value, str):
            return _PLACE.sub(lambda found: self._placed(found[1]), value)
        if isinstance(value, Unknown):
            return "{{ " + self._param(value) + " }}"
        if isinstance(value, Joined):
            return "".join(str(self.text(part)) for part in value.parts)
        if isinstance(value, Mapping):
            return {str(key): self.text(below) for key, below in value.items() if below is not None}
        if isinstance(value, list):
            return [self.text(below) for below in value]
        if isinstance(value, Called):
            raise UnsaidError(f"{value.name}(...) in a request")
        return value

    def of_parent(self, resource: str, way: str) -> str:
        """Return the template of a value of a parent's record."""
        table, parts = sane_name(resource) or "records", steps(way)
        column = "_".join(parts)
        self.parents.setdefault(table, {})[column] = path_of(parts)
        return f"{table}.{column}"

    def _placed(self, what: str) -> str:
        if what.startswith("resources."):
            _, resource, way = what.split(".", 2)
            return "{{ " + self.of_parent(resource, way) + " }}"
        found = self.end if what.endswith("end_value") else self.start
        if found is None:
            raise UnsaidError(f"{{{what}}} without a cursor")
        return found

    def _param(self, value: Unknown) -> str:
        if hidden(value):
            raise UnsaidError(f"the secret {value.text} within a request")
        name = sane_name(value.name) or "value"
        self.params[name] = TO_BE_SET
        return f"params.{name}"


def hidden(value: Any) -> bool:
    """Whether a value is a secret: as the code says, or as its name does."""
    if isinstance(value, Joined):
        return any(hidden(part) for part in value.parts)
    return isinstance(value, Unknown) and (value.secret or is_secret(value.name, "x" * 20))


def steps(text: Any) -> list[str]:
    """Return the keys of a path of JSON; `[*]` is one of its own.

    Raises:
        UnsaidError: it has a filter, an index, or is code.
    """
    if not isinstance(text, str) or not _JSONPATH.fullmatch(text):
        raise UnsaidError(f"a path that a config has not: {shown(text)}")
    way = text.removeprefix("$").removeprefix(".")
    return [next(part for part in found.groups() if part) for found in _STEP.finditer(way)]


def path_of(parts: list[str]) -> str:
    """Return keys as a path of a config."""
    found = ""
    for part in parts:
        if part == "[*]":
            found += part
        else:
            found += ("." if found else "") + part.replace(".", "\\.")
    return found


def path(text: Any) -> str:
    """Return a path of JSON as a config has it.

    Raises:
        UnsaidError: no config has it.
    """
    return path_of(steps(text))


def shown(value: Any) -> str:
    """Return what the code says, for people."""
    if isinstance(value, Unknown):
        return value.text
    if isinstance(value, Joined):
        return "".join(part if isinstance(part, str) else f"{{{part.text}}}" for part in value.parts)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(below)}" for key, below in value.items()) + "}"
    return f"{value.name}(...)" if isinstance(value, Called) else str(value)[:80]
