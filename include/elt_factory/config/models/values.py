"""Small values that appear in YAML as text: durations, rates, shares, dates, column types, names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, StringConstraints, WithJsonSchema

from elt_factory.config.errors import MistakeError, invalid, shown
from elt_factory.config.models.durations import SECONDS
from elt_factory.config.models.places import check_file_pattern, check_folder
from elt_factory.config.models.sql_rules import check_condition, check_reading
from elt_factory.config.models.templates import check_query, check_template, refuse_template
from elt_factory.config.synonyms import near_word

_UNITS = ("second", "minute", "hour")
_RATE = re.compile(rf"([0-9]+)\s*/\s*({'|'.join(_UNITS)})")
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
SHARE_PATTERN = r"^[0-9]+(\.[0-9]+)?\s*%$"
OVER_ALL = r"^\s*0*(10[1-9]|1[1-9][0-9]|[2-9][0-9]{2}|[1-9][0-9]{3})"  # more than 100 %
_TYPE = re.compile(r"^([a-z]+)(?:\(\s*([0-9]+)\s*(?:,\s*([0-9]+)\s*)?\))?$")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_MOMENT = re.compile(rf"{_DATE.pattern}(?:[T ]{_TIME.pattern}(?:\.[0-9]{{1,6}})?(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?")
# times are added to and taken from dates: a century is more than any of them needs, and never leaves the calendar
EARLIEST, _LATEST = date(1900, 1, 1), date(9998, 12, 31)
MAX_PRECISION = 38
_QUOTE_TYPE = 'put the type in quotes: "decimal(18,2)"'

Parsed = TypeVar("Parsed")

TypeName = Literal[
    "text",
    "integer",
    "float",
    "decimal",
    "boolean",
    "date",
    "time",
    "timestamp",
    "datetime",
    "json",
    "binary",
]


@dataclass(frozen=True)
class ColumnType:
    """A column's type, the same words for every warehouse.

    `timestamp` is an instant (with time zone, kept in UTC), `datetime` a wall-clock time without one; `integer` has
    64 bits, `float` is a double; `decimal` has a precision (total digits, at most 38) and a scale (digits after the
    point).
    """

    name: TypeName
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.name == "decimal" else self.name

    @classmethod
    def parse(cls, text: str) -> ColumnType:
        """Read `integer`, `decimal(18,2)` and the like.

        Raises:
            ValueError: anything else.
        """
        match = _TYPE.match(text.strip().lower())
        if match is None or match[1] not in get_args(TypeName):
            if re.fullmatch(r"[a-z]+\([0-9]+", text.strip().lower()):
                raise MistakeError(f"{shown(text)} is cut off: inside braces a comma ends the value", _QUOTE_TYPE)
            word = re.split(r"\W", text.strip(), maxsplit=1)[0]
            raise MistakeError(f"unknown column type {shown(text)}", near_word(word, get_args(TypeName)))
        name: Any = match[1]
        if name != "decimal":
            if match[2]:
                raise MistakeError(f"{shown(text)} has a length, but only decimal takes numbers", f"write {name}")
            return cls(name)
        precision, scale = int(match[2] or MAX_PRECISION), int(match[3] or (0 if match[2] else 9))
        if not 1 <= precision <= MAX_PRECISION or scale > precision:
            hint = f"use a precision of 1 to {MAX_PRECISION} and a scale of 0 to the precision, as in decimal(18,2)"
            raise MistakeError(f"precision or scale out of range: {text}", hint)
        return cls("decimal", precision, scale)


@dataclass(frozen=True)
class Rate:
    """At most `count` requests every `seconds`."""

    count: int
    seconds: int

    def __str__(self) -> str:
        unit = next(name for name in _UNITS if SECONDS[name[0]] == self.seconds)
        return f"{self.count}/{unit}"


def _parse_rate(value: object) -> Rate:
    if isinstance(value, Rate):
        return value
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match[1]) <= _MOST_REQUESTS:
        raise MistakeError(invalid("rate", value), "write it like 10/second, 500/minute, 1000/hour")
    return Rate(int(match[1]), SECONDS[match[2][0]])


def parse_share(value: object) -> float:
    """Return a share, of text like 20%.

    Raises:
        MistakeError: the text is not a percentage.
    """
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None or len(match[1]) > _SHARE_DIGITS:
        raise MistakeError(invalid("percentage", value), "write it like 20%")
    return float(match[1]) / 100


def _parse_type(value: object) -> ColumnType:
    if isinstance(value, ColumnType):
        return value
    if not isinstance(value, str):
        raise MistakeError(invalid("column type", value), "write a word like text, integer or decimal(18,2)")
    return ColumnType.parse(value)


def _parse_date(value: object) -> object:
    if isinstance(value, date):
        return value
    parsed = _parsed(value, _DATE, date.fromisoformat)
    if parsed is None:
        raise _invalid_date(value)
    return _sensible(parsed, value)


def _invalid_date(value: object) -> MistakeError:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return MistakeError(f"invalid date {shown(value)}: no such day", "write an existing day")
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return MistakeError(f"expected a date without a time, got {shown(value)}", f"write {value[:10]}")
    return MistakeError(invalid("date", value), "write it like 2013-01-31")


def _sensible(day: date, value: object) -> date:
    """Return the day itself, when a zone's clock and a day more still leave it in the calendar."""
    if not EARLIEST <= day <= _LATEST:
        raise MistakeError(f"{shown(value)} is out of range", f"write a date from {EARLIEST} to {_LATEST}")
    return day


