"""Every flight of the year as ready-made JSON, and the selection of one page of it."""

import re
import tempfile
import zipfile
from array import array
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from demo.dataset import dataset_file

_TEXT = dict.fromkeys(("carrier", "tailnum", "origin", "dest", "time_hour"), "VARCHAR")
_SECOND = timedelta(seconds=1)
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_CURSOR = re.compile(rf"(?P<after>{_INSTANT}[0-9A-Z-]+) (?P<until>(?:{_INSTANT})?)")

# time_hour is always a whole hour in UTC, so the scheduled instant is made from text: no time zone enters.
_READ = """
WITH flights AS (
    SELECT *, left(time_hour, 14) || lpad(minute::VARCHAR, 2, '0') || ':00Z' AS updated_at
    FROM read_csv($path, hive_partitioning = false, header = true, nullstr = 'NA', types = $types)
), identified AS (
    SELECT *, carrier || flight || '-' || translate(left(updated_at, 16), '-:', '') || 'Z' AS flight_id
    FROM flights
)
SELECT updated_at || flight_id AS key, to_json({
    flight_id: flight_id, year: year, month: month, day: day,
    dep_time: dep_time, sched_dep_time: sched_dep_time, dep_delay: dep_delay,
    arr_time: arr_time, sched_arr_time: sched_arr_time, arr_delay: arr_delay,
    carrier: carrier, flight: flight, tail_number: tailnum, origin: origin, dest: dest,
    air_time: air_time, distance: distance, hour: hour, minute: minute,
    time_hour: time_hour, updated_at: updated_at
})::VARCHAR AS record
FROM identified
ORDER BY key
"""


class BadRequestError(ValueError):
    """A parameter of a request cannot be understood; the message says what would be."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range of `updated_at`: [since, until), each `YYYY-MM-DDTHH:MM:SSZ`, or "" for no bound."""

    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Flights:
    """All records in order of (updated_at, flight_id), encoded once.

    `body` holds the JSON objects with a comma after each, so that a page is one slice of it. Record `i` is
    `body[offsets[i]:offsets[i + 1] - 1]`, and `keys[i]` is its updated_at followed by its flight_id.
    """

    keys: list[str]
    body: memoryview
    offsets: "array[int]"

    def page(self, window: Window, cursor: str | None, limit: int) -> bytes:
        """Return `{"results": [...], "next": "..." | null}` as JSON bytes, with at most `limit` records.

        A cursor carries the end of its window, so following it alone never runs past that end.

        Raises BadRequestError when the cursor is not one that a page gave.
        """
        after, cursor_until = _read_cursor(cursor) if cursor else ("", "")
        first = max(bisect_left(self.keys, window.since), bisect_right(self.keys, after))
        until = min(filter(None, (window.until, cursor_until)), default="")
        end = bisect_left(self.keys, until) if until else len(self.keys)
        last = min(first + limit, end)
        if first >= last:
            return b'{"results":[],"next":null}'
        records = self.body[self.offsets[first] : self.offsets[last] - 1]
        following = _write_cursor(self.keys[last - 1], until) if last < end else b"null"
        return b"".join((b'{"results":[', records, b'],"next":', following, b"}"))


def load_flights() -> Flights:
    """Read the 336,776 flights of the dataset and encode each one as JSON.

    Raises DemoError when the dataset is not installed.
    """
    import duckdb

    keys: list[str] = []
    body = bytearray()
    offsets = array("Q", [0])
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        with zipfile.ZipFile(dataset_file("flights.csv.zip")) as archive:
            path = archive.extract("flights.csv", folder)
        con.execute(_READ, {"path": path, "types": _TEXT})
        while rows := con.fetchmany(50_000):
            for key, record in rows:
                keys.append(key)
                body += record.encode()
                body += b","
                offsets.append(len(body))
    return Flights(keys, memoryview(body).toreadonly(), offsets)


def parse_window(since: str | None, until: str | None) -> Window:
    """Turn the two parameters of a request into a window.

    Raises BadRequestError when one is not an ISO instant with an offset, or `since` is later than `until`.
    """
    window = Window(_parse_instant("since", since), _parse_instant("until", until))
    if window.until and window.since > window.until:
        raise BadRequestError(f"since ({since}) is later than until ({until}): swap them")
    return window


def _parse_instant(name: str, text: str | None) -> str:
    if text is None:
        return ""
    try:
        instant = datetime.fromisoformat(text)
        # Records are on whole seconds, so both `<=` and `<` stay right when a fraction is rounded up.
        utc = instant.astimezone(UTC) + (_SECOND if instant.microsecond else timedelta())
    except (ValueError, OverflowError):
        raise BadRequestError(
            f"{name} is not an ISO instant ({text!r}): write it like 2013-01-01T05:00:00Z"
            " (a + in an offset must be sent as %2B)"
        ) from None
    if instant.tzinfo is None:
        raise BadRequestError(f"{name} has no offset ({text!r}): write it like 2013-01-01T05:00:00Z")
    return utc.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _write_cursor(after: str, until: str) -> bytes:
    return b'"' + urlsafe_b64encode(f"{after} {until}".encode()) + b'"'


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        found = _CURSOR.fullmatch(urlsafe_b64decode(cursor).decode())
    except ValueError:
        found = None
    if found is None:
        raise BadRequestError("cursor is not one this API gave: start again without it")
    return found["after"], found["until"]
