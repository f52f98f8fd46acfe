"""The language of files: `extract:` and what its tables add."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from elt_factory.config.errors import MistakeError, raise_found, shown
from elt_factory.config.models.base import Model
from elt_factory.config.models.formats import CsvFormat, FileFormat
from elt_factory.config.models.schema_patterns import (
    ARCHIVES,
    BELOW,
    FOLDER,
    KNOWN_TEMPLATES,
    NO_SECRET,
    NO_TEMPLATE,
    PERIODS,
    any_of,
)
from elt_factory.config.models.source import Extract, Source
from elt_factory.config.models.split import Split
from elt_factory.config.models.table import Path, Table, is_reserved
from elt_factory.config.models.templates import Use, uses
from elt_factory.config.models.values import (
    ColumnName,
    ConnectionId,
    FileTemplate,
    FolderPath,
    Name,
    Whole,
)
from elt_factory.core.stores import SFTP, WEB, store_of


def _which(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "one"


def _check_control(value: object) -> object:
    if not isinstance(value, str):
        return value
    unknown = [name for name in re.findall(r"\{(\w*)\}", value) if name not in ("name", "stem")]
    if unknown:
        raise MistakeError(f"unknown part {{{unknown[0]}}} of a name", "the parts are {name} and {stem}")
    if not re.search(r"\{(name|stem)\}", value):
        hint = 'write "{stem}.ctl": each data file has one of its own'
        raise MistakeError(f"{shown(value)} is the same file for every data file", hint)
    if value.startswith("/") or ".." in value.split("/"):
        raise MistakeError(f"{shown(value)} points outside the folder", "write a name below the data file's folder")
    return value


def _check_count_pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        groups = re.compile(value.replace("{name}", "x")).groups
    except re.error as error:
        raise MistakeError(f"invalid regular expression: {error}", r"write one like rows=(\d+)") from None
    if groups != 1:
        raise MistakeError("the pattern needs one group, which is the number", r"write one like rows=(\d+)")
    return value


ControlFile = Annotated[str, BeforeValidator(_check_control)]
CountPattern = Annotated[str, BeforeValidator(_check_count_pattern)]
OneOrMore = Annotated[
    Annotated[FileTemplate, Tag("one")] | Annotated[tuple[FileTemplate, ...], Field(min_length=1), Tag("list")],
    Discriminator(_which),
]


class Files(Extract):
    """Files in a folder, of this machine or of object storage."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"folder": (FOLDER, NO_SECRET, NO_TEMPLATE)}

    type: Literal["files"]
    connection: ConnectionId | None = Field(
        None,
        description=(
            "Airflow connection: of type fs its path is the folder; of type sftp, ssh or http it is the server; "
            "of type aws, google_cloud_platform, wasb or adls it opens the bucket that `folder` names; without one, "
            "the worker's own identity does."
        ),
        examples=["weather_files"],
    )
    folder: FolderPath | None = Field(
        None,
        description=(
            "Folder, relative to the connection's path or the project; or a URL: s3://bucket/folder, "
            "gs://bucket/folder, abfs://container/folder, sftp://host/folder, https://host/folder."
        ),
        examples=["data/incoming", "s3://shop-exports/orders"],
    )
    max_unpacked_mb: Whole = Field(
        50_000,
        gt=0,
        description="Maximum size of one file in megabytes, unpacked. A larger one is an error.",
        examples=[200_000],
    )

    @model_validator(mode="after")
    def _server_has_a_login(self) -> Self:
        if store_of(self.folder or "") is SFTP and self.connection is None:
            types = " or ".join(SFTP.conn_types)
            hint = f"add connection: with the id of one of type {types}"
            raise MistakeError("a folder in sftp:// needs a connection", hint, at=("folder",), code="incomplete")
        return self


