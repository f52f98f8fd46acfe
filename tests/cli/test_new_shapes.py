"""`elt new` against APIs of well-known shapes: what it writes reads every record."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
from cli_support import Project

from elt_factory.config.loading import load_config
from elt_factory.core.connection import Connection
from elt_factory.core.window import Window, moment_in
from elt_factory.extract.request import ReadRequest
from elt_factory.sources.read import read

ROWS = [{"id": f"r{number:03}", "name": f"Row {number}"} for number in range(57)]
SIZE = 10
PAGES = math.ceil(len(ROWS) / SIZE)


def cut(begin: int, size: int = SIZE):
    return ROWS[begin : begin + size]


def after(query, name):
    ids = [row["id"] for row in ROWS]
    return ids.index(query[name]) + 1 if query.get(name) in ids else 0


def number_of(query, first=1):
    # who asks for a page that is not a number gets the first one
    return int(query["page"]) if query.get("page", "").isdigit() else first


def stripe(query):
    at = after(query, "starting_after")
    return {"object": "list", "data": cut(at), "has_more": at + SIZE < len(ROWS)}


def jira(query):
    at, size = int(query.get("startAt", 0)), min(SIZE, int(query.get("maxResults", SIZE)))
    return {"startAt": at, "maxResults": size, "total": len(ROWS), "issues": cut(at, size)}


def airtable(query):
    at = int(query.get("offset", "itr/0").partition("/")[2] or 0)
    return {"records": cut(at), **({"offset": f"itr/{at + SIZE}"} if at + SIZE < len(ROWS) else {})}


def zendesk(query):
    at = int(query.get("page[after]", "c0")[1:])
    more = at + SIZE < len(ROWS)
    return {"tickets": cut(at), "meta": {"has_more": more, "after_cursor": f"c{at + SIZE}" if more else None}}


def spring(query):
    page = number_of(query, 0)
    head = {"number": page, "totalPages": PAGES, "totalElements": len(ROWS), "last": page + 1 >= PAGES}
    return {"content": cut(page * SIZE), **head}


def odata(query):
    at = int(query.get("$skip", 0))
    more = {"@odata.nextLink": f"/odata?$skip={at + SIZE}"} if at + SIZE < len(ROWS) else {}
    return {"value": cut(at), **more}


def wordpress(query):
    return cut((number_of(query) - 1) * SIZE)


def slack(query):
    at = int(query.get("cursor", "c0")[1:])
    following = f"c{at + SIZE}" if at + SIZE < len(ROWS) else ""
    return {"ok": True, "members": cut(at), "response_metadata": {"next_cursor": following}}


def django(query):
    page = number_of(query)
    following = f"/django?page={page + 1}" if page < PAGES else None
    return {"count": len(ROWS), "next": following, "previous": None, "results": cut((page - 1) * SIZE)}


def hidden(query):
    """Says that there is more, and takes no parameter that anyone would think of."""
    return {"items": cut(0), "total": len(ROWS)}


SHAPES = {shape.__name__: shape for shape in (stripe, jira, airtable, zendesk, spring, odata, wordpress, slack, django)}


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        body = json.dumps({**SHAPES, "hidden": hidden}[parts.path[1:]](dict(parse_qsl(parts.query)))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keep the test's screen quiet."""


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_reads_every_record(project: Project, api: str, shape: str, tmp_path):
    result = project.elt("new", "rows", "--url", f"{api}/{shape}")
    assert result.exit_code == 0, (result.output, result.exception)
    source = load_config(project.configs / "rows.yaml", project.configs).config
    (table,) = source.tables
    connection = Connection("rows_api", "http", host=api)
    window = Window(moment_in("2013-01-01", "UTC"), moment_in("2013-01-02", "UTC"))
    spool = read(ReadRequest(source, table, window, "l", connection, tmp_path, tmp_path, lambda _: None))
    found = [json.loads(line) for file in spool.files for line in file.read_bytes().splitlines()]
    assert found == ROWS


def test_a_response_that_says_there_is_more_is_told_in_a_comment(project: Project, api: str):
    assert project.elt("new", "rows", "--url", f"{api}/hidden").exit_code == 0
    text = (project.configs / "rows.yaml").read_text()
    assert 'no pagination found, but "total" in the response says 57 records, but 10 were read: loads fail' in text
