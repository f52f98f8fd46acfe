"""Excel and OpenDocument workbooks: the rows of one sheet, by calamine."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import MistakeError, near_name
from elt_factory.config.models.formats import FileFormat, check_names
from elt_factory.config.models.schema_patterns import NO_TEMPLATE
from elt_factory.config.models.values import ColumnName, ColumnType, Text, Whole
from elt_factory.core.extras import needs
from elt_factory.core.failures import BadDataError
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.formats.workbook_parts import Marks, column_number

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

    from elt_factory.discover.found import Guess
    from elt_factory.extract.request import Spool
    from elt_factory.formats.records import Bad

_RANGE = re.compile(r"([A-Z]{1,3})([1-9][0-9]*)?:([A-Z]{1,3})([1-9][0-9]*)?")
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class ExcelFormat(FileFormat):
    """Excel and OpenDocument workbooks (xlsx, xlsm, xlsb, xls, ods). Cells with an error, such as #N/A, are NULL."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"sheet": (NO_TEMPLATE,)}

    type: Literal["excel"]
    sheet: Text | None = Field(
        None, description="Sheet to read. By default, the first that is not hidden.", examples=["Orders"]
    )
    range: Text | None = Field(
        None,
        description="Cells of the table with its header. By default, all cells that are used.",
        examples=["B3:F", "A1:D200"],
    )
    header_rows: Annotated[Whole, Field(ge=0, le=9)] = Field(
        1,
        description=(
            "Rows that hold the column names. Names over several rows are joined by a space, and a merged cell names "
            "each of its columns."
        ),
        examples=[2],
    )
    names: tuple[ColumnName, ...] = Field(
        (),
        description="Column names, with header_rows: 0. By default, column_1, column_2 and so on.",
        examples=[["id"]],
    )

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        check_names(self.names, "header_rows: 0", has_header=bool(self.header_rows))
        if self.range is not None and not _RANGE.fullmatch(self.range):
            raise MistakeError(f'invalid range "{self.range}"', "write it like B3:F200, B3:F or B:F", at=("range",))
        return self


