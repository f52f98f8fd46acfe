"""CSV in any dialect, record by record, each with its line and its text: slower than the landing's own reading.

A line without a quote is split; only others are looked through field by field.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from elt_factory.config.models.formats import CsvFormat
from elt_factory.extract.bounded_lines import CutLine
from elt_factory.extract.torn_fields import TornField

_MOST_LINES = 5000  # of one record: a quote that is never closed shall not take the rest of the file
_MOST_CHARACTERS = 16 * 1024 * 1024
_ENDS = "\r\n"
# what lines are that are left out
TITLE, FOOTER, COMMENT, BLANK = "title line", "footer line", "comment", "blank line"


@dataclass(frozen=True)
class Record:
    """A record: its first line, its text, and its fields. `why` says why it has none.

    `below_gap` says that a blank line is above it.
    """

    line: int
    text: str
    fields: tuple[str | None, ...]
    why: str = ""
    below_gap: bool = False


class _UnclosedError(Exception):
    """A quoted field does not end on the lines that were read."""


class _WrongError(Exception):
    """A line has quotes where none can be; its text says why."""


def records(
    lines: Iterable[str], form: CsvFormat, left_out: Counter[str] | None = None, *, as_landed: bool = False
) -> Iterator[Record]:
    """Yield the records of a file, the header among them; blank lines, comments, and what is around them left out.

    Args:
        lines: The lines with their ends, which may be any.
        form: The dialect.
        left_out: Counts the lines that are left out, by what they are.
        as_landed: Whether records are as where the landing reads the file itself: a blank line of a single column is
            one, and spaces around a quoted field are not part of it.
    """
    waiting: deque[Record] = deque()
    count = Counter[str]() if left_out is None else left_out
    for record in _records(_Lines(iter(lines), form, count, as_landed=as_landed), splitter(form, as_landed=as_landed)):
        waiting.append(record)
        if len(waiting) > form.footer_lines:
            yield waiting.popleft()
    if waiting:
        count[FOOTER] += len(waiting)


def joined_names(lines: Sequence[Sequence[str | None]]) -> list[str]:
    """Return the names of columns that header lines say together, each without spaces around and within."""
    width = max(map(len, lines))
    columns = [[line[place] for line in lines if place < len(line)] for place in range(width)]
    return [" ".join(" ".join(filter(None, parts)).split()) for parts in columns]


def _records(lines: _Lines, split: Callable[[str], tuple[str | None, ...]]) -> Iterator[Record]:
    while (first := lines.take()) is not None:
        text, taken = first.rstrip(_ENDS), [first]
        while True:
            if isinstance(taken[-1], CutLine):
                yield _broken(lines, taken, "a line is longer than any record may be")
                break
            try:
                found = Record(lines.number - len(taken) + 1, text, split(text), below_gap=lines.gap)
                lines.as_landed = lines.as_landed and len(found.fields) == 1
                lines.begun = True
                yield found
            except _WrongError as error:
                yield _broken(lines, taken, f"{error}; check format.quote and format.escape")
            except _UnclosedError:
                more = lines.take(inside=True) if len(taken) < _MOST_LINES and len(text) < _MOST_CHARACTERS else None
                if more is not None:
                    taken.append(more)
                    text = "".join(taken).rstrip(_ENDS)
                    continue
                yield _broken(lines, taken, "a quoted field does not end")
            break


def _broken(lines: _Lines, taken: list[str], why: str) -> Record:
    """Return the first line as what is broken; those after it are read again by themselves."""
    lines.give_back(taken[1:])
    return Record(lines.number, taken[0].rstrip(_ENDS), (), why)


@dataclass
class _Lines:
    """Lines to take one by one, without those that are not part of a record."""

    rest: Iterator[str]
    form: CsvFormat
    left_out: Counter[str]
    as_landed: bool = False  # of a single column, as far as is known
    begun: bool = False
    number: int = 0
    gap: bool = False
    _again: deque[str] = field(default_factory=deque)

    def take(self, *, inside: bool = False) -> str | None:
        """Return the next line, inside of a record whatever it is; None at the end."""
        self.gap = self.gap and inside
        for line in iter(self._next, None):
            what = "" if inside else self._left_out(line)
            if not what:
                return line
            self.gap = self.gap or what == BLANK
            self.left_out[what] += 1
        return None

    def give_back(self, lines: list[str]) -> None:
        """Let lines come again."""
        self._again.extendleft(reversed(lines))
        self.number -= len(lines)

    def _next(self) -> str | None:
        line = self._again.popleft() if self._again else next(self.rest, None)
        self.number += line is not None
        return line

    def _left_out(self, line: str) -> str:
        """Return why a line is not part of a record; "" where it is."""
        form = self.form
        if self.number <= form.skip_lines:
            return TITLE
        # a tab may be a delimiter: a line of them is a record without values
        if not line.rstrip(_ENDS if form.delimiter != " " else f"{_ENDS} "):
            return "" if self.begun and self.as_landed else BLANK
        return COMMENT if form.comment is not None and line.startswith(form.comment) else ""


def splitter(form: CsvFormat, *, as_landed: bool = False) -> Callable[[str], tuple[str | None, ...]]:
    """Return what splits a line into fields; those that stand for no value are None."""
    fields = _Fields(form, as_landed=as_landed)
    special = [sign for sign in (form.quote, form.escape) if sign]
    delimiter, by_spaces = form.delimiter, form.trim and form.delimiter == " "

    def split(text: str) -> tuple[str | None, ...]:
        if any(sign in text for sign in special):
            return tuple(fields.of(text))
        # spaces that fill columns up are one delimiter
        return tuple(map(fields.unquoted, text.split() if by_spaces else text.split(delimiter)))

    return split


class _Fields:
    """The fields of a line that has quotes or escapes."""

    def __init__(self, form: CsvFormat, *, as_landed: bool) -> None:
        self._form = form
        self._null = frozenset(form.null_values)
        # DuckDB passes over a space before a quoted field, and over any behind it
        self._as_landed = as_landed and form.delimiter != " "
        self._stops = re.compile("|".join(re.escape(sign) for sign in (form.quote, form.escape) if sign))

    def unquoted(self, text: str) -> str | None:
        """Return the value of a field without quotes."""
        text = text.strip() if self._form.trim else text
        return None if text in self._null else text

    def of(self, text: str) -> Iterator[str | None]:
        """Yield the fields of a line.

        Raises:
            _UnclosedError: a quoted field does not end.
            _WrongError: text follows a quoted field, or comes before one.
        """
        form, at = self._form, 0
        # what an escape comes before is text
        torn = TornField(form.quote if form.escape in {None, form.quote} else "")
        while True:
            begin = self._before_quote(text, at)
            if form.quote and text.startswith(form.quote, begin):
                value, end = self._quoted(text, begin + 1)
                end = self._behind_quote(text, end)
                yield value
            else:
                raw, end = self._up_to_delimiter(text, at)
                if torn.ends_with(raw):
                    raise _WrongError("text comes before a quoted field")
                yield self.unquoted(raw)
            if end == len(text):
                return
            if not text.startswith(form.delimiter, end):
                raise _WrongError("text follows a quoted field")
            at = end + len(form.delimiter)
            if form.trim and form.delimiter == " ":
                at = self._without_spaces(text, at)

    def _before_quote(self, text: str, at: int) -> int:
        """Return where the field at a place begins, if it is a quoted one."""
        if self._as_landed:
            return at + text.startswith(f" {self._form.quote}", at)
        return self._without_spaces(text, at)

    def _behind_quote(self, text: str, at: int) -> int:
        while self._as_landed and text.startswith(" ", at):
            at += 1
        return self._without_spaces(text, at)

    def _without_spaces(self, text: str, at: int) -> int:
        if self._form.trim and not (self._form.delimiter == " " and text.startswith(" ", at) and at):
            while text.startswith((" ", "\t"), at) and not text.startswith(self._form.delimiter, at):
                at += 1
        return at

    def _quoted(self, text: str, at: int) -> tuple[str, int]:
        """Return the value of a quoted field, and where it ends."""
        form, parts = self._form, list[str]()
        while found := self._stops.search(text, at):
            parts.append(text[at : found.start()])
            at = found.end()
            if found[0] == form.escape and form.escape != form.quote:
                at = self._escaped(text, at, parts)
            elif form.escape in {None, form.quote} and text.startswith(form.quote, at):
                parts.append(form.quote)
                at += 1
            else:
                return "".join(parts), at
        raise _UnclosedError

    def _up_to_delimiter(self, text: str, at: int) -> tuple[str, int]:
        form, begin, parts = self._form, at, list[str]()
        sign = form.escape if form.escape != form.quote else None
        while True:
            end = text.find(form.delimiter, at)
            end = len(text) if end < 0 else end
            escape = text.find(sign, at, end) if sign else -1
            if escape < 0:
                return "".join([*parts, text[begin:end]]), end
            parts.append(text[begin:escape])
            begin = at = self._escaped(text, escape + 1, parts)

    def _escaped(self, text: str, at: int, parts: list[str]) -> int:
        """Add what an escape means: a sign of the dialect is itself, before any other the escape is text."""
        following = text[at : at + 1]
        is_sign = bool(following) and following in (self._form.quote, self._form.escape, self._form.delimiter)
        parts.append(following if is_sign else f"{self._form.escape}{following}")
        return at + 1
