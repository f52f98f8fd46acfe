"""Forty-five things that people ask of JSON APIs, each said in YAML and read from a server: 43 right, 2 refused."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from urllib.parse import parse_qs

import duckdb
import pytest
from extract_support import Asked, Reply, reply, serving
from rest_support import request_of, source_of

from elt_factory.config.errors import ConfigError
from elt_factory.core.failures import AccessDeniedError, BadRequestError, EltError
from elt_factory.landing.land import land
from elt_factory.landing.parents import landed_keys
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read

BOOKS = [{"id": number, "title": f"Book {number}", "day": f"2013-01-{1 + number % 9:02}"} for number in range(12)]
ALL = {(number,) for number in range(12)}
SIZE = 5
BASIC = "Basic " + base64.b64encode(b"reader:s3cret").decode()


def page(rows, number, **more):
    return reply({"data": rows[(number - 1) * SIZE : number * SIZE], "pages": math.ceil(len(rows) / SIZE), **more})


def next_page(asked: Asked, number: int, rows, *, absolute: bool) -> str | None:
    if number * SIZE >= len(rows):
        return None
    host = f"http://{asked.headers['Host']}" if absolute else ""
    return f"{host}{asked.path}?page={number + 1}"


def reviews(book: object) -> list[dict]:
    return [{"no": no, "book": int(str(book)), "text": f"{book}/{no}"} for no in range(7)]


def form(asked: Asked) -> dict[str, list[str]]:
    return parse_qs(asked.body.decode())


def library(asked: Asked) -> Reply:
    """A library's API. Each path is one way of doing things."""
    parts = asked.path.strip("/").split("/")
    number = int(asked.params.get("page", 1))
    return PATHS[parts[0]](asked, parts, number)


def _books(asked, parts, number):
    if len(parts) == 1:
        return page(BOOKS, number, next=next_page(asked, number, BOOKS, absolute=True))
    if len(parts) == 2:
        return reply({"id": int(parts[1]), "pages": 100 + int(parts[1])})
    if len(parts) == 5:
        return reply([{"book": int(parts[1]), "no": int(parts[3]), "likes": 1}])
    rows = reviews(parts[1])
    return page(rows, number, next=next_page(asked, number, rows, absolute=True))


def _offset(asked, parts, number):
    given = asked.json if asked.method == "POST" else asked.params
    at, limit = int(given["offset"]), int(given["limit"])
    return reply({"data": BOOKS[at : at + limit], "total": len(BOOKS)})


def _cursor(asked, parts, number):
    at = int(asked.params.get("cursor", 0))
    if at >= len(BOOKS):
        return reply({"data": None, "next": None})
    return reply({"data": BOOKS[at : at + SIZE], "next": at + SIZE})


def _search(asked, parts, number):
    body = asked.json
    rows = [book for book in BOOKS if book["id"] > body["filter"]["above"]]
    number = body["page"]["number"]
    return page(rows, number, next=number + 1 if number * SIZE < len(rows) else None)


def _guarded(asked, parts, number):
    sent = {name.lower(): text for name, text in asked.headers.items()}
    way = parts[1]
    allowed = {
        "basic": sent.get("authorization") == BASIC,
        "bearer": sent.get("authorization") == "Bearer s3cret",
        "header": sent.get("x-api-key") == "s3cret",
        "query": asked.params.get("key") == "s3cret",
        "token": sent.get("authorization") == "Bearer t0ken",
    }[way]
    return reply(BOOKS) if allowed else Reply(b"Unauthorized", 401)


def _oauth(asked, parts, number):
    given = form(asked)
    own = given.get("grant_type") == ["account_credentials"] and asked.headers.get("Authorization") == BASIC
    known = given.get("client_id") == ["reader"] and given.get("client_secret") == ["s3cret"]
    return reply({"access_token": "t0ken", "expires_in": 0}) if own or known else Reply(b"no", 401)


def _detail(asked, parts, number):
    """Book 0 is there, 1 is gone, 2 is refused in another way."""
    book, kind = int(parts[1]), parts[2]
    if book == 0:
        return reply({"id": 0})
    if kind == "empty":
        return Reply(b"", 204)
    if kind == "words":
        return Reply(b"<p>nothing for this book</p>")
    return Reply(b"gone", 404) if book == 1 or kind == "gone" else Reply(b"cannot", 422)


