"""How files are written: any format, and CSV, which the landing reads as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError
from elt_factory.config.models.by_type import ByType
from elt_factory.config.models.values import ColumnName
from elt_factory.core.kinds import Door

_BUILT_IN = ("csv", "ndjson", "json", "parquet", "excel", "xml", "fixed_width", "avro", "orc")
FORMATS: Door[Any] = Door(
    "elt_factory.formats",
    {name: f"elt_factory.formats.{name}:KIND" for name in _BUILT_IN},
    takes="elt_factory.formats.kind:FormatKind",
)


class FileFormat(ByType):
    """A format of files. Each has a model of its own, with the format's name as `type`."""

    door: ClassVar[Door[Any]] = FORMATS


class CsvFormat(FileFormat):
    """Delimited text, by default with a header line."""

    type: Literal["csv"]
    header: bool = Field(
        True,
        description="Whether the first line of each file holds the column names. If false, every line is a record.",
        examples=[False],
    )
    names: tuple[ColumnName, ...] = Field(
        (),
        description=(
            "Column names for files without a header line, in field order. By default, column_1, "
            "column_2 and so on. A file with a different number of fields is an error."
        ),
        examples=[["id", "day", "amount"]],
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="Field separator.", examples=[";"])
    quote: str = Field('"', min_length=1, max_length=1, description="Quote character.", examples=["'"])
    null_values: tuple[str, ...] = Field(("",), description="Unquoted texts to read as NULL.", examples=[["", "NA"]])
    encoding: Literal["utf-8", "latin-1", "utf-16"] = Field(
        "utf-8",
        description=(
            "Character encoding. Files that start with a UTF-16 byte order mark are read as UTF-16, in that byte "
            "order, even with utf-8."
        ),
        examples=["latin-1"],
    )

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        check_names(self.names, "header: false", has_header=self.header)
        return self


def check_names(names: Sequence[str], without_header: str, *, has_header: bool) -> None:
    """Refuse names of columns next to a header, and names that are repeated.

    Raises:
        MistakeError: at the place below the format.
    """
    if names and has_header:
        hint = f"add {without_header}, or remove names:"
        raise MistakeError(
            "`names` applies only to files without a header line", hint, at=("names", KEY), code="conflict"
        )
    folded = [name.casefold() for name in names]
    for index, name in enumerate(names):
        if name.casefold() in folded[:index]:
            message = f'column name "{name}" is repeated'
            raise MistakeError(message, "give every field a unique name", at=("names", index), code="conflict")
