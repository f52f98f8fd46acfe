"""Faults planted in a day of New York's flights: each is found by the check that should, and none in what is right.

In CI nine days of January are clean and the faults are in its last one. `ELT_FULL_YEAR=1` takes all of 2013: all of its
days are clean, and the faults are in the last of December. Faults that no check looks at together are planted in one
load. Those of single rows are planted once more where the checks set rows aside, and brought back by a replay.
"""

import copy
import itertools
import os
import signal
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from checks_support import Checked, day

from demo.dataset import dataset_file
from elt_factory.checks.kind import CheckRequest
from elt_factory.checks.run import Result, keep_figures, run_checks
from elt_factory.config.models.check_names import named_checks
from elt_factory.core.connection import Connection
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.quarantine import sets_aside
from elt_factory.sources.files.model import FilesSource
from elt_factory.warehouse.opening import open_warehouse
from elt_factory.warehouse.replay import Replaying, replay
from forked import Forked

YEAR = bool(os.environ.get("ELT_FULL_YEAR"))
FIRST, LAST = (date(2013, 1, 1), date(2013, 12, 31)) if YEAR else (date(2013, 1, 23), date(2013, 1, 31))

Rows = list[dict[str, Any]]
SIMILAR = {"of": "same_weekday"}
IN_THREE_PLACES = (
    "SELECT 1 FROM loaded WHERE tailnum > '' GROUP BY tailnum, time_hour HAVING count(DISTINCT origin) > 2"
)
NOT_AN_AIRPORT = "SELECT l.* FROM loaded l LEFT JOIN src.airports a ON a.faa = l.origin WHERE a.faa IS NULL"
CONFIG = {
    "name": "src",
    "extract": {"type": "files", "folder": "x"},
    "timezone": "America/New_York",
    "tables": {
        "tab": {
            "path": "x",
            "format": {"type": "ndjson"},
            "primary_key": ["flight_id"],
            "business_date": "time_hour",
            "columns": {
                "flight_id": {"type": "text", "checks": [{"not_null": True}, {"unique": True}]},
                "carrier": {
                    "type": "text",
                    "checks": [
                        {"not_null": True},
                        {"length": {"min": 2, "max": 2}},
                        {"relationships": {"table": "airlines", "column": "carrier"}},
                        {"distribution": {"categories": "15%"}},
                    ],
                },
                "tailnum": {
                    "type": "text",
                    "checks": [
                        {"regex": "^[A-Z0-9]{5,6}$", "max_failing": "0.5%"},
                        {"distribution": {"nulls": "25%", "distinct": "20%"}},
                    ],
                },
                "origin": {"type": "text", "checks": [{"not_null": True}, {"accepted_values": ["EWR", "JFK", "LGA"]}]},
                "dest": {"type": "text", "checks": [{"not_null": True}, {"length": {"min": 3, "max": 3}}]},
                "distance": {
                    "type": "integer",
                    "checks": [
                        {"between": [10, 5000]},
                        {"sum": {"within": "40%", **SIMILAR}},
                        {"mean": {"within": "12%"}},
                        {"distribution": {"quantiles": "20%"}},
                    ],
                },
                "air_time": {"type": "integer", "checks": [{"mean": {"within": "25%"}}]},
                "hour": {"type": "integer", "checks": [{"between": [0, 23]}]},
                "minute": {"type": "integer", "checks": [{"between": [0, 59]}]},
                "time_hour": {"type": "timestamp", "checks": [{"not_null": True}]},
            },
        }
    },
    "quality": {
        "tab": [
            {"row_count": {"min": 500}},
            {"row_count": {"within": "40%", **SIMILAR}},
            {"row_count": {"within": "45%", "of": "trailing_7_runs"}},
            {"row_count": {"within": "0%", "of": "source"}},
            {"row_count": {"within": "50%", **SIMILAR}, "where": "origin = 'JFK'"},
            {"rejects": "1%"},
            {"no_gaps": "5d"},
            {"schema_unchanged": True},
            {"freshness": {"business_date_within": "12h"}},
            {"expression": "origin <> dest"},
            {"expression": "sched_dep_time = hour * 100 + minute"},
            {"unique": ["carrier", "flight", "origin", "sched_dep_time", "time_hour"]},
            {"query": IN_THREE_PLACES},
            {"query": NOT_AN_AIRPORT},
        ]
    },
}


