"""What a table of a JSON API says for itself, and what it has from `extract`."""

from __future__ import annotations

import pytest
from extract_support import SECRET, reply, serving
from rest_support import records_of

from elt_factory.core.failures import SourceUnavailableError
from elt_factory.sources.rest_api import http
from elt_factory.sources.rest_api.exchange import Patience

EXTRACT = """
paginator: {type: cursor, cursor_path: next}
headers: {Accept: application/json, X-Team: data}
params: {api_version: 2, lang: en}
"""


def test_each_table_pages_in_its_own_way(tmp_path):
    def answer(asked):
        if asked.path == "/by-cursor":
            at = int(asked.params.get("cursor", 1))
            return reply({"items": [{"id": at}], "next": at + 1 if at < 3 else None})
        page = int(asked.params["page"])
        return reply({"items": [{"id": page}] if page <= 2 else []})

    tables = """
    orders: {path: /by-cursor, records: items}
    refunds: {path: /by-number, records: items, paginator: {type: page_number}}
    """
    with serving(answer) as server:
        assert [r["id"] for r in records_of(server, tmp_path, tables, "orders", EXTRACT)] == [1, 2, 3]
        assert [r["id"] for r in records_of(server, tmp_path, tables, "refunds", EXTRACT)] == [1, 2]


def test_headers_and_params_of_a_table_go_over_those_of_all_tables(tmp_path):
    tables = """
    orders: {path: /orders}
    refunds: {path: /refunds, headers: {accept: text/json}, params: {lang: de, from: "{{ window.start | date }}"}}
    """
    extract = EXTRACT.replace("paginator: {type: cursor, cursor_path: next}", "")
    with serving(lambda _: reply([])) as server:
        records_of(server, tmp_path, tables, "orders", extract)
        records_of(server, tmp_path, tables, "refunds", extract)
    first, second = server.asked
    assert first.params == {"api_version": "2", "lang": "en"}
    assert (first.headers["Accept"], first.headers["X-Team"]) == ("application/json", "data")
    assert second.params == {"api_version": "2", "lang": "de", "from": "2013-01-01"}
    lowered = [(name.lower(), text) for name, text in second.headers.items()]
    assert [text for name, text in lowered if name == "accept"] == ["text/json"]
    assert ("x-team", "data") in lowered


def test_a_table_sends_no_credentials_where_it_says_so(tmp_path):
    tables = """
    orders: {path: /orders}
    public: {path: /public, auth: {type: none}}
    keyed: {path: /keyed, auth: {type: api_key, param: key}}
    """
    with serving(lambda _: reply([])) as server:
        for table in ("orders", "public", "keyed"):
            records_of(server, tmp_path, tables, table, connection=server.connection(password=SECRET))
    orders, public, keyed = server.asked
    assert orders.headers["Authorization"] == f"Bearer {SECRET}"
    assert "Authorization" not in public.headers
    assert "Authorization" not in keyed.headers
    assert keyed.params == {"key": SECRET}


def test_a_table_has_its_own_time_out(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=1))
    slow = reply([{"id": 1}] * 3)
    tables = "quick: {path: /q, timeout: 1s}\nslow: {path: /s}\n"
    with serving(lambda _: type(slow)(slow.body, pause=0.5)) as server:
        with pytest.raises(SourceUnavailableError, match="total timeout of 1 s"):
            records_of(server, tmp_path, tables, "quick")
        assert len(records_of(server, tmp_path, tables, "slow")) == 3
