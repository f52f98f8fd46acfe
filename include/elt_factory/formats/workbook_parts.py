"""What calamine does not say of a workbook, from its parts: which cells look empty, or like a time, and are not."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO
from xml.parsers import expat

_CHUNK = 1024 * 1024
_WORKBOOK, _LINKS, _CONTENT = "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "content.xml"
_LETTERS = 26
_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*:)?worksheet\b")
_PLACE = re.compile(rb"""\sr=["']([A-Z]{1,3})([1-9][0-9]*)["']""")
_EMPTY_TEXT = re.compile(rb"""\st=["']str["']""")
_TIME_VALUE = re.compile(rb'office:time-value="([^"]*)"')
_LONGEST_ATTRIBUTE = 100


@dataclass
class Marked:
    """A row, from 1, and its columns, from 0, that have errors, formulas without a result, and negative numbers."""

    row: int
    errors: set[int] = field(default_factory=set)
    unsolved: set[int] = field(default_factory=set)
    negative: set[int] = field(default_factory=set)


class Marks:
    """The marked cells of a sheet, asked for row after row. Of xls and xlsb they are not known, which is `blind`.

    Args:
        workbook: The file.
        sheet: The name of the sheet.
        negative: Whether negative numbers are of interest, of which there may be many.
    """

    def __init__(self, workbook: Path, sheet: str, *, negative: bool) -> None:
        self._workbook, self._negative = workbook, negative
        self.blind = False
        self._found = self._readable(sheet)
        self._next = next(self._found, None)

    def of(self, row: int) -> Marked:
        """Return what is marked in a row; rows are asked for in their order."""
        while self._next and self._next.row < row:
            self._next = next(self._found, None)
        return self._next if self._next and self._next.row == row else Marked(row)

    def below(self, row: int) -> Iterator[Marked]:
        """Yield what is marked below a row, the last one that is asked for."""
        self.of(row + 1)
        yield from chain([self._next] if self._next else [], self._found)

    @cached_property
    def durations(self) -> frozenset[str]:
        """The values of an OpenDocument workbook that are times, as they are written."""
        if not zipfile.is_zipfile(self._workbook):
            return frozenset()
        with zipfile.ZipFile(self._workbook) as parts:
            if _CONTENT not in parts.namelist():
                return frozenset()
            with parts.open(_CONTENT) as content:
                pieces = _pieces(content, lambda text: max(0, len(text) - _LONGEST_ATTRIBUTE))
                return frozenset(value.decode() for piece in pieces for value in _TIME_VALUE.findall(piece))

    def _readable(self, sheet: str) -> Iterator[Marked]:
        """Yield what is marked, as far as Python can read what calamine could."""
        try:
            yield from self._rows(sheet)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, expat.ExpatError):
            self.blind = True

    def _rows(self, sheet: str) -> Iterator[Marked]:
        self.blind = True
        if not zipfile.is_zipfile(self._workbook):
            return
        with zipfile.ZipFile(self._workbook) as parts:
            names = frozenset(parts.namelist())
            if {_WORKBOOK, _LINKS} <= names:
                part = _part_of(parts, sheet)
                if part in names:
                    self.blind = False
                    with parts.open(part) as content:
                        yield from self._of_sheet(content)
            elif _CONTENT in names:
                self.blind = False
                with parts.open(_CONTENT) as content:
                    yield from _errors_of_table(content, sheet)

    def _of_sheet(self, content: IO[bytes]) -> Iterator[Marked]:
        head = content.read(_CHUNK)
        root = _ROOT.search(head)
        if root is None:
            self.blind = True
            return
        cells = _Cells(root[1] or b"", negative=self._negative)
        row = Marked(0)
        for piece in _pieces(content, cells.end, head):
            for number, column, kind in cells.marked(piece):
                if number != row.row:
                    if row.row:
                        yield row
                    row = Marked(number)
                getattr(row, kind).add(column)
        self.blind = cells.without_place
        if row.row:
            yield row