def _spooled(form: ExcelFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.formats.records import spool_of

    remarks, kinds = list[str](), defaultdict[str, set[str]](set)
    spool = spool_of(files, workdir, lambda file: _records(form, file, remarks, kinds))
    # a cell is never JSON: a text next to numbers is what it is, and has no quotes
    types = {name: ColumnType("text") for name, found in kinds.items() if len(found) > 1}
    return replace(spool, remarks=tuple(remarks), types=types)


def _records(
    form: ExcelFormat, file: Delivered, remarks: list[str], kinds: Mapping[str, set[str]]
) -> Iterator[bytes | Bad]:
    from elt_factory.formats.packed import damage_named
    from elt_factory.formats.workbook_rows import Reading

    sheet = _sheet(form, file, remarks)
    # a day before the calendar comes as a time
    times = _has_times(sheet, file)
    area = _area(form, sheet)
    rows = area.rows(sheet)
    names = _names(form, file, [*islice(rows, form.header_rows)], area, sheet)
    with damage_named(file.name):
        reading = Reading(names, area.left, area.last_asked, Marks(file.path, sheet.name, negative=times))
        for number, cells in rows:
            record = reading.record(number, cells)
            if record is not None:
                yield record
        remarks.extend(f"{file.name}: {remark}" for remark in reading.remarks())
        for name, found in reading.kinds():
            kinds[name].update(found)


def _has_times(sheet: CalamineSheet, file: Delivered) -> bool:
    try:
        kinds = {type(cell) for cells in sheet.iter_rows() for cell in cells}
    except OverflowError:
        raise BadDataError(f"{file.name}: a cell has a duration of more than a billion days") from None
    return time in kinds


@dataclass(frozen=True)
class _Area:
    """The cells to read, counted from 0, all ends included."""

    top: int
    left: int
    bottom: int
    right: int
    last_asked: int | None = None  # counted from 1

    def rows(self, sheet: CalamineSheet) -> Iterator[tuple[int, list[Any]]]:
        """Yield the rows with their numbers, as Excel shows them."""
        # calamine begins with the first row, and in each with the first column that is used
        offset = sheet.start[1] if sheet.start else 0
        for row, cells in enumerate(sheet.iter_rows()):
            if self.top <= row <= self.bottom:
                places = range(self.left - offset, self.right - offset + 1)
                yield row + 1, [cells[place] if 0 <= place < len(cells) else "" for place in places]


def _sheet(form: ExcelFormat, file: Delivered, remarks: list[str]) -> CalamineSheet:
    with _book(file) as book:
        name = form.sheet or _first_sheet(book, file)
        if name not in book.sheet_names:
            raise BadDataError(f'{file.name} has no sheet "{name}"; {near_name(name, book.sheet_names)}')
        if form.sheet is None and name != book.sheet_names[0]:
            remarks.append(f'{file.name}: the sheet "{name}" is read, the first that is not hidden')
        return book.get_sheet_by_name(name)


def _first_sheet(book: CalamineWorkbook, file: Delivered) -> str:
    """Return the name of the first sheet of cells that people see; of the first one where all are hidden."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    if not book.sheet_names:
        raise BadDataError(f"{file.name} is damaged: it has no sheet")
    seen = (
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
    )
    return next(seen, book.sheet_names[0])


@contextmanager
def _book(file: Delivered) -> Iterator[CalamineWorkbook]:
    """Provide a workbook; what is wrong with it is an error that names the file."""
    with needs("excel", "format.type excel"):
        import python_calamine as calamine
    try:
        yield calamine.load_workbook(str(file.path))
    except calamine.PasswordError:
        raise BadDataError(f"{file.name} is a workbook with a password; hint: save it without one") from None
    except calamine.CalamineError as error:
        raise BadDataError(f"{file.name} is not a workbook, or damaged: {error}") from None


def _area(form: ExcelFormat, sheet: CalamineSheet) -> _Area:
    top, left = sheet.start or (0, 0)
    bottom, right = sheet.end or (-1, -1)
    asked = _RANGE.fullmatch(form.range or "")
    if asked is None:
        return _Area(top, left, bottom, right)
    first, last = int(asked[2] or 1) - 1, int(asked[4]) - 1 if asked[4] else bottom
    return _Area(first, column_number(asked[1]), last, column_number(asked[3]), last + 1 if asked[4] else None)


def _names(
    form: ExcelFormat, file: Delivered, rows: Sequence[tuple[int, list[Any]]], area: _Area, sheet: CalamineSheet
) -> list[str]:
    """Return the name of each column; "" for one without, which must have no values."""
    from elt_factory.formats.workbook_rows import plain

    width = area.right - area.left + 1
    if not form.header_rows:
        if form.names and len(form.names) != width:
            raise BadDataError(f"{file.name}: {width} columns but {len(form.names)} names in format.names")
        return [*form.names] or [f"column_{number}" for number in range(1, width + 1)]
    if len(rows) < form.header_rows:
        raise BadDataError(f"{file.name}: no header: the sheet, or the range, has {len(rows)} rows")
    _spread_merged(dict(rows), area, sheet)
    columns = zip(*(cells for _, cells in rows), strict=True)
    names = [" ".join(str(plain(cell)).strip() for cell in cells if cell != "") for cells in columns]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise BadDataError(f"{file.name} row {rows[-1][0]}: column {twice} is repeated")
    if not any(names):
        raise BadDataError(f"{file.name} row {rows[-1][0]}: no column has a name; set format.range or header_rows")
    return names


def _spread_merged(rows: Mapping[int, list[Any]], area: _Area, sheet: CalamineSheet) -> None:
    """Give each column of a merged cell the value that the first one has."""
    for (row, column), (_, last) in sheet.merged_cell_ranges or ():
        cells = rows.get(row + 1)
        if cells is not None and column >= area.left:
            for place in range(column, min(last, area.right) + 1):
                cells[place - area.left] = cells[column - area.left]


def _look(files: Sequence[Delivered], workdir: Path) -> tuple[Spool, Guess]:
    from elt_factory.discover.found import Guess

    with _book(files[-1]) as book:
        sheets, first = book.sheet_names, _first_sheet(book, files[-1])
    form = ExcelFormat(type="excel", sheet=first if len(sheets) > 1 else None)
    shown = f"{{type: excel, sheet: {json.dumps(first)}}}" if len(sheets) > 1 else "{type: excel}"
    hidden = "" if first == sheets[0] else " that is not hidden"
    why = f"the first{hidden} of {len(sheets)} sheets: {', '.join(sheets)}" if len(sheets) > 1 else "from the file name"
    return _spooled(form, files, workdir), Guess(shown, why)


KIND = FormatKind(
    name="excel",
    extra="excel",
    model=ExcelFormat,
    spooled=_spooled,
    endings=(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
    signs={_ZIP: "an Excel workbook", _OLE: "an Excel workbook"},
    look=_look,
)