PATHS = {
    "books": _books,
    "relative": lambda a, p, n: page(BOOKS, n, next=next_page(a, n, BOOKS, absolute=False)),
    "linked": lambda a, p, n: reply(
        BOOKS[(n - 1) * SIZE : n * SIZE],
        **({"Link": f'<{u}>; rel="next"'} if (u := next_page(a, n, BOOKS, absolute=True)) else {}),
    ),
    "headed": lambda a, p, n: reply(
        BOOKS[(n - 1) * SIZE : n * SIZE], **({"X-Next": str(n + 1)} if n * SIZE < len(BOOKS) else {})
    ),
    "numbered": lambda a, p, n: page(BOOKS, n),
    "from_zero": lambda a, p, n: page(BOOKS, int(a.params["page"]) + 1),
    "offset": _offset,
    "cursor": _cursor,
    "list": lambda a, p, n: reply(BOOKS),
    "odd_key": lambda a, p, n: reply({"many.results": BOOKS}),
    "echo": lambda a, p, n: reply([{**a.params, "target": a.target, "heads": a.headers.get("X-Own", "")}]),
    "reviews": lambda a, p, n: reply(reviews(a.params.get("book") or a.headers.get("X-Book"))),
    "reviews_of": lambda a, p, n: reply(reviews(a.json["find"]["book"][0])),
    "reviews_form": lambda a, p, n: reply(reviews(form(a)["book"][0])),
    "body": lambda a, p, n: reply([{"body": a.body.decode(), "type": a.headers.get("Content-Type", "")}]),
    "search": _search,
    "guarded": _guarded,
    "oauth": _oauth,
    "detail": _detail,
}

BASE = "books: {path: /books, records: data, paginator: {type: json_link}, columns: {id: {type: integer}}}"
CHILD = BASE + "\nreviews:\n  for_each: books\n"
THREE = "x:\n  for_each: {book: [0, 1, 2]}\n"
OAUTH = "auth: {type: oauth2, token_path: /oauth"
WINDOW = '"{{ window.start }}"'
ALL_REVIEWS = {(book, no) for book in range(12) for no in range(7)}
LINKED = "records: data, paginator: {type: json_link}"

