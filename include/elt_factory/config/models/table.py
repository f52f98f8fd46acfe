"""What every table may say, whatever its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.models.base import Model
from elt_factory.config.models.checks import ColumnCheck
from elt_factory.config.models.cursor_rules import cursor_mistakes
from elt_factory.config.models.deadlines import Deadline
from elt_factory.config.models.deletes import Deletes, delete_mistakes
from elt_factory.config.models.durations import Lag
from elt_factory.config.models.reject_limit import RejectLimit
from elt_factory.config.models.retention import RowRetention
from elt_factory.config.models.split import Split
from elt_factory.config.models.templates import CURSOR, WINDOW_NAMES, Use
from elt_factory.config.models.time_formats import TimeFormat
from elt_factory.config.models.values import Beginning, ColumnName, ColumnType, Condition, Flag, TimeZone, Type, Whole

WriteDisposition = Literal["append", "merge", "replace", "scd2"]
# scd2 alone writes _valid_from and _valid_to, tables that files are appended to _file_id, soft deletes _deleted_at;
# they are kept free everywhere so that a table can be written otherwise later
RESERVED_COLUMNS = ("_load_id", "_loaded_at", "_valid_from", "_valid_to", "_file_id", "_deleted_at")
# begins the name of a column that is being widened, for the moment that it takes
RESERVED_PREFIX = "_widened_"
# begins the name that a source's column gets where its own is reserved
SOURCE_PREFIX = "_source"
# YAML reads the word null without quotes as no value; here it is one
OnBadValue = Annotated[
    Literal["reject", "null"] | None, BeforeValidator(lambda value: "null" if value is None else value)
]
TIMES = ("timestamp", "datetime", "date")
SchemaContract = Literal["evolve", "freeze", "discard_row", "discard_value"]


Path = tuple[str | int, ...]


class Column(Model):
    """A column: its type, protection and checks."""

    type: Type | None = Field(None, description="Type. By default, inferred from the data.", examples=["decimal(18,2)"])
    format: TimeFormat | None = Field(
        None,
        description=(
            "How a date or time is written, for those that are not in ISO 8601: epoch, epoch_ms, or a pattern like "
            "%d/%m/%Y %H:%M. Without an offset (%z) a timestamp is in UTC."
        ),
        examples=["epoch", "%d/%m/%Y"],
    )
    description: str = Field("", description="Meaning of the column.", examples=["Great-circle distance, miles"])
    nullable: Flag = Field(
        True, description="Whether NULL is allowed. If false, rows without a value are rejected.", examples=[False]
    )
    on_bad_value: OnBadValue = Field(
        None,
        description=(
            "What to do with a value that the column cannot hold, such as a word in a number, NaN in a decimal or a "
            "text of more than 16 MB: reject rejects the row; null keeps the row without the value and counts it in "
            "values_discarded. By default, reject, or null if schema_contract is discard_value."
        ),
        examples=["null"],
    )
    pii: Literal["hash", "drop"] | None = Field(
        None, description="Personal data: hash stores only a SHA-256 hash, drop stores nothing.", examples=["hash"]
    )
    checks: tuple[ColumnCheck, ...] = Field(
        (), description="Checks on the column's values.", examples=[[{"between": [0, 6000]}]]
    )

    @model_validator(mode="after")
    def _format_of_a_time(self) -> Self:
        if self.format and (self.type is None or self.type.name not in TIMES):
            hint = f"add type: {', '.join(TIMES[:-1])} or {TIMES[-1]}"
            raise MistakeError("format needs the type of a date or time", hint, at=("format", KEY), code="conflict")
        return self


class Incremental(Model):
    """Read only new rows, by a column that grows."""

    plain_key: ClassVar[str] = "cursor"

    cursor: ColumnName = Field(description="Column that grows with every change.", examples=["updated_at"])
    lag: Lag = Field(
        "0s",
        validate_default=True,
        description=(
            "How far before the window to read again, for rows that arrive late: a duration, or, for a numeric "
            "cursor, the distance below the last value. Rows read again are recognized by their key."
        ),
        examples=["1h", 1000],
    )
    initial: Beginning | None = Field(
        None,
        description=(
            "Number at which the first load starts. Of a time, where a full refresh begins: any other run reads its "
            "window."
        ),
        examples=["2013-01-01", 0],
    )
    timezone: TimeZone | None = Field(
        None,
        description=(
            "Time zone of a cursor that has none (datetime, date): windows and `initial` are compared in it. "
            "By default, the config's `timezone`."
        ),
        examples=["UTC"],
    )
    null_cursor: Literal["include", "ignore", "fail"] | None = Field(
        None,
        description=(
            "What to do with database rows whose cursor is NULL, which no window matches. include reads them with "
            "every load and stores each once; ignore skips them; fail fails the load. They are always counted "
            "and reported. By default, include for merge and replace, ignore for append and scd2."
        ),
        examples=["include"],
    )
    late_commits: Literal["wait", "ignore"] | None = Field(
        None,
        description=(
            "Whether a load waits for transactions that are writing to the table when it starts, so that rows they "
            "commit later, below the last cursor, are not skipped. By default, wait with PostgreSQL; other databases "
            "do not report open transactions, so use a `lag` there."
        ),
        examples=["wait"],
    )

    outside_window: Literal["keep", "drop"] = Field(
        "keep",
        description=(
            "Whether to load rows whose cursor, a time, is outside the window (with its lag). drop counts them as "
            "rows_filtered: for sources that send everything, whatever they are asked for. Where append without a key "
            "asks an API with one end of the window, rows beyond the other one are left out, too."
        ),
        examples=["drop"],
    )

    @property
    def time_lag(self) -> timedelta:
        """How far the window reaches back; nothing where the lag is a number."""
        return timedelta() if isinstance(self.lag, int) else self.lag

    @property
    def number_lag(self) -> int:
        """How far below the last value a number is read again; 0 where the lag is a duration."""
        return self.lag if isinstance(self.lag, int) else 0


class Table(Model):
    """A table: its keys, how it is written, its contract."""

    # whether the source is a database, which can be asked for the rows without a cursor
    asks_by_cursor: ClassVar[bool] = False
    # whether the records come from files, of which the ledger says which were loaded
    of_files: ClassVar[bool] = False

    description: str = Field("", description="Meaning of one row.", examples=["One departure from New York"])
    primary_key: tuple[ColumnName, ...] = Field(
        (), description="Columns that identify a row.", examples=[["flight_id"]]
    )
    write_disposition: WriteDisposition = Field(
        "append",
        description=(
            "append adds rows; merge replaces rows with the same key; replace replaces the whole table; scd2 keeps "
            "every version of a row with _valid_from and _valid_to. With incremental, a version is valid from its "
            "cursor value on; without, each load is a full snapshot at the end of its window, and rows it lacks end."
        ),
        examples=["merge"],
    )
    incremental: Incremental | None = Field(
        None, description="Read only new and changed rows.", examples=[{"cursor": "updated_at", "lag": "1h"}]
    )
    business_date: ColumnName | None = Field(
        None,
        description="Column that holds when the event happened (not when it was loaded).",
        examples=["time_hour"],
    )
    schema_contract: SchemaContract = Field(
        "evolve",
        description=(
            "How schema changes are handled: evolve adds new columns, widens numbers without a declared type, and "
            "rejects rows whose value does not fit its type; "
            "freeze fails the load; discard_row rejects the row; discard_value drops the value."
        ),
        examples=["freeze"],
    )
    where: Condition | None = Field(
        None,
        description=(
            "SQL condition for the rows to load, on the columns as they are loaded (DuckDB's SQL). Other rows are "
            "counted as rows_filtered."
        ),
        examples=["status <> 'draft'"],
    )
    rejects: RejectLimit = Field(
        RejectLimit(),
        description=(
            "Rows that may be rejected. A load with more fails before it changes the table: its rows are counted as "
            "rows_withheld, its rejects are in `_elt.rejects`. A load without a valid row always fails."
        ),
        examples=[{"max": "1%", "or": 100}],
    )
    deadline: Deadline | None = Field(
        None, description="Time by which a run must have loaded this table.", examples=[{"by": "05:00"}]
    )
    retention: RowRetention | None = Field(
        None,
        description="How long to keep rows. By default, indefinitely.",
        examples=[{"rows": "400d", "by": "order_date"}],
    )
    max_columns: Whole = Field(
        1000,
        ge=1,
        le=10_000,
        description=(
            "Maximum number of columns; a load that would add more fails. Declared columns do "
            "not count. Guards against sources whose keys are ids or dates."
        ),
        examples=[2000],
    )
    columns: dict[ColumnName, Column] = Field(
        {},
        description="Columns to type, protect or check. Other columns are inferred.",
        examples=[{"distance": {"type": "integer"}}],
    )
    transient: Flag = Field(
        False,
        description=(
            "Whether to create a transient table in Snowflake, which costs less because it has no fail-safe copy. "
            "Ignored by DuckDB."
        ),
        examples=[True],
    )
    cluster_by: tuple[ColumnName, ...] = Field(
        (),
        description="Columns to cluster a new table by, for large tables in Snowflake. Ignored by DuckDB.",
        examples=[["time_hour"]],
    )

    @property
    def aged_by(self) -> str | None:
        """The column by which old rows are found; None where all are kept."""
        return (self.retention.by or self.business_date) if self.retention else None

    @property
    def null_cursor(self) -> Literal["include", "ignore", "fail"]:
        """What happens to the rows without a cursor value."""
        chosen = self.incremental.null_cursor if self.incremental else None
        return chosen or ("include" if self.write_disposition in ("merge", "replace") else "ignore")

    @property
    def cursor_zone(self) -> str | None:
        """The clock of a cursor without a time zone, where it is another than the config's."""
        return self.incremental.timezone if self.incremental else None

    @property
    def version_key(self) -> tuple[str, ...]:
        """The columns that tell one landed row from another: a history by cursor has many rows of one primary key."""
        if self.write_disposition == "scd2" and self.incremental:
            return (*self.primary_key, self.incremental.cursor)
        return self.primary_key

    @property
    def types(self) -> dict[str, ColumnType]:
        """The types of the columns that the YAML gives one."""
        return {name: column.type for name, column in self.columns.items() if column.type}

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        return {}

    @property
    def column_of_file(self) -> str | None:
        """The column to add with the name of the file that a row came from; None for no such column."""
        return None

    @property
    def parents(self) -> Sequence[str]:
        """The tables of the same config whose landings this one is read with."""
        return ()

    @property
    def query_of_keys(self) -> str | None:
        """The query whose rows this one is read with: of its parents, else of the warehouse; None for no query."""
        return None

    @property
    def columns_of_parent(self) -> Sequence[str]:
        """The columns of the rows that this one is read with."""
        return ()

    @property
    def follows_deletes(self) -> Deletes | None:
        """How the rows are found that the source has deleted; None where no one looks."""
        return None

    @property
    def takes_what_is_new(self) -> bool:
        """Whether each file is loaded once, by the ledger."""
        return False

    @property
    def takes_window(self) -> bool:
        """Whether the source is asked for what is new by templates."""
        return any(use.name in WINDOW_NAMES for found in self.templates.values() for use in found)

    @property
    def keeps_token(self) -> bool:
        """Whether a load begins with a token that the API gave to the load before it."""
        return False

    @property
    def has_job(self) -> bool:
        """Whether the source does a job for a load, whose results are read when it is done."""
        return False

    @property
    def in_parts(self) -> Split | None:
        """How the table is spread over tasks; None for one that a single task reads."""
        return None

    @property
    def parts_by_key(self) -> bool:
        """Whether the parts of a split are ranges of the key, so that two of them have none in common."""
        return False

    @property
    def stored_in(self) -> tuple[str, str] | None:
        """The schema and the name of the table, where another system loads it; None for that of the config."""
        return None

    @property
    def written(self) -> str:
        """How it is written, for people."""
        return self.write_disposition

    @property
    def leaves_out(self) -> frozenset[Literal["after", "before"]]:
        """On which sides of the window rows are left out by their cursor."""
        drops = self.incremental is not None and self.incremental.outside_window == "drop"
        return frozenset({"after", "before"} if drops else ())

    @property
    def counts_on(self) -> bool:
        """Whether a load begins at the cursor that the load before it left, so that one has to follow the other."""
        takes_cursor = any(use.name == CURSOR for found in self.templates.values() for use in found)
        return takes_cursor and self.counts_by_number

    @property
    def counts_by_number(self) -> bool:
        """Whether the cursor is a number, as its beginning says."""
        return self.incremental is not None and isinstance(self.incremental.initial, int)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        found = (_key_mistakes, _history_mistakes, cursor_mistakes, delete_mistakes, _name_mistakes)
        raise_found([mistake for look in found for mistake in look(self)])
        return self


