"""Wait until files are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import BELOW, NO_TEMPLATE, PERIODS
from elt_factory.config.models.values import ConnectionId, FilePattern
from elt_factory.core.failures import EltError
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind


class FileReady(Model):
    """Wait until files match a pattern."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"path": (BELOW, PERIODS, NO_TEMPLATE)}

    connection: ConnectionId | None = Field(
        None, description="Airflow connection of type fs.", examples=["weather_files"]
    )
    path: FilePattern = Field(
        description="Name pattern, as in a table's `path`: below the connection's folder, or the project's.",
        examples=["weather_%Y-%m.csv"],
    )


def _poke(spec: FileReady, look: Look) -> Verdict:
    from elt_factory.extract.label import TableLabel
    from elt_factory.sources.files.reader import matching_files, source_folder

    connection = look.connection(spec.connection) if spec.connection else None
    try:
        folder = source_folder(connection, None, look.project)
        found = matching_files(folder, spec.path, look.window, look.config.timezone)
    except EltError as error:
        raise TableLabel(look.config.name, "file sensor").error(type(error), str(error)) from None
    counted = "1 file matches" if len(found) == 1 else f"{len(found)} files match"
    return Verdict(True, f"{look.config.name}: {counted} {spec.path}")


def _words(spec: FileReady) -> str:
    return f"files {spec.path}"


def _about(spec: FileReady) -> str:
    return spec.connection or ""


KIND = SensorKind(
    name="file",
    model=FileReady,
    description="Wait until files exist.",
    examples=({"path": "weather_%Y-%m.csv"},),
    poke=_poke,
    words=_words,
    about=_about,
    connection_types=("fs",),
)