@dataclass(frozen=True)
class Line:
    """A table of flights that is loaded and checked day by day."""

    checked: Checked
    days: Mapping[date, Rows]

    def check(self, on: date, rows: Rows) -> list[Result]:
        """Load a day, and return what its checks find; what they measured is kept, as runs keep it."""
        window = day((on - date(2013, 1, 1)).days + 1)
        self.checked.load(rows, window)
        asked = self.checked.request(window)
        there = len(self.days.get(on, rows))
        request = CheckRequest(asked.config, "tab", asked.load_id, window, "run", lambda: there)
        results = run_checks(self.checked.warehouse, request)
        keep_figures(self.checked.warehouse, request, results)
        return results

    def failed(self, on: date, rows: Rows) -> set[str]:
        """Load a day; the checks that fail."""
        results = self.check(on, rows)
        names = [result.check for result in results]
        assert len(set(names)) == len(names)
        return {result.check for result in results if result.status == "failed"}


def days_of_flights(folder: Path) -> dict[date, Rows]:
    import duckdb

    file = folder / "flights.csv"
    with zipfile.ZipFile(dataset_file("flights.csv.zip")) as archive, archive.open("flights.csv") as whole:
        # the days of January come first
        file.write_bytes(b"".join(itertools.islice(whole, None if YEAR else 28_000)))
    found: dict[date, Rows] = {}
    with duckdb.connect() as connection:
        cursor = connection.execute(
            "SELECT make_date(year, month, day) AS d, concat_ws('-', carrier, flight, origin, d, sched_dep_time) "
            "AS flight_id, carrier, flight, tailnum, origin, dest, distance, air_time, hour, minute, sched_dep_time, "
            "CAST(time_hour AS VARCHAR) AS time_hour FROM read_csv($1, nullstr = ['NA', '']) "
            "WHERE d BETWEEN $2 AND $3",
            [str(file), FIRST, LAST],
        )
        names = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            record = dict(zip(names, row, strict=True))
            found.setdefault(record.pop("d"), []).append(record)
    return found


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> dict[date, Rows]:
    return days_of_flights(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="module")
def line(tmp_path_factory, days):
    folder = tmp_path_factory.mktemp("planted")
    connection = Connection("warehouse", conn_type="duckdb", host=str(folder / "warehouse.duckdb"))
    with open_warehouse(connection, folder, print) as warehouse:
        warehouse.create_schema("src")
        for table in ("airlines", "airports"):
            file = dataset_file(f"{table}.csv")
            warehouse.execute(f"CREATE TABLE src.{table} AS SELECT * FROM read_csv('{file}')")
        yield Line(Checked(warehouse, FilesSource.model_validate(CONFIG), folder / "landing"), days)


def all_days():
    on = FIRST
    while on < LAST:
        yield on
        on += timedelta(days=1)


@dataclass(frozen=True)
class Changed:
    """A fault that gives rows other values; a function makes a value of the old one."""

    values: Mapping[str, Any]
    picked: Callable[[int], bool]
    count: int = 0

    def __call__(self, rows: Rows) -> Rows:
        return [self.row(row) if self.picked(place) else row for place, row in enumerate(rows)]

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        changed = {name: value(row[name]) if callable(value) else value for name, value in self.values.items()}
        return {**row, **changed}


def first(count: int, **values: Any) -> Changed:
    """Give the first rows of a day other values."""
    return Changed(values, lambda place: place < count, count)


def every(share: int, **values: Any) -> Changed:
    """Give every so manieth row other values."""
    return Changed(values, lambda place: not place % share)


def times(factor: float) -> Callable[[Any], Any]:
    return lambda value: None if value is None else int(value * factor)


def only(keep: Callable[[dict[str, Any]], bool]) -> Callable[[Rows], Rows]:
    return lambda rows: [row for row in rows if keep(row)]


def again(rows: Rows, count: int) -> Rows:
    # keys that differ only for the landing, which drops a row that comes twice with one key
    return [*rows, *({**row, "flight_id": f"{row['flight_id']}x"} for row in rows[:count])]


def without(column: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{name: value for name, value in row.items() if name != column} for row in rows]


