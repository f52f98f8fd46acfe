"""`elt new --url` against small APIs, each with another way to its next page."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from cli_support import Project

from elt_factory.config.loading import load_config
from elt_factory.core.failures import BadDataError

ROWS = [
    {"id": n, "email": f"a{n}@example.org", "updated_at": f"2024-01-{n % 28 + 1:02}T00:00:00Z"} for n in range(1, 41)
]


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        size = int(query.get("limit", 10)) if parts.path == "/offset" else 10
        begin = int(query.get("offset", 0)) if parts.path == "/offset" else (int(query.get("page", 1)) - 1) * size
        if parts.path == "/service":
            begin, size = int(query.get("sysparm_offset", 0)), int(query.get("sysparm_limit", 10))
        if parts.path == "/cursor":
            begin = int(query.get("after", 0))
        every = sorted(ROWS, key=lambda row: row["updated_at"], reverse=True)
        if parts.path == "/since":
            every = [row for row in every if row["updated_at"] >= query.get("since", "")]
        newest_first = parts.path in ("/newest", "/since")
        begin = 0 if parts.path == "/counted" else begin
        rows = ROWS if parts.path == "/single" else (every if newest_first else ROWS)[begin : begin + size]
        following, more = int(query.get("page", 1)) + 1, begin + size < len(ROWS)
        dotted = f"http://{self.headers['Host']}/dotted?page={following}" if more else None
        answers = {
            "/dotted": {"@odata.context": "x", "value": rows, "@odata.nextLink": dotted},
            "/secret": [
                {
                    "token": f"t-{n}-abcdef",
                    "login": {"user": "x", "api_key": f"k-{n}-abcdef"},
                    "buyer": {"email": f"a{n}@example.org"},
                    "n": n,
                }
                for n in range(20)
            ],
            "/service": {"result": rows},
            "/counted": {"result": rows},
            "/link": {"items": rows, "links": {"next": f"/link?page={following}" if more else None}},
            "/numbers": [1, 2, 3],
            "/none": {"data": [], "total": 0},
            "/nothing": {"total": 0},
            "/cursor": {"data": rows, "paging": {"next_cursor": str(begin + size) if more else None}},
        }
        self.send_response(200)
        if parts.path == "/header" and more:
            self.send_header("Link", f'</header?page={following}>; rel="next"')
        if parts.path in ("/service", "/counted"):
            self.send_header("X-Total-Count", str(len(ROWS)))
        self.end_headers()
        self.wfile.write(json.dumps(answers.get(parts.path, rows)).encode())

    def log_message(self, *arguments):
        """Keep the test's screen quiet."""


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("path", "kind", "records"),
    [
        ("link", "json_link", "items"),
        ("cursor", "cursor", "data"),
        ("header", "header_link", None),
        ("page", "page_number", None),
        ("offset", "offset", None),
        ("single", "single_page", None),
        ("dotted", "json_link", "value"),
        ("newest", "page_number", None),
        ("service", "offset", "result"),
    ],
)
def test_the_way_to_the_next_page_is_found_and_written(project: Project, api: str, path, kind, records):
    result = project.elt("new", "orders", "--url", f"{api}/{path}")
    assert result.exit_code == 0, (result.output, result.exception)
    config = load_config(project.configs / "orders.yaml", project.configs).config
    table = config.tables[path]
    assert (config.extract.paginator.type, getattr(table.records, "path", None), table.primary_key) == (
        kind,
        records,
        ("id",),
    )
    assert table.columns["email"].pii == "hash"
    assert not table.takes_window
    assert "airflow connections add orders_api" in result.output


def test_a_header_with_a_total_says_that_no_way_to_the_next_page_was_found(project: Project, api: str):
    assert project.elt("new", "orders", "--url", f"{api}/counted").exit_code == 0
    text = (project.configs / "orders.yaml").read_text()
    assert 'but "x-total-count" in the response says 40 records, but 10 were read: loads fail until this' in text
    assert "a timestamp without an offset is UTC" in text


def test_a_key_with_a_dot_is_one_step_of_its_path(project: Project, api: str):
    assert project.elt("new", "orders", "--url", f"{api}/dotted").exit_code == 0
    config = load_config(project.configs / "orders.yaml", project.configs).config
    assert config.extract.paginator.next_url_path == r"@odata\.nextLink"


def test_a_window_of_a_start_alone_is_believed_only_where_it_filters(project: Project, api: str):
    assert project.elt("new", "orders", "--url", f"{api}/since").exit_code == 0
    table = load_config(project.configs / "orders.yaml", project.configs).config.tables["since"]
    assert table.params == {"since": "{{ window.start }}"}
    assert table.incremental.cursor == "updated_at"


def test_more_pages_than_confirm_the_paginator_are_looked_at_where_they_are_cheap(project: Project, api: str):
    assert project.elt("new", "orders", "--url", f"{api}/page?limit=10").exit_code == 0
    assert "40 records sampled" in (project.configs / "orders.yaml").read_text()


def test_a_secret_inside_of_records_is_not_loaded_and_is_no_key(project: Project, api: str):
    assert project.elt("new", "orders", "--url", f"{api}/secret").exit_code == 0
    table = load_config(project.configs / "orders.yaml", project.configs).config.tables["secret"]
    assert [(name, column.pii) for name, column in table.columns.items()] == [
        ("token", "drop"),
        ("login", "drop"),
        ("buyer", "hash"),
        ("n", None),
    ]
    assert not {"token", "login"} & {*table.primary_key}


def test_a_person_at_the_keyboard_is_asked(project: Project, api: str):
    from typer.testing import CliRunner

    from elt_factory.cli.main import app

    result = CliRunner().invoke(app, ["new"], input=f"orders\n{api}/link\n")
    assert result.exit_code == 0, (result.output, result.exception)
    assert (project.configs / "orders.yaml").exists()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("numbers", "GET /numbers: record 1: expected an object, got 1; hint: choose a path that lists records"),
        ("none", 'the list "data" of the response is empty; hint: choose a path, or parameters in the URL'),
        ("nothing", "the response contains no list of records; hint: choose a path that lists records"),
    ],
)
def test_an_answer_without_records_is_one_clear_error(project: Project, api: str, path, said):
    result = project.elt("new", "orders", "--url", f"{api}/{path}")
    # the command shows it as one line
    assert isinstance(result.exception, BadDataError)
    assert said in str(result.exception)
