"""Wait until files are there, and written to their end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import PositiveDuration, format_duration
from elt_factory.config.models.schema_patterns import BELOW, FOLDER, NO_TEMPLATE, NOT_TOO_LONG, PERIODS, SOME_TIME
from elt_factory.config.models.sensors import Setting
from elt_factory.config.models.values import ConnectionId, FilePattern, FolderPath, Whole
from elt_factory.core.failures import EltError
from elt_factory.core.stores import EXTRAS_OF_TYPES, FOLDER_TYPES, store_of
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import Look, SensorKind
from elt_factory.sources.files.model import FilesSource

if TYPE_CHECKING:
    from elt_factory.sources.files.store import Found


class FileReady(Model):
    """Wait until files match a pattern."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "path": (BELOW, PERIODS, NO_TEMPLATE),
        "done_marker": (BELOW, PERIODS, NO_TEMPLATE),
        "folder": (FOLDER, NO_TEMPLATE),
        "unchanged_for": (SOME_TIME, NOT_TOO_LONG),
    }

    connection: ConnectionId | None = Field(
        None,
        description=(
            "Airflow connection, as for a source of type files. Without `connection` and `folder` those of the "
            "config's own source are looked at."
        ),
        examples=["weather_files"],
    )
    folder: FolderPath | None = Field(
        None, description="Folder or URL, as for a source of type files.", examples=["s3://shop-exports/orders"]
    )
    path: FilePattern = Field(
        description="Name pattern below the folder, as in a table's `path`.",
        examples=["weather_%Y-%m.csv"],
    )
    min_count: Whole = Field(1, ge=1, description="Number of files that must match at least.", examples=[24])
    done_marker: FilePattern | None = Field(
        None,
        description="Pattern of a file that is written last, next to the others: wait for it too.",
        examples=["_SUCCESS_%Y-%m"],
    )
    unchanged_for: PositiveDuration | None = Field(
        None,
        description="Wait until each file was written at least this long ago, where it appears before it is complete.",
        examples=["5m"],
    )


def _poke(spec: FileReady, look: Look) -> Verdict:
    from elt_factory.extract.label import TableLabel, secrets_of
    from elt_factory.sources.files.archives import split
    from elt_factory.sources.files.matching import matching_files
    from elt_factory.sources.files.opening import open_store

    conn_id, folder = _place(spec, look)
    connection = look.connection(conn_id) if conn_id else None
    label = TableLabel(look.config.name, "file sensor", secrets_of(connection))
    try:
        with open_store(folder, connection, look.project) as store:
            found = matching_files(store, split(spec.path)[0], look.window, look.config.timezone)
            if spec.done_marker:
                matching_files(store, spec.done_marker, look.window, look.config.timezone)
    except EltError as error:
        raise label.error(type(error), str(error)) from None
    counted = "1 file matches" if len(found) == 1 else f"{len(found)} files match"
    if len(found) < spec.min_count:
        return Verdict(False, f"{look.config.name}: {counted} {spec.path}, and {spec.min_count} are waited for")
    if spec.unchanged_for and (young := _written_since(found, look.now() - spec.unchanged_for)):
        since = format_duration(spec.unchanged_for)
        return Verdict(False, f"{look.config.name}: {counted} {spec.path}, {young} was written less than {since} ago")
    return Verdict(True, f"{look.config.name}: {counted} {spec.path}")


def _place(spec: FileReady, look: Look) -> tuple[str | None, str | None]:
    """Return the connection and the folder: those of the config's own source where the sensor has neither."""
    if spec.connection or spec.folder or not isinstance(look.config, FilesSource):
        return spec.connection, spec.folder
    return look.config.extract.connection, look.config.extract.folder


def _written_since(found: Iterable[Found], moment: datetime) -> str:
    return next((file.name for file in found if file.modified is None or file.modified > moment), "")


def _mistakes(spec: FileReady, setting: Setting) -> Iterator[MistakeError]:
    own = (setting.folder or "").rstrip("/") + "/"
    if own != "/" and not (spec.folder or spec.connection) and spec.path.startswith(own):
        message = f'the path is below the folder "{setting.folder}" of the source already'
        hint = f"write path: {spec.path.removeprefix(own)}, or add the sensor's own folder:"
        yield MistakeError(message, hint, at=("path",), code="conflict")


def _words(spec: FileReady) -> str:
    marked = f", with {spec.done_marker}" if spec.done_marker else ""
    return f"{'files' if spec.min_count == 1 else f'{spec.min_count} files'} {spec.path}{marked}"


def _about(spec: FileReady) -> str:
    return spec.connection or ""


def _types_of(spec: FileReady) -> Sequence[str]:
    store = store_of(spec.folder or "")
    return store.conn_types if store else FOLDER_TYPES


KIND = SensorKind(
    name="file",
    model=FileReady,
    description="Wait until files exist.",
    examples=({"path": "weather_%Y-%m.csv"},),
    poke=_poke,
    words=_words,
    about=_about,
    mistakes=_mistakes,
    connection_types=("fs",),
    extras=EXTRAS_OF_TYPES,
    types_of=_types_of,
)
