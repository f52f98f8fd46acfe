"""The road by which Airflow comes to read the configs of a folder: today a stub of Python per YAML.

A bundle knows its road by this interface alone. Where Airflow takes YAML files through an importer, the files
themselves are the road, and no bundle, healing or loader changes (docs/decisions/0017-the-bundle-heals.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol


class Road(Protocol):
    """A way by which Airflow reads the configs of a folder; files are named as Airflow names them."""

    @property
    def path(self) -> Path:
        """The folder in which Airflow looks for DAG files."""

    def ensure(self) -> None:
        """Make sure that a task finds the file of its DAG."""

    def sync(self) -> None:
        """Bring Airflow to read what came or changed since the last time, and to forget what is gone."""

    def asked(self) -> Mapping[str, int]:
        """Return when Airflow was last asked to read each file, in nanoseconds since 1970."""

    def ask(self, files: Iterable[str]) -> None:
        """Ask Airflow to read files, though they have not changed."""
