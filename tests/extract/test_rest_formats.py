"""Responses that are files: CSV, NDJSON, XML, packed or not."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest
from extract_support import Reply, in_turn, serving
from rest_support import request_of, source_of

from elt_factory.core.failures import BadDataError, SourceNotReadyError, SourceUnavailableError
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience

CSV = b"id,name\n1,a\n2,b\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=2, first_wait=0.01, longest_wait=0.02))


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data.csv", content)
    return out.getvalue()


def landed(folder, answer, form, more=""):
    source = source_of(folder, f"x: {{path: /x, format: {form}{more}}}")
    with serving(answer) as server:
        request = request_of(server, folder, source, "x")
        spool = read(request)
    known = KnownTable("shop", "x", source.tables["x"], None)
    work = folder / "contract"
    work.mkdir()
    return land(LandRequest(known, request.window, "l", spool, LocalPlace(folder / "landing"), work, print))


@pytest.mark.duckdb
@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("{type: csv}", CSV),
        ("{type: csv}", gzip.compress(CSV, mtime=0)),
        ("{type: csv}", zipped(CSV)),
        ("{type: csv, delimiter: ';'}", CSV.replace(b",", b";")),
        ("{type: ndjson}", b'{"id": 1, "name": "a"}\n{"id": 2, "name": "b"}\n'),
        (
            "{type: xml, records: rows.row}",
            b"<rows><row><id>1</id><name>a</name></row><row><id>2</id><name>b</name></row></rows>",
        ),
    ],
    ids=["csv", "gzip", "zip", "semicolons", "ndjson", "xml"],
)
def test_a_response_is_read_in_its_format(tmp_path, form, body):
    manifest = landed(tmp_path, lambda _: Reply(body), form)
    assert (manifest.rows, manifest.rows_rejected) == (2, 0)
    assert [column.name for column in manifest.columns] == ["id", "name"]


@pytest.mark.duckdb
def test_there_is_a_file_for_each_key_and_none_where_a_rule_or_an_empty_answer_says_so(tmp_path):
    def answer(asked):
        number = asked.params["n"]
        return {"1": Reply(CSV), "2": Reply(b"no", 404), "3": Reply(b""), "4": Reply(CSV)}[number]

    more = ', for_each: {n: [1, 2, 3, 4]}, params: {n: "{{ n }}"}, answers: [{status: 404, do: skip}]'
    assert landed(tmp_path, answer, "{type: csv}", more).rows == 4


def test_what_a_format_leaves_out_of_a_response_is_logged(tmp_path):
    source, logs = source_of(tmp_path, "x: {path: /x, format: {type: csv, footer_lines: 1}}"), []
    with serving(lambda _: Reply(CSV + b"total,2\n")) as server:
        read(request_of(server, tmp_path, source, "x", log=logs.append))
    assert "shop.x: left out as the format says: 1 footer line" in logs


@pytest.mark.duckdb
def test_no_file_at_all_is_no_rows(tmp_path):
    assert landed(tmp_path, lambda _: Reply(b""), "{type: csv}").rows_read == 0


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(b"<!DOCTYPE html><p>sorry"), SourceUnavailableError, "expected a file, got a web page"),
        (Reply(b"", 202), SourceNotReadyError, "status 202"),
        (Reply(gzip.compress(CSV, mtime=0)[:-5]), BadDataError, "shop.x: "),
    ],
    ids=["page", "accepted", "cut"],
)
def test_what_is_no_file_of_data_is_an_error(tmp_path, reply, kind, words):
    with pytest.raises(kind, match=words):
        landed(tmp_path, lambda _: reply, "{type: csv}")


@pytest.mark.duckdb
def test_a_web_page_in_between_is_asked_for_again(tmp_path):
    assert landed(tmp_path, in_turn([Reply(b"<html>wait"), Reply(CSV)]), "{type: csv}").rows == 2


@pytest.mark.duckdb
def test_blank_lines_before_the_first_record_are_no_empty_file(tmp_path):
    body = b"\n" * 65 + b'{"id": 1}\n{"id": 2}\n'
    assert landed(tmp_path, lambda _: Reply(body), "{type: ndjson}").rows == 2
