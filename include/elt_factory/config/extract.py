"""How each kind of source is reached: `extract:` and what its tables add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from elt_factory.config import secrets
from elt_factory.config.base import Model
from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.source import Extract, Source
from elt_factory.config.table import Path, Table, is_reserved
from elt_factory.config.templates import Use, Verbatim, check_template, query_uses, uses
from elt_factory.config.values import (
    ColumnName,
    ConnectionId,
    FileTemplate,
    FolderPath,
    Name,
    PositiveDuration,
    Query,
    RequestRate,
    Scalar,
    Text,
    Whole,
)

_MAX_PAGES = 100_000
_CONNECTION = "Airflow connection that holds the address and credentials."


class ApiKeyAuth(Model):
    """Send the connection's password in a header, or as a query parameter."""

    type: Literal["api_key"]
    header: Text = Field("X-API-Key", description="Name of the header.", examples=["X-API-Key"])
    param: Text | None = Field(
        None,
        description="Query parameter to send it in, for an API that does not accept a header.",
        examples=["api_key"],
    )


class BearerAuth(Model):
    """Send the connection's password as `Authorization: Bearer`."""

    type: Literal["bearer"]


class BasicAuth(Model):
    """Send the connection's login and password as HTTP basic authentication."""

    type: Literal["basic"]


class NoAuth(Model):
    """Send no credentials."""

    type: Literal["none"]


class SinglePage(Model):
    """All records come in one response."""

    type: Literal["single_page"]


class CursorPaginator(Model):
    """The response holds a cursor that the next request sends back; without one, pages end."""

    type: Literal["cursor"]
    cursor_path: Text = Field("next", description="Path of the cursor in the response.", examples=["meta.next"])
    cursor_param: Text = Field("cursor", description="Query parameter that carries the cursor.", examples=["cursor"])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class JsonLinkPaginator(Model):
    """The response holds the URL of the next page."""

    type: Literal["json_link"]
    next_url_path: Text = Field(
        "next", description="Path of the next page's URL in the response.", examples=["links.next", "@odata\\.nextLink"]
    )
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class HeaderLinkPaginator(Model):
    """The `Link` header holds the URL of the next page (RFC 8288)."""

    type: Literal["header_link"]
    rel: Text = Field("next", description="Link relation.", examples=["next"])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class OffsetPaginator(Model):
    """Pages are requested by offset and limit; an empty page marks the end."""

    type: Literal["offset"]
    limit: Whole = Field(1000, gt=0, description="Records per page.", examples=[500])
    limit_param: Text = Field("limit", description="Query parameter for the page size.", examples=["limit"])
    offset_param: Text = Field("offset", description="Query parameter for the offset.", examples=["offset"])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


class PageNumberPaginator(Model):
    """Pages are requested by number; an empty page marks the end."""

    type: Literal["page_number"]
    page_param: Text = Field("page", description="Query parameter for the page number.", examples=["page"])
    first_page: Whole = Field(1, ge=0, description="Number of the first page.", examples=[0])
    max_pages: Whole = Field(
        _MAX_PAGES, gt=0, description="Maximum pages per load; more are an error.", examples=[1_000_000]
    )


Auth = Annotated[ApiKeyAuth | BearerAuth | BasicAuth | NoAuth, Field(discriminator="type")]
Paginator = Annotated[
    SinglePage | CursorPaginator | JsonLinkPaginator | HeaderLinkPaginator | OffsetPaginator | PageNumberPaginator,
    Field(discriminator="type"),
]


def _check_headers(value: dict[str, str]) -> dict[str, str]:
    raise_found(secrets.in_headers(value))
    return value


Headers = Annotated[dict[str, Verbatim], AfterValidator(_check_headers)]