class _Cells:
    """The cells of a sheet's XML, which are found by their text: a parser takes as long as all else together."""

    def __init__(self, prefix: bytes, *, negative: bool) -> None:
        p = re.escape(prefix)
        self._begin, self._end = b"<" + prefix + b"c", b"</" + prefix + b"c>"
        result = rb"(?:<%bv\s*/>|<%bv>\s*</%bv>|</%bc>)" % (p, p, p, p)
        self._kinds = {
            "errors": (re.compile(rb't="e"'), re.compile(rb"t='e'")),
            "unsolved": (re.compile(rb"<%bf(?:\s[^>]*)?(?:/>|>[^<]*</%bf>)\s*%b" % (p, p, result)),),
            "negative": (re.compile(rb"<%bv>-" % p),) if negative else (),
        }
        self.without_place = False

    def end(self, text: bytes) -> int:
        """Return where the last whole cell ends."""
        at = text.rfind(self._end)
        return at + len(self._end) if at >= 0 else 0

    def marked(self, text: bytes) -> list[tuple[int, int, str]]:
        """Return row, column and kind of marked cells in whole cells, in the order of the rows."""
        found = [
            (*place, kind)
            for kind, signs in self._kinds.items()
            for sign in signs
            for one in sign.finditer(text)
            if (place := self._place(text, one.start(), kind))
        ]
        return sorted(found)

    def _place(self, text: bytes, at: int, kind: str) -> tuple[int, int] | None:
        begin = text.rfind(self._begin, 0, at)
        tag = text[begin : text.find(b">", begin) + 1]
        # in a cell's own text the same signs are only text
        if begin < 0 or (kind == "errors" and begin + len(tag) <= at):
            return None
        if kind == "unsolved" and _EMPTY_TEXT.search(tag):
            return None
        place = _PLACE.search(tag)
        if place is None:
            self.without_place = True
            return None
        return int(place[2]), column_number(place[1].decode())


def column_number(letters: str) -> int:
    """Return the place of a column, from 0."""
    place = 0
    for letter in letters:
        place = place * _LETTERS + ord(letter) - ord("A") + 1
    return place - 1


def column_letters(place: int) -> str:
    """Return what a column is called whose place is counted from 0."""
    letters, rest = "", place + 1
    while rest:
        rest, letter = divmod(rest - 1, _LETTERS)
        letters = chr(ord("A") + letter) + letters
    return letters


def _pieces(content: IO[bytes], end: Callable[[bytes], int], head: bytes = b"") -> Iterator[bytes]:
    """Yield the bytes of a part in pieces that end where `end` finds it in them, and what is left at last."""
    rest = b""
    chunk = head or content.read(_CHUNK)
    while chunk:
        rest += chunk
        cut = end(rest)
        yield rest[:cut]
        # of a long cell ever more is read, so that it is not looked through again for every megabyte of it
        rest = rest[cut:]
        chunk = content.read(max(_CHUNK, len(rest)))
    yield rest


def _part_of(parts: zipfile.ZipFile, sheet: str) -> str:
    """Return the name of the part that is a sheet; "" where there is none."""
    link = next((one.get("id") for one in _elements(parts.read(_WORKBOOK), "sheet") if one.get("name") == sheet), None)
    found = (one.get("Target", "") for one in _elements(parts.read(_LINKS), "Relationship") if one.get("Id") == link)
    target = next(found, "")
    return str(PurePosixPath("/xl", target)).removeprefix("/") if target else ""


def _elements(content: bytes, name: str) -> list[dict[str, str]]:
    """Return the attributes of the elements of a name; prefixes are left out."""
    found = list[dict[str, str]]()

    def start(tag: str, attributes: dict[str, str]) -> None:
        if _local(tag) == name:
            found.append({_local(key): value for key, value in attributes.items()})

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.Parse(content, True)
    return found


def _errors_of_table(content: IO[bytes], sheet: str) -> Iterator[Marked]:
    """Yield the rows of an OpenDocument sheet that have errors."""
    found, table = list[Marked](), _Table(sheet)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = table.start, table.end
    while chunk := content.read(_CHUNK):
        parser.Parse(chunk, False)
        found, table.found = table.found, []
        yield from found


class _Table:
    def __init__(self, sheet: str) -> None:
        self._sheet, self._inside = sheet, False
        self._row = self._column = 0
        self._errors, self._rows = set[int](), 1
        self.found = list[Marked]()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name == "table":
            self._inside, self._row = attributes.get("table:name") == self._sheet, 0
        elif name == "table-row":
            self._column, self._errors = 0, set()
            self._rows = int(attributes.get("table:number-rows-repeated", 1))
        elif name in ("table-cell", "covered-table-cell"):
            cells = int(attributes.get("table:number-columns-repeated", 1))
            if self._inside and attributes.get("calcext:value-type") == "error":
                self._errors.update(range(self._column, self._column + cells))
            self._column += cells

    def end(self, tag: str) -> None:
        if _local(tag) == "table-row" and self._inside:
            if self._errors:
                self.found += (Marked(self._row + one, self._errors) for one in range(1, self._rows + 1))
            self._row += self._rows


def _local(name: str) -> str:
    return name.rpartition(":")[2]
