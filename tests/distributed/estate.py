"""The sources of the distributed test: their configs, their rows, and what the warehouse must have in the end."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

PAGE, ROWS = 20, 50
LIMITED_ROWS = 160
# of the third, sixth, ... table of a source every tenth row cannot be read
BROKEN_ONE_IN = 10

LOADING = """
name: {name}
schedule: null
start_date: 2013-01-01
retries: {{count: 10, delay: 2s, max_delay: 10s}}
extract:
  type: rest_api
  connection: {connection}
  paginator: {{type: cursor, cursor_path: next, cursor_param: page}}{limit}
tables:
"""
TABLE = """  {table}:
    path: /rows/{name}/{table}
    params: {{since: "{{{{ window.start }}}}", until: "{{{{ window.end }}}}"}}
    records: rows
    write_disposition: {disposition}{key}
    columns:
      id: {{type: text}}
      day: {{type: date}}
      amount: {{type: integer}}
      note: {{type: text}}
"""
SIMPLE = """
name: {name}
schedule: {schedule}
start_date: 2013-01-01{ends}
retries: {{count: 10, delay: 2s, max_delay: 10s}}
extract: {{type: files, connection: inbox}}
tables: {{t: {{path: input.csv, primary_key: [id], write_disposition: merge}}}}
"""
LATE = """
sensors: {before_extract: [{file: {path: weather_is_there}, poke_interval: 2s}]}
"""
CROWD = """
deadline: {within: 5s}
alerts: {on: [deadline_missed], to: [receiver]}
sensors:
  before_extract:
"""
DISPOSITIONS = ("append", "merge", "append")
LIMIT = 4  # requests a second


@dataclass(frozen=True)
class Size:
    """How much the distributed test does."""

    sources: int
    tables: int
    sensors: int
    minutes: float = 0.0

    @property
    def concurrency(self) -> int:
        """How many tasks a worker runs at a time."""
        return 2 if self.minutes else 1

    @property
    def limited_tables(self) -> int:
        """As many as both workers together run at a time, so that each has some."""
        return 2 * self.concurrency

    @property
    def names(self) -> list[str]:
        return [f"source_{number:02}" for number in range(self.sources)]

    @property
    def table_names(self) -> list[str]:
        return [f"table_{number}" for number in range(self.tables)]


def rows_of(source: str, table: str, day: str) -> list[dict[str, object]]:
    """The rows that a table of a source has of a day."""
    seed = int(hashlib.sha256(f"{source} {table} {day}".encode()).hexdigest()[:8], 16)
    breaks = int(table.rpartition("_")[2]) % 3 == 2
    rows: list[dict[str, object]] = []
    for number in range(LIMITED_ROWS if source == "limited" else ROWS):
        amount = (seed * (number + 1)) % 1_000_003
        value: object = "not a number" if breaks and number % BROKEN_ONE_IN == 0 else amount
        rows.append({"id": f"{day}-{number}", "day": day, "amount": value, "note": f"{source} {amount:x} é"})
    return rows


def good_rows(source: str, table: str, day: str) -> list[tuple[object, ...]]:
    """Those of them that can be loaded."""
    return [tuple(row.values()) for row in rows_of(source, table, day) if isinstance(row["amount"], int)]


def checksum(rows: Iterable[tuple[object, ...]]) -> tuple[int, int]:
    """How many rows there are, and a sum over them in which their order does not matter."""
    total = count = 0
    for row in rows:
        total += int.from_bytes(hashlib.sha256("|".join(map(str, row)).encode()).digest()[:8])
        count += 1
    return count, total


def configs_of(size: Size) -> dict[str, str]:
    """The YAML of each source, by its name."""
    daily = '"0 0 * * *"'
    waits = "".join(f"    - {{file: {{path: none_{number}}}}}\n" for number in range(size.sensors))
    limit = f"\n  rate_limit: {LIMIT}/second"
    return {
        # one day only: each runs by itself as soon as it is switched on
        "flights": _simple("flights", daily, "\nend_date: 2013-01-01"),
        "weather": _simple("weather", daily, "\nend_date: 2013-01-01") + LATE,
        "departures": _simple("departures", "{assets: [flights, weather]}"),
        "arrivals": _simple("arrivals", "{assets: [flights]}"),
        "crowd": _simple("crowd", "null") + CROWD + waits,
        "limited": _loading("limited", size.limited_tables, "limited_api", limit),
        **{name: _loading(name, size.tables, "shop_api", "") for name in size.names},
    }


def _simple(name: str, schedule: str, ends: str = "") -> str:
    return SIMPLE.format(name=name, schedule=schedule, ends=ends)


def _loading(name: str, tables: int, connection: str, limit: str) -> str:
    text = LOADING.format(name=name, connection=connection, limit=limit)
    for number in range(tables):
        disposition = DISPOSITIONS[number % len(DISPOSITIONS)]
        key = "\n    primary_key: [id]" if disposition == "merge" else ""
        text += TABLE.format(name=name, table=f"table_{number}", disposition=disposition, key=key)
    return text