class RestApi(Extract):
    """A JSON API over HTTP."""

    type: Literal["rest_api"]
    connection: ConnectionId = Field(description=_CONNECTION, examples=["flights_api"])
    auth: Auth | None = Field(
        None,
        description=(
            "How credentials are sent. By default, basic when the connection has a login, "
            "or bearer when it has only a password."
        ),
        examples=[{"type": "api_key", "header": "X-API-Key"}],
    )
    headers: Headers = Field(
        {},
        description="Headers sent with every request. Secrets are refused.",
        examples=[{"Accept": "application/json"}],
    )
    paginator: Paginator = Field(
        SinglePage(type="single_page"),
        description="How to find the next page.",
        examples=[{"type": "cursor", "cursor_path": "next"}],
    )
    rate_limit: RequestRate | None = Field(
        None,
        description="Maximum request rate, shared by all tables and runs that use the connection on one machine.",
        examples=["500/minute"],
    )
    timeout: PositiveDuration = Field(
        "60s",
        validate_default=True,
        description="Time allowed for one request, from connecting to the last byte of the response.",
        examples=["30s"],
    )
    max_answer_mb: Whole = Field(
        256,
        gt=0,
        le=100_000,
        description="Maximum size of one response in megabytes, uncompressed. A larger response is an error.",
        examples=[1000],
    )
    incomplete: Literal["fail", "warn"] = Field(
        "fail",
        description=(
            "What to do when pages end although the response says there are more (has_more, a total, a next link): "
            "fail the task, or load what was read and log a warning."
        ),
        examples=["warn"],
    )


def _check_param(value: str | float) -> str | float:
    return check_template(value) if isinstance(value, str) else value


def _check_endpoint(value: str) -> str:
    if "://" in value:
        hint = "write only the path, like /v1/flights; the connection holds the rest"
        raise MistakeError("expected a path, got a full URL", hint)
    raise_found(secrets.in_path(value))
    return check_template(value)