ALL = 10_000
JFK = "row count where origin = 'JFK'"
LISTED = "origin in EWR, JFK, LGA"
AIRPORTS = f"query {NOT_AN_AIRPORT[:60]}..."
PLANES = f"query {IN_THREE_PLACES[:60]}..."
TAIL = "tailnum matches ^[A-Z0-9]{5,6}$"
SCHEDULE = "expression sched_dep_time = hour * 100 + minute"
REJECTS = "share of rejects"
NOWHERE = "expression origin <> dest"
SAME_FLIGHT = "unique carrier, flight, origin, sched_dep_time, time_hour"
ENOUGH, AS_THE_SOURCE = "row count min 500", "row count within 0% of source"
LIKE_THE_LAST, LIKE_OTHERS = "row count within 40% of same weekday", "row count within 45% of trailing 7 runs"
# the columns that a check looks at, where they are others than those that its fault changes
READ = {SCHEDULE: {"hour", "minute", "sched_dep_time"}, NOWHERE: {"origin", "dest"}}
FAULTS: Mapping[str, tuple[Callable[[Rows], Rows], str]] = {
    "a carrier is missing": (first(1, carrier=None), "carrier not null"),
    "ten carriers are missing": (first(10, carrier=None), "carrier not null"),
    "all carriers are missing": (first(ALL, carrier=None), "carrier not null"),
    "an origin is missing": (first(1, origin=None), "origin not null"),
    "a destination is missing": (first(1, dest=None), "dest not null"),
    "a time is missing": (first(1, time_hour=None), "time_hour not null"),
    "an airport is misspelt": (first(1, origin="JFC"), LISTED),
    "an airport is in small letters": (first(1, origin="jfk"), LISTED),
    "an airport has a blank": (first(1, origin="JFK "), LISTED),
    "an airport is another city's": (first(1, origin="PHL"), LISTED),
    "an airport is empty text": (first(1, origin=""), LISTED),
    "an airport that no one knows": (first(1, origin="QQQ"), AIRPORTS),
    "a distance is negative": (first(1, distance=-1), "distance between 10 and 5000"),
    "a distance is zero": (first(1, distance=0), "distance between 10 and 5000"),
    "a distance is a default of nines": (first(1, distance=99999), "distance between 10 and 5000"),
    "an hour is 24": (first(1, hour=24), "hour between 0 and 23"),
    "a minute is 60": (first(1, minute=60), "minute between 0 and 59"),
    "a minute is negative": (first(1, minute=-1), "minute between 0 and 59"),
    "tail numbers are in small letters": (first(50, tailnum=lambda _: "n12345"), TAIL),
    "tail numbers are question marks": (first(50, tailnum="???"), TAIL),
    "tail numbers are empty": (first(50, tailnum=""), TAIL),
    "tail numbers have blanks": (first(50, tailnum=lambda value: f"{value} "), TAIL),
    "tail numbers are cut off": (first(50, tailnum="N1"), TAIL),
    "tail numbers are too long": (first(50, tailnum="N1234567"), TAIL),
    "a carrier has three letters": (first(1, carrier="UAL"), "carrier length min 2, max 2"),
    "a carrier has one letter": (first(1, carrier="U"), "carrier length min 2, max 2"),
    "a destination has four letters": (first(1, dest="KLAX"), "dest length min 3, max 3"),
    "a destination is empty": (first(1, dest=""), "dest length min 3, max 3"),
    "a carrier that is not an airline": (first(1, carrier="ZZ"), "carrier in airlines.carrier"),
    "a carrier in small letters": (first(1, carrier="ua"), "carrier in airlines.carrier"),
    "many carriers that are not airlines": (every(10, carrier="QQ"), "carrier in airlines.carrier"),
    "nothing came": (lambda _: [], ENOUGH),
    "a third came": (only(lambda row: row["origin"] == "EWR"), LIKE_THE_LAST),
    "half of the day came": (only(lambda row: row["hour"] < 11), LIKE_OTHERS),
    "it all came twice": (lambda rows: again(rows, ALL), LIKE_OTHERS),
    "three rows were lost": (lambda rows: rows[3:], AS_THE_SOURCE),
    "one row was lost": (lambda rows: rows[1:], AS_THE_SOURCE),
    "one row came twice": (lambda rows: again(rows, 1), AS_THE_SOURCE),
    "a flight has two keys": (lambda rows: again(rows[1:], 1), SAME_FLIGHT),
    "one airport is missing": (only(lambda row: row["origin"] != "JFK"), JFK),
    "one airport is nearly missing": (only(lambda row: row["origin"] != "JFK" or row["hour"] < 8), JFK),
    "one airport is all of it": (first(ALL, origin="JFK"), JFK),
    "distances that are not numbers": (every(50, distance="n/a"), REJECTS),
    "hours that are times": (every(50, hour="5:15"), REJECTS),
    "times that are not": (every(50, time_hour="2013-02-30"), REJECTS),
    "distances are in kilometres": (first(ALL, distance=times(1.609)), "distance mean"),
    "half of the distances are in kilometres": (every(2, distance=times(1.609)), "distance mean"),
    "distances are halved": (first(ALL, distance=times(0.5)), "distance sum"),
    "distances are a default": (first(ALL, distance=100), "distance sum"),
    "distances are doubled": (first(ALL, distance=times(2)), "distance distribution"),
    "short distances are missing": (first(ALL, distance=lambda value: max(value, 900)), "distance distribution"),
    "long distances are cut": (first(ALL, distance=lambda value: min(value, 1200)), "distance distribution"),
    "times in the air are in seconds": (first(ALL, air_time=times(60)), "air_time mean"),
    "times in the air are in hours": (first(ALL, air_time=times(1 / 60)), "air_time mean"),
    "some times in the air are in seconds": (every(20, air_time=times(60)), "air_time mean"),
    "half of the tail numbers are missing": (every(2, tailnum=None), "tailnum distribution"),
    "all tail numbers are one": (first(ALL, tailnum="N14228"), "tailnum distribution"),
    "half of the tail numbers are one": (every(2, tailnum="N14228"), "tailnum distribution"),
    "all carriers are one": (first(ALL, carrier="UA"), "carrier distribution"),
    "a carrier took over another": (
        first(ALL, carrier=lambda value: "UA" if value in ("B6", "EV") else value),
        "carrier distribution",
    ),
    "a column is new": (first(ALL, gate="A1"), "schema unchanged"),
    "a column is missing": (without("flight"), "schema unchanged"),
    "a column has another name": (
        lambda rows: [{**without("flight")([row])[0], "flight_number": row["flight"]} for row in rows],
        "schema unchanged",
    ),
    "a flight that goes nowhere": (first(1, dest="EWR", origin="EWR"), NOWHERE),
    "schedules are shifted by an hour": (first(ALL, hour=lambda value: value + 1), SCHEDULE),
    "a schedule is of another flight": (first(1, sched_dep_time=lambda value: value + 1), SCHEDULE),
    "a plane is in three places": (
        lambda rows: [
            {**row, "tailnum": "N14228", "time_hour": rows[0]["time_hour"], "origin": ("EWR", "JFK", "LGA")[place]}
            if place < 3
            else row
            for place, row in enumerate(rows)
        ],
        PLANES,
    ),
    "it is last week's data": (first(ALL, time_hour="2013-01-10 10:00:00+00"), "freshness"),
}


