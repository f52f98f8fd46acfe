from __future__ import annotations

import subprocess
import sys

import pytest
from extract_support import read_request

from elt_factory.extract.label import source_of
from elt_factory.sources.files import reader as files
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import reader as rest
from elt_factory.sources.sql import reader as sql

HEAVY = ("httpx", "msgspec", "pyarrow", "sqlalchemy", "psycopg", "duckdb", "airflow")


@pytest.mark.services
@pytest.mark.parametrize("module", ["read", "files.reader"])
def test_importing_the_door_to_the_readers_and_the_reader_of_folders_is_cheap(module):
    program = f"import sys, elt_factory.sources.{module}; print([name for name in {HEAVY} if name in sys.modules])"
    path = {"PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=path)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("extract", "table", "module"),
    [
        ({"type": "rest_api", "connection": "c"}, {"path": "/"}, rest),
        ({"type": "sql", "connection": "c"}, {}, sql),
        ({"type": "files"}, {"path": "*"}, files),
    ],
)
def test_every_kind_of_source_has_its_reader(tmp_path, monkeypatch, extract, table, module):
    monkeypatch.setattr(module, "read", lambda request: (module, request))
    request = read_request(tmp_path, extract, table)
    assert read(request) == (module, request)


def test_a_reader_refuses_a_source_of_another_kind(tmp_path):
    request = read_request(tmp_path, {"type": "files"}, {"path": "*"})
    with pytest.raises(TypeError, match="src is a FilesSource, not a str"):
        source_of(request, str)