def _check_params(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(secrets.in_params(value))
    return value


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
Param = Annotated[Scalar, AfterValidator(_check_param)]
Params = Annotated[dict[str, Param], AfterValidator(_check_params)]


class RestTable(Table):
    """A table read from one endpoint of a JSON API."""

    path: Endpoint = Field(description="Endpoint path, relative to the connection's address.", examples=["/v1/flights"])
    params: Params = Field(
        {},
        description="Query parameters. Secrets are refused.",
        examples=[{"since": "{{ window.start }}", "limit": 1000}],
    )
    records: Text | None = Field(
        None,
        description="Path of the list of records in the response. By default, the response itself is the list.",
        examples=["data.items"],
    )

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        texts = {name: text for name, text in self.params.items() if isinstance(text, str)}
        return {("path",): [*uses(self.path)], **{("params", name): [*uses(text)] for name, text in texts.items()}}

    @model_validator(mode="after")
    def _asks_for_what_it_appends(self) -> Self:
        # an API that is not asked for the window sends everything, and a window's load replaces that window's rows only
        if self.incremental and self.write_disposition == "append" and not (self.takes_window or self.counts_on):
            raise MistakeError(
                "every run would append all rows again: the request does not depend on the window",
                'add the window to params:, as in since: "{{ window.start }}", or use write_disposition: merge',
                at=("incremental", KEY),
                code="conflict",
            )
        if self.counts_on and self.write_disposition == "append":
            raise MistakeError(
                "append with a cursor is not repeatable: running again would append the same records twice",
                "use write_disposition: merge with a primary_key",
                at=("write_disposition",),
                code="conflict",
            )
        return self


class Sql(Extract):
    """A SQL database: PostgreSQL, SQLite, MySQL and MariaDB (`elt-factory[mysql]`), and others through SQLAlchemy."""

    type: Literal["sql"]
    connection: ConnectionId = Field(description=_CONNECTION, examples=["fleet_db"])
    schema_name: Text | None = Field(
        None,
        alias="schema",
        description="Schema of the tables, for databases that have schemas.",
        examples=["public"],
    )
    fetch_rows: Whole = Field(50_000, gt=0, description="Rows per fetch.", examples=[10_000])


class SqlTable(Table):
    """A table, view or query of a SQL database."""

    asks_by_cursor: ClassVar[bool] = True

    table: Text | None = Field(
        None, description="Name of the table in the source. By default, the same name as here.", examples=["planes"]
    )
    query: Query | None = Field(
        None,
        description="SELECT statement to read instead of a table. Templates are bound as values: do not quote them.",
        examples=["select * from planes where seats > {{ params.seats }}"],
    )

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        return {("query",): [*query_uses(self.query or "")]}

    @property
    def counts_on(self) -> bool:
        """Whether a load begins where the cursor of the load before it ended, so that one must follow the other."""
        return self.incremental is not None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.table is not None and self.query is not None:
            raise MistakeError(
                "`table` and `query` exclude each other", "keep one of them", at=("query", KEY), code="conflict"
            )
        return self


class Files(Extract):
    """Files in a folder."""

    type: Literal["files"]
    connection: ConnectionId | None = Field(
        None,
        description="Airflow connection of type fs whose path is the folder.",
        examples=["weather_files"],
    )
    folder: FolderPath | None = Field(
        None,
        description="Folder, relative to the connection's path or the project.",
        examples=["data/incoming"],
    )


class CsvFormat(Model):
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
        if self.names and self.header:
            hint = "add header: false, or remove names:"
            raise MistakeError(
                "`names` applies only to files without a header line", hint, at=("names", KEY), code="conflict"
            )
        folded = [name.casefold() for name in self.names]
        for index, name in enumerate(self.names):
            if name.casefold() in folded[:index]:
                message = f'column name "{name}" is repeated'
                raise MistakeError(message, "give every field a unique name", at=("names", index), code="conflict")
        return self


class NdjsonFormat(Model):
    """One JSON object per line."""

    type: Literal["ndjson"]


class ParquetFormat(Model):
    """Apache Parquet."""

    type: Literal["parquet"]


FileFormat = Annotated[CsvFormat | NdjsonFormat | ParquetFormat, Field(discriminator="type")]


class FilesTable(Table):
    """A table read from files, each in full."""

    of_files: ClassVar[bool] = True

    path: FileTemplate = Field(
        description=(
            "Name pattern below the folder: globs, and %Y %m %d %H for the periods that the window touches. append and "
            "merge load each file once, and again when its content changes; a file that arrives after its window was "
            "loaded is still found. `*` does not match hidden files; write `[[]` for a literal `[`."
        ),
        examples=["weather_%Y-%m.csv", "orders/*.csv", "{{ params.region }}/*.csv"],
    )
    format: FileFormat = Field(
        CsvFormat(type="csv"),
        description="File format.",
        examples=[{"type": "csv", "null_values": ["", "NA"]}],
    )

    file_column: ColumnName | None = Field(
        None,
        description="Name of a column to add that holds each row's file path, relative to the folder.",
        examples=["_file"],
    )

    @property
    def column_of_file(self) -> str | None:
        """The column to add with the name of the file that a row came from."""
        return self.file_column

    @model_validator(mode="after")
    def _file_column_is_free(self) -> Self:
        name = self.file_column
        if name is None:
            return self
        if is_reserved(name):
            raise MistakeError(
                f'column name "{name}" is reserved', "choose another name", at=("file_column",), code="bad-name"
            )
        if any(other.casefold() == name.casefold() for other in self.columns):
            hint = "remove it from columns:; the load fills it as text"
            raise MistakeError(f'"{name}" is also declared under columns', hint, at=("file_column",), code="conflict")
        return self

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        return {("path",): [*uses(self.path)]}

    @property
    def takes_what_is_new(self) -> bool:
        """Whether a load takes the files that are new or changed, and not all that its pattern means every time."""
        return self.write_disposition in ("append", "merge") or (
            self.write_disposition == "scd2" and self.incremental is not None
        )

    @property
    def takes_window(self) -> bool:
        """Whether the window picks the files."""
        return super().takes_window or "%" in self.path.replace("%%", "")


class RestSource(Source):
    """Tables from a JSON API."""

    extract: RestApi = Field(
        description="How to read the source.", examples=[{"type": "rest_api", "connection": "flights_api"}]
    )
    tables: dict[Name, RestTable] = Field(
        min_length=1, description="Tables to load.", examples=[{"flights": {"path": "/v1/flights"}}]
    )


class SqlSource(Source):
    """Tables from a SQL database."""

    extract: Sql = Field(description="How to read the source.", examples=[{"type": "sql", "connection": "fleet_db"}])
    tables: dict[Name, SqlTable] = Field(
        min_length=1,
        description="Tables to load.",
        examples=[{"planes": {"write_disposition": "replace"}}],
    )


class FilesSource(Source):
    """Tables from files."""

    extract: Files = Field(
        description="How to read the source.", examples=[{"type": "files", "connection": "weather_files"}]
    )
    tables: dict[Name, FilesTable] = Field(
        min_length=1, description="Tables to load.", examples=[{"weather": {"path": "weather_%Y-%m.csv"}}]
    )
