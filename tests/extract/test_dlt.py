"""dlt sources, by dlt itself: rows and its state are committed together, whatever ends the read."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from connectors_support import DLT, DLT_REQUIREMENTS, alive, until
from extract_support import reply, serving

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import load_text
from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadRequestError
from elt_factory.core.window import Window
from elt_factory.discover.writing import yaml_of
from elt_factory.sources.dlt.discovery import look_at_source, requirements_in
from elt_factory.testing.loads import WEEK, Line, source_of

pytestmark = pytest.mark.services
NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
CHANGES = {"write_disposition": "merge", "primary_key": ["id"], "sync": "incremental"}

SHOP = """
import datetime, decimal, os, time
import dlt

print("what a source prints is not a message")


@dlt.source
def shop(count: int = 3, api_key: str = dlt.secrets.value):
    @dlt.resource(primary_key="id")
    def orders(at=dlt.sources.incremental("changed", initial_value=datetime.datetime(2024, 1, 1))):
        print("the key is", api_key)
        with open("{folder}/asked", "a") as out:
            print(at.last_value, os.getpid(), file=out)
        for n in range(count):
            if n == 4 and os.path.exists("{folder}/hang"):
                os.remove("{folder}/hang")
                time.sleep(600)
            yield dict(id=n, changed=datetime.datetime(2024, 1, 1 + n), sum=decimal.Decimal("1.50"), tags=["a"])

    @dlt.resource
    def users():
        import pyarrow
        yield pyarrow.table(dict(id=[1, 2], name=["a", None]))

    return orders, users
