"""The language of JSON APIs: what their tables add, and the whole config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from elt_factory.config.errors import KEY, MistakeError, raise_found
from elt_factory.config.models.deletes import SCHEMA_RULES, Deletes
from elt_factory.config.models.durations import PositiveDuration
from elt_factory.config.models.formats import FileFormat
from elt_factory.config.models.schema_patterns import (
    CONDITION,
    KNOWN_OR_HELD,
    KNOWN_TEMPLATES,
    NO_ADDRESS,
    NO_TEMPLATE,
    NOT_TOO_LONG,
    SOME_TIME,
    any_of,
    not_both,
)
from elt_factory.config.models.source import Source
from elt_factory.config.models.split import Split
from elt_factory.config.models.table import Path, Table
from elt_factory.config.models.templates import Use, is_own, uses
from elt_factory.config.models.values import ColumnName, Name, Text, Whole
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.auth_model import Auth
from elt_factory.sources.rest_api.body_rules import body_mistakes, format_mistakes, pages_without_body
from elt_factory.sources.rest_api.each_model import ForEach
from elt_factory.sources.rest_api.each_rules import each_mistakes, parent_mistakes, query_mistakes
from elt_factory.sources.rest_api.header_rules import SENT_HEADERS
from elt_factory.sources.rest_api.held_names import is_of_connection, used_in
from elt_factory.sources.rest_api.job_model import NO_PAGES, Job, job_mistakes
from elt_factory.sources.rest_api.paging_model import Paginator, SinglePage, is_by_header
from elt_factory.sources.rest_api.records_model import Flatten, Records, or_path
from elt_factory.sources.rest_api.request_model import (
    SECRET_HEADERS,
    BodyText,
    Endpoint,
    FilledHeaders,
    JsonValue,
    Params,
    Variables,
    texts_in,
)
from elt_factory.sources.rest_api.token_rules import token_mistakes, tombstone_mistakes
from elt_factory.sources.rest_api.window_ends import Side, open_side


class RestTable(Table):
    """A table read from one endpoint of a JSON API."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {
        "path": (NO_ADDRESS,),
        "timeout": (SOME_TIME, NOT_TOO_LONG),
        "slices": (SOME_TIME, NOT_TOO_LONG),
        "where": (CONDITION, NO_TEMPLATE),
    }
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        {
            "if": {"not": any_of("for_each", "delta_token", "job")},
            "then": {
                "properties": {
                    "path": {"pattern": KNOWN_TEMPLATES},
                    "params": {"additionalProperties": {"pattern": KNOWN_OR_HELD}},
                    "headers": {"additionalProperties": {"pattern": KNOWN_OR_HELD}},
                }
            },
        },
        SECRET_HEADERS,
        SENT_HEADERS,
        not_both("json", "form", "body", "graphql"),
        not_both("format", "records"),
        not_both("format", "keep"),
        not_both("format", "flatten"),
        dict(NO_PAGES),
        {"dependencies": {"keep": ["for_each"], "variables": ["graphql"], "split": ["slices"]}},
        not_both("split", "job"),
        *(not_both("delta_token", name) for name in ("for_each", "slices", "format")),
        not_both("job", "delta_token"),
        *SCHEMA_RULES,
        {"properties": {"deletes": {"not": {"type": "object", "required": ["compare"]}}}},
        {
            "if": {"required": ["delta_token"]},
            "then": {
                "properties": {
                    "write_disposition": {"const": "merge"},
                    "path": {"pattern": r"^(?![\s\S]*\{\{\s*delta_token)"},
                }
            },
        },
    )

    for_each: ForEach | None = Field(
        None,
        description=(
            "Ask once for each: row that a table of this config has landed in the same run (its name), value of lists, "
            "row of a query of such tables (`of`, in DuckDB's SQL), or of the warehouse. Templates use the columns, or "
            "the values."
        ),
        examples=["orders", {"region": ["EMEA", "APAC"]}, {"store": {"query": "select id from shop.stores"}}],
    )
    delta_token: Text | None = Field(
        None,
        description=(
            "Path in the last page of the token by which the API sends what has changed since. It is kept with the "
            "load and used by the next one: a link is requested in place of path and params, another text is the "
            "value of `{{ delta_token }}` in params, json, form or variables; the first load leaves that out."
        ),
        examples=["@odata\\\\.deltaLink", "nextSyncToken"],
    )
    deletes: Deletes | None = Field(
        None,
        description=(
            "Column of records that say themselves that they are deleted, as those of a delta feed do: their rows are "
            "deleted; or `filtered`: so are rows of records that do not meet `where`. By default they stay. Needs "
            "`write_disposition: merge`."
        ),
        examples=[{"column": "@removed"}, {"filtered": True}],
    )
    keep: dict[ColumnName, Text] = Field(
        {},
        description="Columns to add to each record, out of what it was asked for with.",
        examples=[{"order_id": "orders.id"}],
    )
    concurrency: Whole = Field(
        4,
        ge=1,
        le=32,
        description=(
            "How many of `for_each` or `slices` are asked, or their jobs run, at the same time. Without those, how "
            "many pages are, where they have a number or an offset and the paginator names a total."
        ),
        examples=[1],
    )
    slices: PositiveDuration | None = Field(
        None,
        description=(
            "Ask for the window in pieces of this length, for APIs that answer only short ones; several at the same "
            "time (`concurrency`)."
        ),
        examples=["1d"],
    )
    split: Split | None = Field(
        None,
        description=(
            "Spread the pieces that `slices` makes of the window over several tasks. Each part is retried alone; all "
            "are loaded together."
        ),
        examples=[{"tasks": 8}],
    )
    path: Endpoint = Field(description="Endpoint path, relative to the connection's address.", examples=["/v1/flights"])
    params: Params = Field(
        {},
        description="Query parameters. Secrets are refused.",
        examples=[{"since": "{{ window.start }}", "limit": 1000}],
    )
    json_body: JsonValue | None = Field(
        None,
        alias="json",
        description=(
            "JSON to send with POST. A text that is one template keeps the type of its value: a number stays a number."
        ),
        examples=[{"since": "{{ window.start }}", "size": 100}],
    )
    form: Params | None = Field(None, description="Form fields to send with POST.", examples=[{"report": "orders"}])
    body: BodyText | None = Field(
        None,
        description="Text to send with POST, with its Content-Type in headers. In XML, values are escaped.",
        examples=['<getOrders since="{{ window.start | date }}"/>'],
    )
    graphql: Text | None = Field(
        None,
        description="GraphQL query to send with POST. It takes variables, and no templates.",
        examples=["query($since: String) { orders(since: $since) { nodes { id } } }"],
    )
    variables: Variables = Field(
        {}, description="Variables of the graphql query.", examples=[{"since": "{{ window.start }}"}]
    )
    headers: FilledHeaders = Field(
        {},
        description="Headers of this table's requests, on top of those in `extract`.",
        examples=[{"Accept": "application/vnd.api+json", "If-Modified-Since": "{{ window.start }}"}],
    )
    paginator: Paginator | None = Field(
        None,
        description="How to find the next page. By default, as in `extract`.",
        examples=[{"type": "page_number"}],
    )
    auth: Auth | None = Field(
        None, description="How credentials are sent. By default, as in `extract`.", examples=[{"type": "none"}]
    )
    timeout: PositiveDuration | None = Field(
        None, description="Time allowed for one request. By default, as in `extract`.", examples=["5m"]
    )
    answers: tuple[AnswerRule, ...] = Field(
        (),
        description="What answers of this table mean, before the entries of `extract`.",
        examples=[[{"status": 404, "do": "skip"}]],
    )
    records: Records | None = Field(
        None,
        description=(
            "Where the list of records is in the response: its path, or more than that. By default, the response "
            "itself is the list."
        ),
        examples=["data.items", {"path": "rates", "key": "date"}],
        json_schema_extra=or_path,
    )

    flatten: Flatten = Field(
        {},
        description=(
            "Paths of values inside others that become columns of their own: customer.email becomes customer_email, "
            "or the name that a mapping gives."
        ),
        examples=[["customer.email"], {"email": "customer.email"}],
    )
    format: FileFormat | None = Field(
        None,
        description=(
            "Format of responses that are not JSON, as for files: each is a file, unpacked where it is gzip or zip. "
            "There is one response for each request, or one a page where a header leads to the next."
        ),
        examples=[{"type": "csv"}, {"type": "xml", "records": "orders.order"}],
    )

    job: Job | None = Field(
        None,
        description=(
            "The request starts a job, like an export: ask until it is done, then fetch its results. With `format` "
            "these are files, else JSON."
        ),
        examples=[{"id": "id", "path": "/exports/{{ job.id }}", "result": "files[*].url"}],
    )

    @property
    def texts(self) -> Mapping[Path, str]:
        """The table's texts that take templates, by their paths below the table."""
        named = {"path": self.path, "body": self.body or ""}
        nested = {"params": self.params, "form": self.form, "json": self.json_body, "variables": self.variables}
        nested["headers"] = self.headers
        texts: dict[Path, str] = {(name,): text for name, text in named.items()}
        texts |= {("job", *at): text for at, text in (self.job.texts if self.job else {}).items()}
        for name, value in nested.items():
            texts |= {(name, *at): text for at, text in texts_in(value)}
        return texts

    @property
    def templates(self) -> Mapping[Path, Sequence[Use]]:
        """The templates in each of the table's texts, by the text's path below the table."""
        found = {at: [*uses(text)] for at, text in self.texts.items()}
        return {at: names for at, names in found.items() if names}

    @property
    def held(self) -> Sequence[str]:
        """The names of the connection's values that its templates use."""
        own = self.for_each.names if self.for_each else ()
        used = [use.name for found in self.templates.values() for use in found]
        return tuple(dict.fromkeys(name for name in used if is_of_connection(name) and not is_own(name, own)))

    @property
    def parents(self) -> Sequence[str]:
        """The tables whose landings this one is asked with."""
        return self.for_each.parents if self.for_each else ()

    @property
    def query_of_keys(self) -> str | None:
        """The query whose rows this one is asked with: of its parents, else of the warehouse."""
        return self.for_each.query[1] if self.for_each and self.for_each.query else None

    @property
    def takes_window(self) -> bool:
        """Whether the source is asked for what is new: by templates, or with the rows of a table that is."""
        return bool(self.parents) or self.keeps_token or super().takes_window

    @property
    def keeps_token(self) -> bool:
        """Whether a load begins with a token that the API gave to the load before it."""
        return self.delta_token is not None

    @property
    def follows_deletes(self) -> Deletes | None:
        """How the rows are found that the source has deleted."""
        return self.deletes

    @property
    def has_job(self) -> bool:
        """Whether the source does a job for a load, whose results are read when it is done."""
        return self.job is not None

    @property
    def in_parts(self) -> Split | None:
        """How the pieces of the window are spread over tasks."""
        return self.split

    @property
    def counts_on(self) -> bool:
        """Whether a load begins where the load before it ended."""
        return self.keeps_token or super().counts_on

    @property
    def appends_all_it_is_sent(self) -> bool:
        """Whether every row that comes again is there once more: not asked for by the window, not known by its key."""
        incremental = self.incremental
        known = incremental is not None and (bool(self.primary_key) or incremental.outside_window == "drop")
        return self.write_disposition == "append" and not super().takes_window and not known

    @property
    def leaves_out(self) -> frozenset[Side]:
        """On which sides of the window rows are left out by their cursor.

        Those that an API sends beyond an end that the request does not name come with their own window again.
        """
        side = open_side(self) if self.write_disposition == "append" and not self.primary_key else None
        own = super().leaves_out
        return own | {side} if side and self.incremental and not self.counts_by_number else own

    @property
    def columns_of_parent(self) -> Sequence[str]:
        """The columns of the rows of `for_each` that are used, in templates or to keep."""
        each = self.for_each
        if each is None or not each.of_rows:
            return ()
        named = [use.name for found in self.templates.values() for use in found] + list(self.keep.values())
        head = f"{each.of_rows}."
        return tuple(dict.fromkeys(name.removeprefix(head) for name in named if name.startswith(head)))

    @model_validator(mode="after")
    def _sends_one_body(self) -> Self:
        raise_found([*body_mistakes(self), *format_mistakes(self)])
        return self

    @model_validator(mode="after")
    def _each_is_used(self) -> Self:
        raise_found([*each_mistakes(self), *token_mistakes(self), *job_mistakes(self), *tombstone_mistakes(self)])
        return self

    @model_validator(mode="after")
    def _asks_for_what_it_appends(self) -> Self:
        # an API that is not asked for the window sends everything, and a window's load replaces that window's rows only
        drops = self.incremental and self.incremental.outside_window == "drop"
        asked = self.takes_window or self.counts_on or drops
        if self.incremental and self.write_disposition == "append" and not asked:
            raise MistakeError(
                "every run would append all rows again: the request does not depend on the window",
                'add the window to params:, as in since: "{{ window.start }}", use write_disposition: merge, or add '
                "outside_window: drop to incremental",
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


class RestSource(Source):
    """Tables from a JSON API."""

    extract: RestApi = Field(
        description="How to read the source.", examples=[{"type": "rest_api", "connection": "flights_api"}]
    )
    tables: dict[Name, RestTable] = Field(
        min_length=1, description="Tables to load.", examples=[{"flights": {"path": "/v1/flights"}}]
    )

    @model_validator(mode="after")
    def _parents_are_there(self) -> Self:
        of_children = (*parent_mistakes(self.tables), *query_mistakes(self.name, self.tables))
        raise_found([*of_children, *pages_without_body(self.tables, self.extract.paginator)])
        return self

    def api_of(self, table: str) -> RestApi:
        """Return how one table is asked for: what it says itself, else what `extract` says."""
        own, shared = self.tables[table], self.extract
        alone = (own.format and not is_by_header(own.paginator)) or (own.job and own.job.result)
        single = {"paginator": SinglePage(type="single_page")} if alone else {}
        chosen = single | {name: getattr(own, name) for name in ("paginator", "auth", "timeout") if getattr(own, name)}
        return shared.model_copy(update={"answers": (*own.answers, *shared.answers), **chosen})

    @property
    def held(self) -> Sequence[str]:
        """The names of the connection's values that templates of requests use, and those of `auth`."""
        auths = [self.extract.auth, *(table.auth for table in self.tables.values())]
        named = [name for auth in auths if auth for name in used_in(str(auth.model_dump()))]
        return tuple(dict.fromkeys([*named, *(name for table in self.tables.values() for name in table.held)]))

    def params_of(self, table: str) -> Mapping[str, Any]:
        """Return the query parameters of one table, those of all tables among them."""
        return {**self.extract.params, **self.tables[table].params}
