"""A low-code manifest read by airbyte-cdk itself, from an API of this machine, into a warehouse: by hand.

ELT_REAL_CONNECTORS=1 .venv/bin/pytest -n0 tests/extract/test_real_manifest.py
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from extract_support import reply, serving
from manifest_support import MANIFEST

from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.sources.airbyte.discovery import look_at_connector
from elt_factory.testing.loads import WEEK, Line, source_of

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not os.environ.get("ELT_REAL_CONNECTORS"), reason="installs 80 packages"),
]
NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
CHANGES = {"write_disposition": "merge", "primary_key": ["id"], "sync": "incremental"}
TOKEN = "hunter2hunter2"


def test_two_windows_load_each_row_once_and_the_second_asks_from_the_state_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("ELT_CONNECTORS", os.environ.get("ELT_CONNECTORS") or str(tmp_path / "cache"))
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "shop.yaml").write_text(MANIFEST)
    users = [{"id": number, "zip": f"0{number}", "at": f"2013-01-0{number}"} for number in range(1, 6)]
    log = []

    def answer(asked):
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return reply({"error": "who?"}, status=401)
        newer = [user for user in users if user["at"] >= asked.params["from"]]
        page = int(asked.params.get("page", 1))
        return reply({"items": newer[2 * page - 2 : 2 * page]})

    def rows(line):
        return sorted((row["id"], row["zip"], str(row["at"])) for row in line.rows())

    with serving(answer) as server:
        extra = {"url": server.url, "token": TOKEN, "since": "2013-01-01"}
        connection = Connection("shop", "generic", extra=extra)
        extract = {"type": "airbyte", "manifest": "connectors/shop.yaml", "connection": "shop"}
        config = {"name": "shop", "extract": extract, "tables": {"users": CHANGES}}
        line = Line(source_of(config, tmp_path), connection, tmp_path, log.append)
        line.load(WEEK)
        assert rows(line) == [(number, f"0{number}", f"2013-01-0{number}") for number in range(1, 6)]
        assert {asked.params["from"] for asked in server.asked} == {"2013-01-01"}
        users += [{"id": 6, "zip": "06", "at": "2013-01-06"}, {"id": 5, "zip": "5", "at": "2013-01-07"}]
        server.asked.clear()
        line.load(NEXT_WEEK)
        assert {asked.params["from"] for asked in server.asked} == {"2013-01-05"}
        assert [(found[0], found[1]) for found in rows(line)] == [
            (1, "01"), (2, "02"), (3, "03"), (4, "04"), (5, "5"), (6, "06"),
        ]  # fmt: skip
        (tmp_path / "scratch").mkdir()
        found = look_at_connector(
            "shop", "connectors/shop.yaml", connection, (tmp_path, tmp_path / "scratch"), log.append
        )
        (table,) = found.tables
        assert (table.name, table.key.columns, table.changes) == ("users", ("id",), "its state")
    assert TOKEN not in "\n".join(log)