# what is asked for: lines of extract, tables, the table, its columns to compare, what they hold
SCENARIOS: dict[str, tuple[str, str, str, str, object]] = {
    "links to next pages": ("", f"x: {{path: /books, {LINKED}}}", "x", "id", ALL),
    "relative links": ("", f"x: {{path: /relative, {LINKED}}}", "x", "id", ALL),
    "links in a header": ("", "x: {path: /linked, paginator: {type: header_link}}", "x", "id", ALL),
    "a cursor in a header": (
        "",
        "x: {path: /headed, paginator: {type: cursor, cursor_header: X-Next, cursor_param: page}}",
        "x",
        "id",
        ALL,
    ),
    "page numbers": ("", "x: {path: /numbered, records: data, paginator: {type: page_number}}", "x", "id", ALL),
    "page numbers up to a total": (
        "paginator: {type: page_number, total_pages: pages}",
        "x: {path: /numbered, records: data}",
        "x",
        "id",
        ALL,
    ),
    "page numbers from zero": (
        "",
        "x: {path: /from_zero, records: data, paginator: {type: page_number, first_page: 0}}",
        "x",
        "id",
        ALL,
    ),
    "offsets": (
        "",
        "x: {path: /offset, records: data, paginator: {type: offset, limit: 5, total: total}}",
        "x",
        "id",
        ALL,
    ),
    "offsets in a body": (
        "",
        "x: {path: /offset, json: {}, records: data, paginator: {type: offset, limit: 5, in: body}}",
        "x",
        "id",
        ALL,
    ),
    "a cursor, and null after the last page": (
        "",
        "x: {path: /cursor, records: {path: data, optional: true}, paginator: {type: cursor}}",
        "x",
        "id",
        ALL,
    ),
    "a plain list": ("", "x: {path: /list}", "x", "id", ALL),
    "records under an odd key": ("", r"x: {path: /odd_key, records: 'many\.results'}", "x", "id", ALL),
    "children by path": (
        "",
        CHILD + "  path: /books/{{ books.id }}/reviews\n  records: data\n  paginator: {type: json_link}",
        "reviews",
        "book, no",
        ALL_REVIEWS,
    ),
    "children by parameter": (
        "",
        CHILD + '  path: /reviews\n  params: {book: "{{ books.id }}"}',
        "reviews",
        "book, no",
        ALL_REVIEWS,
    ),
    "children by header": (
        "",
        CHILD + '  path: /reviews\n  headers: {X-Book: "{{ books.id }}"}',
        "reviews",
        "book, no",
        ALL_REVIEWS,
    ),
    "children by body": (
        "",
        CHILD + '  path: /reviews_of\n  json: {find: {book: ["{{ books.id }}"]}}',
        "reviews",
        "book, no",
        ALL_REVIEWS,
    ),
    "children by form": (
        "",
        CHILD + '  path: /reviews_form\n  form: {book: "{{ books.id }}"}',
        "reviews",
        "book, no",
        ALL_REVIEWS,
    ),
    "children of a query in the path": (
        "",
        CHILD + "  path: /reviews?book={{ books.id }}",
        "reviews",
        "book, no",
        ALL_REVIEWS,
    ),
    "children one after the other": (
        "",
        CHILD + "  path: /reviews?book={{ books.id }}\n  concurrency: 1",
        "reviews",
        "book, no",
        ALL_REVIEWS,
    ),
    "columns of the parent": (
        "",
        CHILD + "  path: /reviews?book={{ books.id }}\n  keep: {of: books.id, title: books.title}",
        "reviews",
        "book = of AND title = concat('Book ', of)",
        {(True,)},
    ),
    "one object for each row": ("", CHILD + "  path: /books/{{ books.id }}", "reviews", "pages - id", {(100,)}),
    "several values of one parent": (
        "",
        CHILD + '  path: /echo\n  params: {id: "{{ books.id }}", title: "{{ books.title }}"}',
        "reviews",
        "title = concat('Book ', id)",
        {(True,)},
    ),
    "parameters of all tables and of one": (
        "params: {lang: en, size: 5}",
        "x: {path: /echo, params: {size: 9, day: 1}}",
        "x",
        "lang, size, day",
        {("en", "9", "1")},
    ),
    "a parameter several times": (
        "",
        "x: {path: /echo, params: {tag: [a, b]}}",
        "x",
        "target",
        {("/echo?tag=a&tag=b",)},
    ),
    "a window as dates": (
        "",
        'x: {path: /echo, params: {since: "{{ window.start | date }}", until: "{{ window.end | date }}"}}',
        "x",
        "CAST(since AS VARCHAR), CAST(until AS VARCHAR)",
        {("2013-01-01", "2013-01-08")},
    ),
    "a window in another form": (
        "",
        "x: {path: \"/echo/{{ window.start | format('%Y-%j') }}\", slices: 7d}",
        "x",
        "target",
        {("/echo/2013-001",)},
    ),
    "a cursor that is a number": (
        "",
        (
            'x: {path: /echo, params: {above: "{{ cursor }}"}, incremental: {cursor: above, initial: 7}, '
            "primary_key: [above], write_disposition: merge}"
        ),
        "x",
        "above",
        {("7",)},
    ),
    "a window in a header": (
        "",
        f"x: {{path: /echo, headers: {{X-Own: {WINDOW}}}}}",
        "x",
        "CAST(heads AS VARCHAR)",
        {("2013-01-01 00:00:00+00",)},
    ),
    "headers that look like templates and are none": (
        "headers: {X-Own: '{id}'}",
        "x: {path: /echo}",
        "x",
        "heads",
        {("{id}",)},
    ),
    "a window in a form": (
        "",
        'x: {path: /body, form: {since: "{{ window.start | epoch }}"}}',
        "x",
        "body",
        {("since=1356998400",)},
    ),
    "rows outside the window": (
        "",
        "x: {path: /list, incremental: {cursor: day, outside_window: drop}}",
        "x",
        "count(*), max(day) < DATE '2013-01-08'",
        {(len([book for book in BOOKS if book["day"] < "2013-01-08"]), True)},
    ),
    "JSON, nested": (
        "",
        "x: {path: /body, json: {a: {b: [1, {c: x}]}}}",
        "x",
        "body, type",
        {('{"a":{"b":[1,{"c":"x"}]}}', "application/json")},
    ),
    "a search that pages in its body": (
        "",
        """
x:
  path: /search
  json: {filter: {above: 3}, page: {number: 1}}
  records: data
  paginator: {type: cursor, cursor_path: next, cursor_param: page.number, in: body}
""",
        "x",
        "id",
        {(number,) for number in range(4, 12)},
    ),
    "a form with a name several times": (
        "",
        "x: {path: /body, form: {a: [1, 2], b: x}}",
        "x",
        "body",
        {("a=1&a=2&b=x",)},
    ),
    "raw text": (
        "",
        "x: {path: /body, body: 'plain words', headers: {Content-Type: text/plain}}",
        "x",
        "body, type",
        {("plain words", "text/plain")},
    ),
    "a login and password": ("auth: {type: basic}", "x: {path: /guarded/basic}", "x", "id", ALL),
    "a bearer token, and another way for one table": (
        "auth: {type: basic}",
        "x: {path: /guarded/bearer, auth: {type: bearer}}",
        "x",
        "id",
        ALL,
    ),
    "a key in a header": ("auth: {type: api_key}", "x: {path: /guarded/header}", "x", "id", ALL),
    "a key in the query": ("auth: {type: api_key, param: key}", "x: {path: /guarded/query}", "x", "id", ALL),
    "client credentials": (OAUTH + "}", "x: {path: /guarded/token}", "x", "id", ALL),
    "a grant of the API's own": (
        OAUTH + ", client: basic, params: {grant_type: account_credentials}}",
        "x: {path: /guarded/token}",
        "x",
        "id",
        ALL,
    ),
    "what is gone is left out": (
        "",
        THREE + "  path: /detail/{{ book }}/gone\n  answers: [{status: 404, do: skip}]",
        "x",
        "id",
        {(0,)},
    ),
    "answers without or with other words": (
        "answers: [{status: 204, do: skip}]",
        THREE + "  path: /detail/{{ book }}/words\n  answers: [{contains: nothing for this, do: skip}]",
        "x",
        "id",
        {(0,)},
    ),
}

