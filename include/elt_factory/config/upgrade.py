"""From one version of the language to the next: files are rewritten, their comments and layout stay.

A version is a number in the file (`version: 1`, also meant where nothing is said). When the language changes so that a
file would no longer load or would mean something else, its version goes up by one and a step joins `STEPS`:

    def _two(document: Document) -> Iterator[Edit]:
        for path in document.paths("tables", "*", "key"):
            yield document.rename(path, "primary_key")

    STEPS = (Step(1, "key: is primary_key:", _two),)

and `versions.CURRENT` follows. Environments repeat the shape of a config, so a step looks there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elt_factory.config.errors import ConfigError, Position, Problem
from elt_factory.config.versions import KEY_OF_VERSION
from elt_factory.config.yaml.edits import Document, Edit
from elt_factory.config.yaml.source import read_yaml
from elt_factory.config.yaml.text import text_of


@dataclass(frozen=True)
class Step:
    """How files of one version become files of the next.

    Args:
        version: The version of the files that it takes.
        changes: What changes, in one line for people.
        edits: The edits of a document.
    """

    version: int
    changes: str
    edits: Callable[[Document], Iterable[Edit]]


STEPS: tuple[Step, ...] = ()


def plan_upgrade(file: Path, steps: Sequence[Step] = STEPS) -> str | None:
    """Return the text of a config or of defaults in the newest version; None where nothing is to change.

    Raises:
        ConfigError: the file is not YAML, or its version is not a number.
    """
    document = Document(file, text_of(file))
    for step in steps_for(file, steps):
        document = _with_version(document.edited(step.edits(document)), step.version + 1)
    text = document.text
    return None if text == text_of(file) else text


def steps_for(file: Path, steps: Sequence[Step] = STEPS) -> list[Step]:
    """Return the steps that a file has before it, in their order.

    Raises:
        ConfigError: the file is not YAML, or its version is not a number.
    """
    version = _version_of(file)
    return sorted((step for step in steps if step.version >= version), key=lambda step: step.version)


def _version_of(file: Path) -> int:
    source = read_yaml(file)
    version = source.data.get(KEY_OF_VERSION, 1) if isinstance(source.data, dict) else 1
    if type(version) is not int or version < 1:
        problem = Problem(source.at((KEY_OF_VERSION,)), "unknown-value", "invalid version", "write version: 1")
        raise ConfigError([problem])
    return version


def _with_version(document: Document, version: int) -> Document:
    path = (KEY_OF_VERSION,)
    if path in document:
        return document.edited([document.replace(path, str(version))])
    if not document.nodes:
        return document
    root = document.nodes[()][1]
    if getattr(root, "flow_style", False):
        message = "cannot rewrite a config that is written in one pair of braces"
        position = Position(document.file, root.start_mark.line + 1, root.start_mark.column + 1)
        raise ConfigError([Problem(position, "yaml-syntax", message, "write each key on its own line")])
    return document.edited([document.insert_first(f"{KEY_OF_VERSION}: {version}")])