def _parse_time(value: object) -> object:
    parsed = value if isinstance(value, time) else _parsed(value, _TIME, time.fromisoformat)
    if parsed is None:
        raise MistakeError(invalid("time of day", value), 'write it like "06:00"')
    return parsed


def _parse_start(value: object) -> object:
    if isinstance(value, (date, int)) and not isinstance(value, bool):
        return value
    parsed = _parsed(value, _MOMENT, datetime.fromisoformat)
    if parsed is None and isinstance(value, str) and _DATE.fullmatch(value[:10]) and not _reads_date(value[:10]):
        raise _invalid_date(value[:10])
    if parsed is None:
        raise MistakeError(invalid("`initial` value", value), "write a date like 2013-01-31, or a whole number")
    _sensible(parsed.date(), value)
    return parsed


def _parsed(value: object, pattern: re.Pattern[str], parse: Callable[[str], Parsed]) -> Parsed | None:
    try:
        return parse(value) if isinstance(value, str) and pattern.fullmatch(value) else None
    except ValueError:
        return None


def _reads_date(text: str) -> bool:
    return _parsed(text, _DATE, date.fromisoformat) is not None


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise MistakeError(f"unknown time zone {shown(value)}", _near_zone(value)) from None
    return value


def _near_zone(value: str) -> str:
    region = _REGIONS.get(value.strip().upper())
    if region:
        return f"use the region's time zone, which includes daylight saving time: {region}"
    if re.match(r"(?:UTC|GMT)?[+-]\d", value.strip().upper()):
        return "use the region's time zone, like Europe/Berlin: an offset has no daylight saving time"
    near = near_word(value, available_timezones())
    return near if near.startswith("did you mean") else "write one like Europe/Berlin or UTC"


def _check_name(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_NAME, value):
        suggestion = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_0123456789")[:63]
        rule = "use lowercase letters, digits and _, starting with a letter"
        hint = f'{rule}: "{suggestion}"' if re.fullmatch(_NAME, suggestion) else rule
        raise MistakeError(f"invalid name {shown(value)}", hint, code="bad-name")
    return value


def _check_connection(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_CONNECTION, value):
        hint = "write the id of an Airflow connection: letters, digits, _ . and -; address and secret stay in Airflow"
        # the value stays out of the message: it may be an address with a password in it
        raise MistakeError("invalid connection id", hint, code="bad-name")
    return value


def _check_column(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_COLUMN, value):
        raise MistakeError(
            f"invalid column name {shown(value)}", "write 1 to 255 printable characters", code="bad-name"
        )
    return value


def check_scalar(value: object) -> object:
    """Return a text, number, true or false."""
    if not isinstance(value, (str, int, float)):
        hint = "write one value, without brackets" if isinstance(value, (list, dict)) else "write a value"
        raise MistakeError(f"expected a single value, got {shown(value)}", hint, code="wrong-type")
    return value


def _check_param_name(value: object) -> object:
    if value in FORM_FIELDS:
        message = f"{shown(value)} is already a field of the trigger form"
        raise MistakeError(message, "choose another name", code="bad-name")
    return _check_name(value)