def _key_mistakes(table: Table) -> Iterator[MistakeError]:
    disposition = table.write_disposition
    if disposition in ("merge", "scd2") and not table.primary_key:
        hint = "add primary_key: with the columns that identify a row"
        yield MistakeError(f"{disposition} needs a primary_key", hint, at=("write_disposition",), code="conflict")
    for where, names in (("primary_key", table.primary_key), ("cluster_by", table.cluster_by)):
        for index, name in enumerate(names):
            if name in names[:index]:
                yield MistakeError(f'"{name}" is repeated', "keep one of them", at=(where, index), code="conflict")


def _history_mistakes(table: Table) -> Iterator[MistakeError]:
    """Yield what keeps a cursor from saying since when a version holds."""
    incremental = table.incremental
    if table.write_disposition != "scd2" or incremental is None:
        return
    hint = "choose a column that holds when a row changed, or remove incremental to read the whole table"
    if isinstance(incremental.initial, int):
        message = "scd2 needs a time as its cursor, but initial is a number"
        yield MistakeError(message, hint, at=("incremental", "initial"), code="conflict")
        return
    if incremental.cursor in table.primary_key:
        message = f'"{incremental.cursor}" is part of the primary_key, so no key would ever have a second version'
        yield MistakeError(message, hint, at=("incremental", "cursor"), code="conflict")
    column = table.columns.get(incremental.cursor)
    if column and (column.pii == "hash" or (column.type and column.type.name not in TIMES)):
        kind = "hashed" if column.pii == "hash" else str(column.type)
        message = f'scd2 needs a time as its cursor, but "{incremental.cursor}" is {kind}'
        yield MistakeError(message, hint, at=("incremental", "cursor"), code="conflict")