"""


@pytest.fixture(autouse=True)
def installed(dlt_environments, monkeypatch):
    """Nothing, where dlt can be installed."""
    monkeypatch.setenv("ELT_CONNECTORS", str(dlt_environments))


@pytest.fixture
def log():
    return []


def line_of(folder: Path, log: list, table: str = "orders", count: int = 3, **spec) -> Line:
    (folder / "dlt").mkdir(exist_ok=True)
    (folder / "dlt" / "shop.py").write_text(SHOP.replace("{folder}", str(folder)))
    extract = {"type": "dlt", "package": DLT, "requirements": [*DLT_REQUIREMENTS], "source": "shop:shop"}
    extract |= {"arguments": {"count": count}, "connection": "shop_dlt"}
    config = {"name": "acme", "extract": extract, "tables": {table: CHANGES | spec}}
    connection = Connection("shop_dlt", "generic", extra={"sources": {"shop": {"api_key": "hunter2hunter2"}}})
    return Line(source_of(config, folder), connection, folder, log.append)


def asked(folder: Path) -> list[str]:
    """The cursor that each read has begun with."""
    return [line.rpartition(" ")[0] for line in (folder / "asked").read_text().splitlines()]


def test_a_load_begins_where_the_one_before_it_ended_and_one_that_is_killed_changes_nothing(tmp_path, log):
    assert line_of(tmp_path, log).load(WEEK).rows_loaded == 3
    (tmp_path / "hang").touch()
    code = "import sys; from pathlib import Path; from test_dlt import NEXT_WEEK, line_of; "
    code += "line_of(Path(sys.argv[1]), [], count=6).load(NEXT_WEEK)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    worker = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    until(lambda: len(asked(tmp_path)) == 2 and not (tmp_path / "hang").exists())
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    pid = (tmp_path / "asked").read_text().split()[-1]
    until(lambda: not alive(pid))
    line = line_of(tmp_path, log, count=6)
    assert sorted(row["id"] for row in line.rows()) == [0, 1, 2]
    assert line.load(NEXT_WEEK).rows_loaded == 3
    rows = sorted(line.rows(), key=lambda row: row["id"])
    assert [(row["id"], str(row["sum"]), str(row["changed"])[:10]) for row in rows] == [
        (n, "1.50", f"2024-01-0{n + 1}") for n in range(6)
    ]
    # the killed read and the one after it began with the state of the first load
    assert [text[:10] for text in asked(tmp_path)] == ["2024-01-01", "2024-01-03", "2024-01-03"]
    told = " ".join(log)
    assert "what a source prints is not a message" in told
    assert "hunter2" not in told


def test_a_first_load_goes_on_from_the_state_of_another_pipeline(tmp_path, log):
    seen = {"initial_value": None, "last_value": "\uf0272024-01-02T00:00:00Z", "unique_hashes": []}
    state = {"sources": {"shop": {"resources": {"orders": {"incremental": {"changed": seen}}}}}}
    line = line_of(tmp_path, log, initial_state=state)
    line.load(WEEK)
    assert sorted(row["id"] for row in line.rows()) == [1, 2]


def test_arrow_is_rows_and_all_of_them_come_with_every_load(tmp_path, log):
    line = line_of(tmp_path, log, "users", write_disposition="replace", sync="full")
    assert line.load(WEEK).rows_loaded == 2
    assert sorted((row["id"], row["name"]) for row in line.rows()) == [(1, "a"), (2, None)]


def test_dlts_own_rest_api_asks_for_what_is_newer_than_the_rows_of_the_load_before(tmp_path, log):
    records = [{"id": n, "changed": f"2024-01-0{n + 1}"} for n in range(3)]
    with serving(lambda _: reply(records)) as server:
        endpoint = {"path": "posts", "incremental": {"start_param": "since", "cursor_path": "changed"}}
        endpoint["incremental"]["initial_value"] = "2023-12-31"
        client = {"base_url": f"{server.url}/", "paginator": "single_page", "auth": {"type": "bearer"}}
        api = {"client": client, "resources": [{"name": "posts", "primary_key": "id", "endpoint": endpoint}]}
        extract = {"type": "dlt", "package": DLT, "requirements": [*DLT_REQUIREMENTS], "rest_api": api}
        config = {"name": "acme", "extract": {**extract, "connection": "api"}, "tables": {"posts": CHANGES}}
        extra = {"rest_api": {"client": {"auth": {"token": "hunter2hunter2"}}}}
        line = Line(source_of(config, tmp_path), Connection("api", "generic", extra=extra), tmp_path, log.append)
        assert line.load(WEEK).rows_loaded == 3
        records.append({"id": 3, "changed": "2024-01-04"})
        line.load(NEXT_WEEK)
    assert [one.params["since"] for one in server.asked] == ["2023-12-31", "2024-01-03"]
    assert {one.headers["Authorization"] for one in server.asked} == {"Bearer hunter2hunter2"}
    assert sorted(row["id"] for row in line.rows()) == [0, 1, 2, 3]


def test_a_resource_that_is_not_there_is_an_error_for_good(tmp_path, log):
    with pytest.raises(BadRequestError, match='has no resource "order"; it has orders, users'):
        line_of(tmp_path, log, "order").load(WEEK)


def test_a_secret_that_the_connection_does_not_have_is_named(tmp_path, log):
    line = replace(line_of(tmp_path, log), connection=Connection("shop_dlt", "generic"))
    with pytest.raises(BadRequestError, match=r'no "api_key": write it into the extra of the connection'):
        line.load(WEEK)


def test_a_module_that_is_not_there_is_an_error_for_good(tmp_path, log):
    line = line_of(tmp_path, log)
    extract = line.source.extract.model_copy(update={"source": "shoop"})
    with pytest.raises(BadRequestError, match='module "shoop" was not found'):
        replace(line, source=line.source.model_copy(update={"extract": extract})).load(WEEK)


def test_new_writes_a_config_of_a_source_that_dlt_init_has_laid_out(tmp_path, log, monkeypatch):
    line = line_of(tmp_path, log)
    monkeypatch.setattr("elt_factory.sources.dlt.discovery.pinned", lambda *_: DLT)
    (tmp_path / "dlt" / "requirements.txt").write_text("dlt[duckdb]>=1.31.0\npyarrow>=20\n")
    (tmp_path / "scratch").mkdir()
    folders = tmp_path, tmp_path / "scratch"
    found = look_at_source("acme", "shop", line.connection, folders, log.append)
    config = load_text(tmp_path / "acme.yaml", yaml_of("acme", found, {}), tmp_path).config
    assert config.extract.requirements == ("pyarrow>=20",)
    assert (config.tables["orders"].sync, config.tables["orders"].primary_key) == ("incremental", ("id",))
    assert config.tables["users"].write_disposition == "replace"


def test_requirements_are_those_that_name_a_version(tmp_path):
    text = "dlt[duckdb]>=1.31\ndlt-thing>=1\npandas\n# x\ngoogle-auth==2.40 ; python_version > '3'\n-r other.txt\n"
    (tmp_path / "requirements.txt").write_text(text)
    assert requirements_in(tmp_path) == ("dlt-thing>=1", "google-auth==2.40")


@pytest.mark.parametrize(
    ("extract", "text"),
    [
        ({}, "needs source or rest_api"),
        ({"source": "shop", "rest_api": {"client": {}}}, "needs source or rest_api, and not both"),
        ({"source": "shop.py"}, None),
        ({"source": "../shop"}, "not a module and a source"),
        ({"source": "shop", "folder": "../other"}, "not a folder of the project"),
        ({"rest_api": {"client": {"auth": {"token": "abcdefgh1"}}}}, "contains a secret"),
        ({"source": "shop", "arguments": {"api_key": "abcdefgh1"}}, "contains a secret"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(extract, text, tmp_path):
    config = {
        "name": "acme",
        "extract": {"type": "dlt", "package": DLT, **extract},
        "tables": {"orders": {"write_disposition": "replace"}},
    }
    if text is None:
        source_of(config, tmp_path)
        return
    with pytest.raises(ConfigError, match=text):
        source_of(config, tmp_path)