def loads_of_faults() -> list[list[str]]:
    """The names of faults, those in one list that no check looks at together: what one check finds is one fault."""
    loads: list[tuple[list[str], set[str]]] = []
    for name, (fault, check) in FAULTS.items():
        # what rejects rows takes those of other faults with it
        alone = not isinstance(fault, Changed) or check == REJECTS
        columns = {"*"} if alone else {*fault.values, *READ.get(check, ())}
        free = next((load for load in loads if "*" not in load[1] | columns and not load[1] & columns), None)
        if free is None:
            loads.append(free := ([], set()))
        free[0].append(name)
        free[1].update(columns)
    return [names for names, _ in loads]


def planted(rows: Rows, names: Sequence[str]) -> Rows:
    for name in names:
        rows = FAULTS[name][0](rows)
    return rows


def test_there_are_sixty_faults_and_more():
    assert len(FAULTS) >= 60


@pytest.mark.duckdb
@pytest.mark.timeout(3600 if YEAR else 300)
def test_each_fault_is_found_by_its_check_and_nothing_in_clean_days(line):
    """One story, as each day builds on those before it."""
    for on in all_days():
        assert line.failed(on, line.days[on]) == set(), on
    clean = line.days[LAST]
    assert line.failed(LAST, clean) == set()
    missed = {}
    for names in loads_of_faults():
        found = line.failed(LAST, planted(clean, names))
        missed |= {name: found for name in names if FAULTS[name][1] not in found}
    assert missed == {}
    # a key of another load is a repeated one
    yesterday = LAST - timedelta(days=1)
    repeated = [{**clean[0], "flight_id": line.days[yesterday][0]["flight_id"]}, *clean[1:]]
    assert line.failed(LAST, repeated) == {"flight_id unique"}
    # after all that the day as it is passes again
    assert line.failed(LAST, clean) == set()
    # a window that was left out is found by the one after it, and a type that grew stays so
    later = LAST + timedelta(days=2)
    numbered = [{**row, "flight": row["flight"] + 0.5} for row in clean]
    found = line.failed(later, [{**row, "flight_id": f"{row['flight_id']}x"} for row in numbered])
    assert {"no gaps", "schema unchanged"} <= found


OF_ROWS = {"not_null", "length", "regex", "accepted_values", "between", "expression"}