def _name_mistakes(table: Table) -> Iterator[MistakeError]:
    """Column names that the warehouse cannot hold next to ELT Factory's own, or next to each other."""
    for name, where in _named_columns(table).items():
        if is_reserved(name):
            hint = f"for the source's column of that name, write {loaded_name(name)}, the name it is loaded under"
            yield MistakeError(f'column name "{name}" is reserved', hint, at=where, code="bad-name")
    seen: dict[str, str] = {}
    for name in table.columns:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            message = f'"{name}" differs from "{other}" only by case, which warehouses cannot tell apart'
            yield MistakeError(message, "keep one of them", at=("columns", name, KEY), code="conflict")


def is_reserved(name: str) -> bool:
    """Whether ELT Factory keeps a column name for itself."""
    folded = name.casefold()
    return folded in RESERVED_COLUMNS or folded.startswith(RESERVED_PREFIX)


def loaded_name(name: str) -> str:
    """Return the name under which a source's column is loaded: its own, but a reserved one begins with `_source`.

    No two columns get one name: `_load_id` becomes `_source_load_id`, and a column that the source itself calls
    `_source_load_id` becomes `_source_source_load_id`.
    """
    return f"{SOURCE_PREFIX}{name}" if _is_reserved_below(name) else name


def source_name(name: str) -> str:
    """Return what the source calls a column: the inverse of `loaded_name`."""
    inner = name[len(SOURCE_PREFIX) :]
    return inner if name.casefold().startswith(SOURCE_PREFIX) and _is_reserved_below(inner) else name


def _is_reserved_below(name: str) -> bool:
    """Whether a name is reserved once every `_source` before it is removed."""
    folded = name.casefold()
    while not is_reserved(folded) and folded.startswith(SOURCE_PREFIX):
        folded = folded[len(SOURCE_PREFIX) :]
    return is_reserved(folded)


def _named_columns(table: Table) -> dict[str, tuple[str | int, ...]]:
    """Every column that the config names, and where."""
    places: list[tuple[str, tuple[str | int, ...]]] = [(name, ("columns", name, KEY)) for name in table.columns]
    if table.business_date:
        places.append((table.business_date, ("business_date",)))
    if table.incremental:
        places.append((table.incremental.cursor, ("incremental", "cursor")))
    places += [(name, ("cluster_by", index)) for index, name in enumerate(table.cluster_by)]
    places += [(name, ("primary_key", index)) for index, name in enumerate(table.primary_key)]
    return dict(places)