def _check_param(value: object) -> object:
    """Return a value of a param itself.

    Raises:
        ValueError: a value that is not plain, or text that no address could carry.
    """
    check_scalar(value)
    if isinstance(value, str) and not re.fullmatch(_PARAM, value):
        hint = f"write at most {_LONGEST_PARAM} characters on one line"
        raise MistakeError("text is too long or contains control characters", hint)
    return value


def param_like(default: object, value: object) -> object:
    """Return the value that one run has in place of a param's default.

    Raises:
        ValueError: one of another type.
    """
    _check_param(value)
    if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
        raise MistakeError(
            f"{shown(value)} is not of the same type as its default {shown(default)}", "write a value of that type"
        )
    return value


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


# abbreviations that are not zones, and a region that is often meant
_REGIONS = {
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "BRT": "America/Sao_Paulo",
    "BST": "Europe/London",
    "CDT": "America/Chicago",
    "CEST": "Europe/Berlin",
    "CST": "America/Chicago",
    "CT": "America/Chicago",
    "EDT": "America/New_York",
    "ET": "America/New_York",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MDT": "America/Denver",
    "MT": "America/Denver",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "PT": "America/Los_Angeles",
    "SGT": "Asia/Singapore",
}
_MOST_REQUESTS, _SHARE_DIGITS = 1_000_000_000, 12
# Names become DAG ids, task ids, folders and schema names: one alphabet that is safe in all of them.
_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_CONNECTION = r"^[A-Za-z0-9_.\-]{1,250}$"
_LONGEST_PARAM = 1000
_PARAM = rf"[^\x00-\x1f\x7f]{{0,{_LONGEST_PARAM}}}"
# what a run is asked for next to the config's own params
FORM_FIELDS = ("tables", "full_refresh", "window_start", "window_end")
_COLUMN = r"^[^\x00-\x1f\x7f]{1,255}$"

RequestRate = Annotated[
    Rate, BeforeValidator(_parse_rate), PlainSerializer(str), _text(rf"^[0-9]+\s*/\s*({'|'.join(_UNITS)})$")
]
Share = Annotated[float, BeforeValidator(parse_share), _text(SHARE_PATTERN)]
Type = Annotated[ColumnType, BeforeValidator(_parse_type), PlainSerializer(str), _text(_TYPE.pattern)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
Date = Annotated[date, BeforeValidator(_parse_date)]
TimeOfDay = Annotated[time, BeforeValidator(_parse_time), _text(rf"^{_TIME.pattern}$")]
# where a cursor begins: an instant, a day, or a number
Beginning = Annotated[datetime | date | int, BeforeValidator(_parse_start)]
Whole = Annotated[int, Strict()]
Number = Annotated[int, Strict()] | Annotated[float, Strict(), Field(allow_inf_nan=False)]
# true and false alone: "no", "false" in quotes and 0 are text and numbers
Flag = Annotated[bool, Strict()]
Scalar = Annotated[str | int | float | bool, BeforeValidator(check_scalar)]
ParamValue = Annotated[str | int | float | bool, BeforeValidator(_check_param)]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(refuse_template)]
Query = Annotated[str, StringConstraints(min_length=1), AfterValidator(check_query), AfterValidator(check_reading)]
# a query that takes no templates
PlainQuery = Annotated[Text, AfterValidator(check_reading)]
Condition = Annotated[Text, AfterValidator(check_condition)]
FolderPath = Annotated[Text, AfterValidator(check_folder)]
# a name pattern below a folder: globs, and %Y %m %d %H for periods
FilePattern = Annotated[Text, AfterValidator(check_file_pattern)]
FileTemplate = Annotated[
    str, StringConstraints(min_length=1), AfterValidator(check_template), AfterValidator(check_file_pattern)
]
ParamName = Annotated[str, StringConstraints(pattern=_NAME), BeforeValidator(_check_param_name)]
Name = Annotated[str, StringConstraints(pattern=_NAME), BeforeValidator(_check_name)]
ConnectionId = Annotated[str, StringConstraints(pattern=_CONNECTION), BeforeValidator(_check_connection)]
ColumnName = Annotated[str, StringConstraints(pattern=_COLUMN), BeforeValidator(_check_column)]