# cannot be said: what is written instead
REFUSED = {
    "a function that changes each row": ("processing_steps: [{map: f}]", "dbt for what changes rows"),
    "a function that makes rows of a row": ("processing_steps: [{yield_map: f}]", "dbt for what changes rows"),
}


def landed(server, folder: Path, source, table: str):
    """What a run lands of a table, its parent first."""
    own = folder / table
    work = own / "contract"
    work.mkdir(parents=True)
    parents, keys = source.tables[table].parents, None
    if parents:
        place, manifest = landed(server, folder, source, parents[0])
        keys = landed_keys(place, manifest, source.tables[table].columns_of_parent, own).file
    known = server.connection(login="reader", password="s3cret")
    request = request_of(server, folder, source, table, connection=known, keys=keys)
    spool, place = read(request), LocalPlace(own / "landing")
    spec = source.tables[table]
    return place, land(
        LandRequest(KnownTable("shop", table, spec, None), request.window, "l", spool, place, work, print)
    )


def test_there_are_forty_five():
    assert (len(SCENARIOS), len(REFUSED)) == (43, 2)


@pytest.mark.duckdb
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_said_and_read(tmp_path, name):
    extract, tables, table, columns, expected = SCENARIOS[name]
    with serving(library) as server:
        place, manifest = landed(server, tmp_path, source_of(tmp_path, tables, extract), table)
    files = [str(place.folder / file.path) for file in manifest.files]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT {columns} FROM read_parquet({files})").fetchall()
    assert set(found) == expected
    assert manifest.rows_rejected == 0


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_what_to_do_instead(tmp_path, name):
    line, words = REFUSED[name]
    with pytest.raises(ConfigError, match=words):
        source_of(tmp_path, f"x: {{path: /list, {line}}}")


FAULTS = {
    "no credentials": (
        "auth: {type: none}",
        "x: {path: /guarded/bearer}",
        AccessDeniedError,
        "401 Unauthorized: Unauthorized",
    ),
    "what no rule takes": (
        "",
        THREE + "  path: /detail/{{ book }}/other\n  answers: [{status: 404, do: skip}]",
        BadRequestError,
        "422",
    ),
    "no rules": ("", THREE + "  path: /detail/{{ book }}/gone", BadRequestError, "404"),
    "an answer without a body": ("", THREE + "  path: /detail/{{ book }}/empty", EltError, "status 204"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_an_api_refuses_fails(tmp_path, name):
    extract, tables, kind, words = FAULTS[name]
    with serving(library) as server, pytest.raises(kind, match=words) as caught:
        landed(server, tmp_path, source_of(tmp_path, tables, extract), "x")
    assert "s3cret" not in str(caught.value)


MISTAKES = {
    "a name that no one gives": ("x: {path: '/books/{{ book.id }}'}", 'unknown template name "book.id"'),
    "a parent that is not there": ("x: {for_each: book, path: '/books/{{ book.id }}'}", 'unknown table "book"'),
    "a parent that nothing uses": (
        BASE + "\nx: {for_each: books, path: /reviews}",
        "no template uses what for_each gives",
    ),
    "two bodies": ("x: {path: /body, json: {a: 1}, form: {a: 1}}", "json and form exclude each other"),
    "a circle": (
        "x: {for_each: y, path: '/{{ y.id }}'}\ny: {for_each: x, path: '/{{ x.id }}'}",
        "would wait for itself",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_meant_is_an_error_before_anything_is_read(tmp_path, name):
    tables, words = MISTAKES[name]
    with pytest.raises(ConfigError) as caught:
        source_of(tmp_path, tables)
    assert words in str(caught.value)


@pytest.mark.duckdb
def test_personal_columns_are_dropped_or_hashed_and_rows_filtered(tmp_path):
    tables = "x: {path: /list, where: id < 3, columns: {title: {pii: drop}, day: {pii: hash}}}"
    with serving(library) as server:
        place, manifest = landed(server, tmp_path, source_of(tmp_path, tables), "x")
    (file,) = manifest.files
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{place.folder / file.path}')")
    assert set(rows.columns) == {"id", "day"}
    assert {len(row[rows.columns.index("day")]) for row in rows.fetchall()} == {64}
    assert (manifest.rows, manifest.rows_filtered) == (3, 9)