def of_single_rows(severity: str) -> FilesSource:
    """The config with its checks of single rows alone."""
    config = copy.deepcopy(CONFIG)
    columns, quality = config["tables"]["tab"]["columns"].values(), config["quality"]
    for checks, holder, key in [
        *((c.get("checks", ()), c, "checks") for c in columns),
        (quality["tab"], quality, "tab"),
    ]:
        chosen = [check for check in checks if OF_ROWS.intersection(check)]
        holder[key] = [{**check, "severity": severity, "max_failing": 0} for check in chosen]
    return FilesSource.model_validate(config)


@dataclass(frozen=True)
class SetAside:
    """The table of flights, whose checks have a severity."""

    checked: Checked

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, severity: str) -> Iterator["SetAside"]:
        connection = Connection("warehouse", conn_type="duckdb", host=str(folder / "warehouse.duckdb"))
        with open_warehouse(connection, folder, print) as warehouse:
            yield cls(Checked(warehouse, of_single_rows(severity), folder / "landing"))

    def replay(self) -> None:
        place = LocalPlace(self.checked.base / "replays")
        replay(self.checked.warehouse, Replaying(self.checked.config, "tab", place, "", "replay", print))

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.checked.warehouse.query(statement).rows]

    def open_rejects(self) -> list[str]:
        return [why for (why,) in self.query("SELECT reason FROM _elt.rejects WHERE state = 'open' ORDER BY ordinal")]

    def accounts(self) -> list[tuple[int, ...]]:
        return self.query("SELECT rows_read, rows_loaded, rows_rejected FROM _elt.loads ORDER BY loaded_at")

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table, as the days have them."""
        names = ", ".join(NAMES)
        found = [dict(zip(NAMES, row, strict=True)) for row in self.query(f"SELECT {names} FROM src.tab")]
        return by_key(found)


NAMES = (
    *("flight_id", "carrier", "flight", "tailnum", "origin", "dest", "distance", "air_time"),
    *("hour", "minute", "sched_dep_time", "time_hour"),
)


def by_key(rows: Rows) -> Rows:
    return sorted(({**row, "time_hour": moment(row["time_hour"])} for row in rows), key=lambda row: row["flight_id"])


def moment(value: Any) -> Any:
    read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return read.replace(tzinfo=UTC) if read and read.tzinfo is None else read


def replay_until(folder: Path, statement: str) -> None:
    """A replay whose process is killed behind a statement."""
    with SetAside.opened(folder, "warn") as table:
        real = table.checked.warehouse.execute

        def then_killed(said: Any, *more: Any) -> Any:
            answer = real(said, *more)
            if statement in str(said).replace('"', ""):
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        table.checked.warehouse.execute = then_killed  # type: ignore[method-assign]
        table.replay()


def faults_of_rows() -> list[tuple[Changed, str]]:
    config = of_single_rows("quarantine")
    checks = named_checks(config.tables["tab"], config.quality["tab"])
    named = {one.name for one in (*checks.of_columns, *checks.of_table)}
    return [(fault, c) for fault, c in FAULTS.values() if isinstance(fault, Changed) and fault.count and c in named]


@pytest.mark.duckdb
@pytest.mark.timeout(300)
def test_rows_with_faults_are_set_aside_and_a_replay_by_other_checks_brings_back_every_one(days, tmp_path):
    clean, faults = days[LAST], faults_of_rows()
    assert len(faults) >= 30
    rows = [fault.row(row) for (fault, _), row in zip(faults, clean, strict=False)] + clean[len(faults) :]
    with SetAside.opened(tmp_path, "quarantine") as table:
        table.checked.load(clean)
        assert table.open_rejects() == []
        table.checked.load(rows)
        reasons = table.open_rejects()
        assert [
            (check, why) for (_, check), why in zip(faults, reasons, strict=True) if not sets_aside(check, why)
        ] == []
        # the rest goes on
        assert table.rows() == by_key(clean[len(faults) :])
        account = table.accounts()
        assert account == [(len(rows), len(rows) - len(faults), len(faults))]
        found = {result.check: result for result in table.checked.check()}
        assert {found[check].status for _, check in faults} == {"warned"}
        tails = sum(check == TAIL for _, check in faults)
        assert (found[TAIL].failing_rows, found[TAIL].message) == (tails, f"{tails} rows are set aside")
    processes = Forked()
    for statement in ("INSERT INTO src.tab", "reject_states"):
        process = processes.Process(target=replay_until, args=(tmp_path, statement))
        process.start()
        process.join(100)
        assert process.exitcode == -signal.SIGKILL, statement
    with SetAside.opened(tmp_path, "warn") as table:
        assert (table.open_rejects(), table.accounts()) == (reasons, account)
        table.replay()
        assert table.open_rejects() == []
        assert table.rows() == by_key(rows)
        assert table.accounts() == [*account, (len(faults), len(faults), 0)]
