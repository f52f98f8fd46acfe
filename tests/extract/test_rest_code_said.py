"""What public connectors leave to Python of their own, said in YAML: tokens, packed reports, pages of one key."""

from __future__ import annotations

import gzip
from urllib.parse import parse_qs

import pytest
from extract_support import SECRET, Reply, reply, serving
from rest_support import records_of, request_of, source_of

from elt_factory.landing.attempt import Attempt
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import jobs

LOGIN = {"login": "client-1", "password": SECRET}
REPORT = """
export:
  path: /reports
  json: {from: "{{ window.start | date }}"}
  job: {id: id, path: "/reports/{{ job.id }}", status: state, done: [DONE], result: url}
  format: FORMAT
"""


def landed(folder, source, spool, request, table):
    """The landing of what was read, and the counts of its rows."""
    known = KnownTable("shop", table, source.tables[table], None)
    place, work = LocalPlace(folder / "landing"), folder / "contract"
    work.mkdir()
    manifest = land(LandRequest(known, request.window, "load-1", spool, place, work, print, "", Attempt.begin()))
    return place, manifest


def reports(content):
    """An API that takes its token in a header of its own, and packs the report of a job."""

    def answer(asked):
        if asked.path == "/token":
            assert parse_qs(asked.body.decode())["refresh_token"] == ["r-1"]
            return reply({"access_token": "tok-1", "expires_in": 3600})
        if asked.path.startswith("/documents/"):
            return Reply(gzip.compress(content))
        if asked.headers.get("x-seller-token") != "tok-1" or "Authorization" in asked.headers:
            return Reply(b"{}", 403)
        if asked.method == "POST":
            return reply({"id": "7"}, 202)
        return reply({"state": "DONE", "url": "/documents/7"})

    return answer


@pytest.mark.duckdb
@pytest.mark.parametrize(
    ("form", "content"),
    [
        ('{type: csv, delimiter: "\\t", encoding: latin-1}', "sku\tname\n1\tMüsli\n2\tÖl\n".encode("latin-1")),
        # the names are in the language of the place, the order is the same
        (
            '{type: csv, delimiter: "\\t", encoding: latin-1, skip_lines: 1, header: false, names: [sku, name]}',
            "Artikel\tBezeichnung\n1\tMüsli\n2\tÖl\n".encode("latin-1"),
        ),
        (
            "{type: xml, records: All.Part.Report}",
            "<?xml version='1.0' encoding='iso-8859-1'?><All><Part><Report><sku>1</sku><name>Müsli</name></Report>"
            "</Part><Part><Report><sku>2</sku><name>Öl</name></Report></Part></All>".encode("latin-1"),
        ),
        ("{type: json}", '[{"sku": 1, "name": "Müsli"}, {"sku": 2, "name": "Öl"}]'.encode()),
    ],
    ids=["tabs", "other-names", "xml", "json"],
)
def test_a_packed_report_behind_a_token_in_a_header_of_its_own(tmp_path, monkeypatch, form, content):
    monkeypatch.setattr(jobs.time, "sleep", lambda _: None)
    tables = REPORT.replace("FORMAT", form)
    auth = 'auth: {type: oauth2, token_path: /token, header: x-seller-token, prefix: ""}'
    with serving(reports(content)) as server:
        source = source_of(tmp_path, tables, auth)
        request = request_of(
            server,
            tmp_path,
            source,
            "export",
            connection=server.connection(**LOGIN, extra={"refresh_token": "r-1"}),
        )
        spool = read(request)
    place, manifest = landed(tmp_path, source, spool, request, "export")
    assert rows_of(place, manifest) == [("1", "Müsli"), ("2", "Öl")]


def rows_of(place, manifest, columns="sku, name"):
    import duckdb

    files = [str(file) for file in place.folder.rglob("*.parquet") if "reject" not in file.name]
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {columns} FROM read_parquet(?) ORDER BY 1", [files]).fetchall()
    assert len(found) == manifest.rows
    return [tuple(str(value) for value in row) for row in found]


@pytest.mark.duckdb
def test_a_record_that_several_questions_find_is_one_row_and_its_copies_are_counted(tmp_path):
    found = {"Air": [1, 2], "Bus": [2, 3], "Cab": [2]}
    tables = """
    accounts:
      for_each: {words: [Air, Bus, Cab]}
      path: /accounts
      params: {name: "{{ words }}"}
      primary_key: [id]
    """
    with serving(lambda asked: reply([{"id": one} for one in found[asked.params["name"]]])) as server:
        source = source_of(tmp_path, tables)
        request = request_of(server, tmp_path, source, "accounts")
        spool = read(request)
    place, manifest = landed(tmp_path, source, spool, request, "accounts")
    assert rows_of(place, manifest, "id") == [("1",), ("2",), ("3",)]
    assert (manifest.rows_read, manifest.rows_duplicate) == (5, 2)


def test_a_form_gives_a_token_for_the_usual_header(tmp_path):
    auth = """
    auth:
      type: session
      path: /connect/token
      form: {username: "{{ connection.login }}", password: "{{ connection.password }}", legal_entity: north}
      token: access_token
    """

    def answer(asked):
        if asked.path == "/connect/token":
            sent = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
            assert sent == {"username": "client-1", "password": SECRET, "legal_entity": "north"}
            return reply({"access_token": "tok-9"})
        return reply([{"id": 1}]) if asked.headers["Authorization"] == "Bearer tok-9" else Reply(b"", 401)

    with serving(answer) as server:
        connection = server.connection(**LOGIN)
        rows = records_of(server, tmp_path, "orders: {path: /orders}", "orders", auth, connection=connection)
    assert rows == [{"id": 1}]


def test_one_account_is_an_object_where_all_are_a_list(tmp_path):
    tables = """
    all: {path: /accounts, records: items}
    one: {path: /accounts/7, records: {one: true}}
    """
    answers = {"/accounts": {"items": [{"id": 7}, {"id": 8}]}, "/accounts/7": {"id": 7}}
    with serving(lambda asked: reply(answers[asked.path])) as server:
        assert [len(records_of(server, tmp_path, tables, table)) for table in ("all", "one")] == [2, 1]
