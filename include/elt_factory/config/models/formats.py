"""How files are written: any format, and CSV, which the landing reads as it is."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import KEY, MistakeError, near_name
from elt_factory.config.models.by_type import ByType
from elt_factory.config.models.schema_patterns import any_case
from elt_factory.config.models.values import ColumnName, Flag, Whole
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


_OF_PLAIN = ("type", "header", "names", "delimiter", "quote", "null_values", "encoding", "decimal", "thousands")
Count = Annotated[Whole, Field(ge=0)]


def _known_encoding(name: str) -> str:
    """Return a name of an encoding in its usual form.

    Raises:
        MistakeError: there is none.
    """
    try:
        found = codecs.lookup(name)
    except LookupError:
        hint = near_name(name, ENCODINGS) or f"write one of {', '.join(ENCODINGS)}"
        raise MistakeError(f'unknown encoding "{name}"', hint) from None
    if not getattr(found, "_is_text_encoding", True):
        raise MistakeError(f'"{name}" is not an encoding of text', f"write one of {', '.join(ENCODINGS)}")
    return {"iso8859-1": "latin-1"}.get(found.name, found.name)


ENCODINGS = ("utf-8", "latin-1", "utf-16", "windows-1252", "shift_jis", "gb18030", "koi8-r", "mac-roman")
# an editor underlines what belongs to none of the families of encodings that Python has
_FAMILIES = (
    rf"({any_case(['utf'])})[-_]?(8|16|32)([-_].+)?|({any_case(['latin', 'l'])})[-_]?([1-9]|10)|"
    rf"({any_case(['iso', 'cp', 'windows', 'ibm'])})[-_]?[0-9].*|"
    rf"({any_case(['ascii', 'us-ascii', 'shift', 'sjis', 'euc', 'gb', 'big5', 'koi8', 'mac', 'hz', 'johab', 'tis'])}).*"
)
Encoding = Annotated[
    str, AfterValidator(_known_encoding), WithJsonSchema({"type": "string", "pattern": rf"^({_FAMILIES})$"})
]


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
    delimiter: str = Field(",", min_length=1, max_length=8, description="Field separator.", examples=[";"])
    quote: str = Field('"', max_length=1, description="Quote character; empty for none.", examples=["'"])
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Character before a quote or a delimiter that is text. By default, a quote in quotes is doubled.",
        examples=["\\"],
    )
    null_values: tuple[str, ...] = Field(("",), description="Unquoted texts to read as NULL.", examples=[["", "NA"]])
    decimal: str = Field(".", min_length=1, max_length=1, description="Decimal sign of numbers.", examples=[","])
    thousands: str | None = Field(
        None, min_length=1, max_length=1, description="Sign between the thousands of numbers.", examples=["."]
    )
    encoding: Encoding = Field(
        "utf-8",
        description=(
            "Character encoding, by its name in Python. Files that start with a UTF-16 byte order mark are read as "
            "UTF-16, in that byte order, even with utf-8."
        ),
        examples=["latin-1", "windows-1252", "shift_jis"],
    )
    skip_lines: Count = Field(0, description="Lines before the header, such as a title.", examples=[2])
    header_lines: Annotated[Whole, Field(ge=1, le=9)] = Field(
        1, description="Lines that hold the column names; those over several lines are joined by a space.", examples=[2]
    )
    footer_lines: Count = Field(0, description="Records at the end that are not data, such as a total.", examples=[1])
    comment: str | None = Field(
        None, min_length=1, description="What lines begin with that are comments.", examples=["#"]
    )
    trim: Flag = Field(False, description="Whether spaces around a field are not part of it.", examples=[True])
    skip_blank: Flag = Field(False, description="Whether records without any value are left out.", examples=[True])
    fill_short: Flag = Field(
        False, description="Whether a record with too few fields is filled up with NULL, not rejected.", examples=[True]
    )
    trailing_delimiter: Flag = Field(
        False, description="Whether records may end with a delimiter, with no field behind it.", examples=[True]
    )
    repair_names: Flag = Field(
        False,
        description=(
            "Whether columns without a name are called column_1 and so on, and a repeated name gets a number, name_2. "
            "If false, both are errors."
        ),
        examples=[True],
    )

    @property
    def is_plain(self) -> bool:
        """Whether the landing reads such files as they are."""
        return (
            len(self.delimiter) == 1
            and bool(self.quote)
            and all(
                getattr(self, name) == field.get_default()
                for name, field in type(self).model_fields.items()
                if name not in _OF_PLAIN
            )
        )

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        check_names(self.names, "header: false", has_header=self.header)
        if self.decimal == self.thousands:
            raise MistakeError(
                "decimal and thousands are the same sign", "remove one of them", at=("thousands",), code="conflict"
            )
        return self

    @model_validator(mode="after")
    def _signs_are_of_the_encoding(self) -> Self:
        for key, sign in (("delimiter", self.delimiter), ("quote", self.quote)):
            try:
                sign.encode(self.encoding)
            except UnicodeError:
                hint = f"write the {key} that the files have, or their encoding"
                raise MistakeError(f'{self.encoding} has no "{sign}"', hint, at=(key,), code="conflict") from None
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