class DeclaredRows(Model):
    """Where a delivery says how many rows it has: a file next to each data file, or the last lines of that itself."""

    plain_key: ClassVar[str] = "file"
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (any_of("file", "pattern"),)

    file: ControlFile | None = Field(
        None,
        description=(
            "Name of the file that says it, in the folder of the data file: {name} is that one's name, {stem} the part "
            "before its first dot. Without it, the data file itself says it, in its last lines."
        ),
        examples=["{stem}.ctl", "{name}.count"],
    )
    pattern: CountPattern | None = Field(
        None,
        description=(
            "Regular expression whose group is the number; {name} is the data file's name. By default, a line that is "
            "a number."
        ),
        examples=[r"rows=(\d+)", r"^TRAILER\|(\d+)$"],
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.file is None and self.pattern is None:
            hint = 'write file: "{stem}.ctl", or pattern: for a line of the data file'
            raise MistakeError("it is not said where the number of rows is", hint, code="incomplete")
        return self


class FilesTable(Table):
    """A table read from files, each in full."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "path": (BELOW, PERIODS, ARCHIVES, NO_SECRET, KNOWN_TEMPLATES)
    }

    of_files: ClassVar[bool] = True

    path: OneOrMore = Field(
        description=(
            "Name pattern below the folder, or a list of them: globs, and %Y %m %d %H for the periods that the window "
            "touches. append and merge load each file once, and again when its content changes; a file that arrives "
            "after its window was loaded is still found. `*` does not match hidden files; write `[[]` for a literal "
            "`[`. `archive.zip/*.csv` means files in an archive."
        ),
        examples=["weather_%Y-%m.csv", "orders/*.csv", "{{ params.region }}/*.csv", ["north.csv", "south.csv"]],
    )
    format: FileFormat = Field(
        CsvFormat(type="csv"),
        description="File format.",
        examples=[{"type": "csv", "null_values": ["", "NA"]}],
    )

    file_column: ColumnName | None = Field(
        None,
        description="Name of a column to add that holds each row's file path, relative to the folder.",
        examples=["_file"],
    )

    declared_rows: DeclaredRows | None = Field(
        None,
        description=(
            "Where a delivery says how many rows it has. `row_count` with `of: source` compares with that; without it, "
            "with the records that the files have when they are counted another way."
        ),
        examples=[{"file": "{stem}.ctl"}, {"pattern": r"^TRAILER\|(\d+)$"}],
    )

    split: Split | None = Field(
        None,
        description=(
            "Spread over several tasks, each with files of about as many bytes as the others. The files are listed "
            "once, and all are loaded together. One file is never divided."
        ),
        examples=[{"tasks": 8}],
    )

    @property
    def in_parts(self) -> Split | None:
        """How the table is spread over tasks."""
        return self.split

    @property
    def column_of_file(self) -> str | None:
        """The column to add with the name of the file that a row came from."""
        return self.file_column

    @model_validator(mode="after")
    def _file_column_is_free(self) -> Self:
        name = self.file_column
        if name is None:
            return self
        if is_reserved(name):
            raise MistakeError(
                f'column name "{name}" is reserved', "choose another name", at=("file_column",), code="bad-name"
            )
        if any(other.casefold() == name.casefold() for other in self.columns):
            hint = "remove it from columns:; the load fills it as text"
            raise MistakeError(f'"{name}" is also declared under columns', hint, at=("file_column",), code="conflict")
        return self

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        if isinstance(self.path, str):
            return {("path",): [*uses(self.path)]}
        return {("path", number): [*uses(one)] for number, one in enumerate(self.path)}

    @property
    def patterns(self) -> Sequence[str]:
        """The patterns of its files."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def takes_what_is_new(self) -> bool:
        """Whether a load takes the files that are new or changed, and not all that its pattern means every time."""
        return self.write_disposition in ("append", "merge") or (
            self.write_disposition == "scd2" and self.incremental is not None
        )

    @property
    def takes_window(self) -> bool:
        """Whether the window picks the files."""
        return super().takes_window or any("%" in one.replace("%%", "") for one in self.patterns)


def _web_mistakes(source: FilesSource) -> Iterator[MistakeError]:
    if store_of(source.extract.folder or "") is not WEB:
        return
    for name, table in source.tables.items():
        for one in table.patterns:
            # what is in an archive is listed by the archive
            file = re.split(r"(?<=\.zip)/", one, maxsplit=1, flags=re.IGNORECASE)[0]
            if re.search(r"\*|\[", re.sub(r"\[[*?\[]\]", "", file)):
                hint = "write the names of files, with %Y %m %d %H or templates for what changes"
                text = f"a web server lists no files, and {shown(one)} is a pattern"
                yield MistakeError(text, hint, at=("tables", name, "path"), code="conflict")
            if "#" in file:
                hint = "remove it, or write %%23 for a # in the name of a file"
                yield MistakeError(f"{shown(one)} has a fragment", hint, at=("tables", name, "path"))


class FilesSource(Source):
    """Tables from files."""

    extract: Files = Field(
        description="How to read the source.", examples=[{"type": "files", "connection": "weather_files"}]
    )
    tables: dict[Name, FilesTable] = Field(
        min_length=1, description="Tables to load.", examples=[{"weather": {"path": "weather_%Y-%m.csv"}}]
    )

    @model_validator(mode="after")
    def _paths_fit_the_store(self) -> Self:
        raise_found([*_web_mistakes(self)])
        return self
