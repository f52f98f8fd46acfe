"""`elt doctor` with each fault planted: one line names it, says what to change, and the others stay well."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest
from cli_support import ORDERS, Project

from elt_factory.cli.health import clock, installed, workers
from elt_factory.core import kinds

Lines = Callable[..., list[dict[str, str]]]
BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
OTHER_BUNDLE = json.dumps([{"name": "x", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}])
SHOP = "name: shop\nowner: us\nextract: {{type: rest_api, connection: shop_api}}\ntables: {{orders: {{path: /o}}}}\n{}"
DBT = "name: marts\nowner: us\nstart_date: 2024-01-01\ntransform: {dbt: {select: 'tag:x'}}\n"
SNOWFLAKE = {"account": "a", "database": "d"}


@pytest.fixture
def healthy(project: Project, airflow_db: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project in which the doctor finds nothing wrong."""
    project.write("orders", ORDERS)
    connect(monkeypatch, "warehouse", "duckdb", host="data/warehouse.duckdb")
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", "data/landing")
    with pool(1):
        yield project


@pytest.fixture
def wrong(healthy: Project) -> Lines:
    """Return the lines that are not well; of one status where it is given."""

    def ask() -> list[dict[str, str]]:
        done = healthy.elt("doctor", "--json")
        lines = json.loads(done.stdout)
        assert done.exit_code == any(line["status"] == "error" for line in lines)
        found = [line for line in lines if line["status"] != "ok"]
        assert all(line["hint"] for line in found)
        return found

    return ask


def connect(monkeypatch: pytest.MonkeyPatch, name: str, conn_type: str, **fields: object) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": conn_type, **fields}))


class pool:  # noqa: N801
    """The pool of the warehouse with some slots, or none at all."""

    def __init__(self, slots: int | None) -> None:
        self.slots = slots

    def __enter__(self) -> None:
        self._set(self.slots)

    def __exit__(self, *_: object) -> None:
        self._set(1)

    def _set(self, slots: int | None) -> None:
        from airflow.models import Pool
        from airflow.utils.session import create_session
        from sqlalchemy import delete

        with create_session() as session:
            session.execute(delete(Pool).where(Pool.pool == "warehouse"))
            if slots is not None:
                session.add(Pool(pool="warehouse", slots=slots, description="", include_deferred=False))


def one(lines: list[dict[str, str]], what: str, status: str) -> tuple[str, str]:
    """The one line there should be: what was found, and the hint."""
    assert [(line["what"], line["status"]) for line in lines] == [(what, status)], lines
    return lines[0]["found"], lines[0]["hint"]


def test_a_healthy_project_is_well_line_by_line_and_nothing_is_left_behind(healthy: Project):
    before = sorted(healthy.root.rglob("*"))
    done = healthy.elt("doctor")
    assert done.exit_code == 0, done.output
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    named = [line.split()[1] for line in done.stdout.splitlines()]
    assert {"python", "packages", "plugin", "kinds", "settings", "bundle", "connections", "pool", "clock"} <= set(named)
    assert sorted(healthy.root.rglob("*")) == before


def test_an_old_python(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(installed.platform, "python_version", lambda: "3.9.7")
    assert one(wrong(), "python", "error")[0] == "3.9.7, needs >=3.11"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("duckdb", "1.4.0"),
        ("apache-airflow", "3.1.0"),
        ("croniter", ""),
        # of an extra, which is installed
        ("dbt-core", "1.12.0"),
    ],
)
def test_a_package_in_a_version_that_does_not_fit(wrong: Lines, monkeypatch: pytest.MonkeyPatch, name, version):
    real = metadata.version

    def other(asked: str) -> str:
        if asked == name and not version:
            raise metadata.PackageNotFoundError
        return version if asked == name else real(asked)

    monkeypatch.setattr(installed.metadata, "version", other)
    found, hint = one(wrong(), "packages", "error")
    assert found.startswith(f"{name} {version}" if version else f"{name} is not installed")
    assert hint.startswith(f"pip install '{name}")


def test_a_package_of_an_extra_that_is_not_installed_is_well(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    real = metadata.version

    def without(asked: str) -> str:
        if asked in ("dbt-core", "pytest"):
            raise metadata.PackageNotFoundError
        return real(asked)

    monkeypatch.setattr(installed.metadata, "version", without)
    assert wrong() == []


def test_a_plugin_that_airflow_has_not_loaded(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airflow.plugins_manager.get_deadline_references_plugins", dict)
    assert "has not loaded the plugin" in one(wrong(), "plugin", "error")[0]


def test_a_plugin_that_does_not_import(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airflow.plugins_manager.get_import_errors", lambda: {"elt_factory_plugin.py": "No module x"})
    assert one(wrong(), "plugin", "error")[0] == "elt_factory_plugin.py: No module x"


@pytest.mark.parametrize("group", ["sensors", "column_checks", "table_checks", "sources"])
def test_a_kind_of_another_package_that_does_not_import(wrong: Lines, monkeypatch: pytest.MonkeyPatch, group):
    there = {f"elt_factory.{group}": {"queue": "no_such_package:KIND"}}
    monkeypatch.setattr(kinds, "_installed", lambda asked: there.get(asked, {}))
    assert f'"queue" of elt_factory.{group}' in one(wrong(), "kinds", "error")[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRFLOW__COSMOS__ENABLE_TELEMETRY", "True"),
        ("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "30"),
        ("DBT_SEND_ANONYMOUS_USAGE_STATS", ""),
    ],
)
def test_a_setting_of_airflow_that_differs(wrong: Lines, monkeypatch: pytest.MonkeyPatch, name, value):
    monkeypatch.setenv(name, value)
    found, hint = one(wrong(), "settings", "warning")
    assert found == f"{name} is {value or 'not set'}"
    assert hint.startswith(f"set the environment variable {name}=")


def test_no_bundle_is_a_warning_where_a_loader_is_there_and_an_error_elsewhere(
    healthy: Project, wrong: Lines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(BUNDLES, OTHER_BUNDLE)
    # as Airflow has it: with the bundle's a change of a config would be read a day later
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "30")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(healthy.root / "dags"))
    assert f"{BUNDLES}='[{{" in one(wrong(), "bundle", "error")[1]
    (healthy.root / "dags").mkdir()
    (healthy.root / "dags" / "sources.py").write_text("from elt_factory.dag.loader import load_dags\n")
    assert "one DAG file" in one(wrong(), "bundle", "warning")[0]


def test_a_config_that_is_invalid(healthy: Project, wrong: Lines):
    healthy.write("bad", "nme: x\n")
    assert one(wrong(), "configs", "error") == ("1 of dag_configs are invalid: bad.yaml", "elt validate")


def test_no_configs(healthy: Project, wrong: Lines):
    (healthy.configs / "orders.yaml").unlink()
    assert "ELT_PROJECT" in one(wrong(), "configs", "warning")[1]


def test_a_connection_that_does_not_exist(healthy: Project, wrong: Lines):
    healthy.write("shop", SHOP.format("alerts: {to: [slack_data]}\n"))
    found = [line["found"] for line in wrong()]
    assert found == [
        'dag_configs/shop.yaml:3: unknown Airflow connection "shop_api"',
        'dag_configs/shop.yaml:5: unknown Airflow connection "slack_data"',
    ]


@pytest.mark.parametrize(("conn_type", "status"), [("postgres", "error"), ("fs", "error"), ("generic", "warning")])
def test_a_connection_of_a_type_that_does_not_fit(
    healthy: Project, wrong: Lines, monkeypatch: pytest.MonkeyPatch, conn_type, status
):
    healthy.write("shop", SHOP.format(""))
    connect(monkeypatch, "shop_api", conn_type)
    found, hint = one(wrong(), "connections", status)
    assert found == f'dag_configs/shop.yaml:3: the connection "shop_api" has the type "{conn_type}"'
    assert hint == "the type should be http or https"


@pytest.mark.parametrize("conn_type", ["http", "https"])
def test_a_connection_of_a_type_that_fits(healthy: Project, wrong: Lines, monkeypatch, conn_type):
    healthy.write("shop", SHOP.format(""))
    connect(monkeypatch, "shop_api", conn_type)
    assert wrong() == []


def test_a_sensor_with_a_connection_of_another_type(healthy: Project, wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    healthy.write("shop", SHOP.format('sensors: {before_extract: [{sql: {connection: db, query: "select 1"}}]}\n'))
    connect(monkeypatch, "shop_api", "http")
    connect(monkeypatch, "db", "http")
    assert "postgres or postgresql or sqlite or mysql" in one(wrong(), "connections", "error")[1]
    connect(monkeypatch, "db", "oracle")  # whatever SQLAlchemy reaches
    assert wrong() == []


def test_no_warehouse(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE")
    found = {line["what"]: (line["found"], line["hint"]) for line in wrong()}
    assert found["warehouse"][0] == 'unknown Airflow connection "warehouse"'
    assert found["warehouse"][1].startswith("create it under Admin > Connections")


def test_a_warehouse_of_another_type(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    connect(monkeypatch, "warehouse", "postgres", host="db")
    (line,) = [line for line in wrong() if line["status"] == "error"]
    assert (line["what"], line["hint"]) == ("warehouse", "a warehouse needs type duckdb or snowflake")


def test_a_warehouse_file_that_is_damaged(healthy: Project, wrong: Lines):
    (healthy.root / "data").mkdir(mode=0o700)
    (healthy.root / "data" / "warehouse.duckdb").write_bytes(b"no such thing" * 2000)
    assert "warehouse.duckdb" in one(wrong(), "warehouse", "error")[0]


@pytest.mark.parametrize(
    ("slots", "found"), [(4, "one process at a time"), (0, "has no slots"), (None, "does not exist")]
)
def test_a_pool_that_does_not_fit_duckdb(wrong: Lines, slots, found):
    with pool(slots):
        said, hint = one(wrong(), "pool", "error")
    assert found in said
    assert hint.startswith("airflow pools set warehouse 1 ")


def test_a_pool_of_one_slot_is_little_on_snowflake(wrong: Lines, monkeypatch: pytest.MonkeyPatch, fake_snowflake):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fake_snowflake.fields(network_timeout=30)))
    assert "one at a time" in one(wrong(), "pool", "warning")[0]
    with pool(16):
        assert wrong() == []


@pytest.mark.parametrize("module", ["cosmos", "dbt.cli", "dbt.adapters.duckdb"])
def test_dbt_is_missing_where_a_config_uses_it(healthy: Project, wrong: Lines, monkeypatch, module):
    manifest(healthy)
    monkeypatch.setitem(sys.modules, module, None)
    assert wrong() == []
    healthy.write("marts", DBT)
    found, hint = one(wrong(), "dbt", "error")
    assert found == f"{module} is not installed, and marts transform with dbt"
    assert hint == 'pip install "elt-factory[dbt]"'


def test_a_connection_that_makes_no_profile(healthy: Project, wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    healthy.write("marts", DBT)
    manifest(healthy)
    connect(monkeypatch, "warehouse", "snowflake", login="u", extra={"account": "a"})
    lines = {line["what"]: line["found"] for line in wrong()}
    assert "database" in lines["dbt"]


def test_a_manifest_that_is_missing_or_older_than_the_dbt_project(healthy: Project, wrong: Lines):
    healthy.write("marts", DBT)
    assert one(wrong(), "manifest", "error")[1] == "elt setup"
    folder = manifest(healthy)
    assert wrong() == []
    (folder / "models").mkdir()
    (folder / "models" / "new.sql").write_text("select 1")
    assert one(wrong(), "manifest", "warning")[1] == "elt setup"


def manifest(project: Project) -> Path:
    """A dbt project whose manifest is as new as it is."""
    folder = project.root / "include" / "dbt"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text("name: x\n")
    (folder / "target").mkdir(exist_ok=True)
    (folder / "target" / "manifest.json").write_text("{}")
    return folder


@pytest.mark.parametrize("landing", ["dag_configs/orders.yaml/landing"])
def test_a_landing_that_cannot_be_written_to(wrong: Lines, monkeypatch: pytest.MonkeyPatch, landing):
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", landing)
    assert one(wrong(), "landing", "error")[0].startswith("cannot write to ")


def test_a_landing_in_a_storage_that_is_unknown(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_VAR_ELT_LANDING", "ftp://host/landing")
    assert {line["what"] for line in wrong()} == {"landing", "disk"}


def test_a_landing_that_others_may_read(healthy: Project, wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    folder = healthy.root / "data" / "landing"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    folder.chmod(0o755)
    assert one(wrong(), "landing", "warning")[1] == f"chmod go-rwx {folder}"
    monkeypatch.setenv("ELT_UMASK", "007")
    folder.chmod(0o775)
    assert one(wrong(), "landing", "warning")[1] == f"chmod o-rwx {folder}"
    folder.chmod(0o770)
    assert wrong() == []


def test_workers_on_several_machines_share_the_landing_and_the_warehouse(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "_executors", lambda: ["LocalExecutor", "CeleryExecutor"])
    landing, warehouse = ((line["found"], line["hint"]) for line in wrong() if line["what"] == "workers")
    assert "landings are in the folder" in landing[0]
    assert "elt_landing" in landing[1]
    assert "data/warehouse.duckdb of one machine" in warehouse[0]

    connect(monkeypatch, "warehouse", "snowflake", login="me", password="not so short", extra=SNOWFLAKE)
    monkeypatch.setattr(workers, "landing_root", lambda: "s3://landings/elt")
    assert [(line.status, line.found) for line in workers.workers()] == [
        ("ok", "LocalExecutor, CeleryExecutor: they share s3://landings/elt")
    ]


def test_a_warehouse_folder_that_cannot_be_written_to(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    connect(monkeypatch, "warehouse", "duckdb", host="/proc/data/warehouse.duckdb")
    lines = {line["what"]: line["found"] for line in wrong()}
    assert lines["folder"].startswith("cannot write to /proc")


def test_scratch_space_that_cannot_be_written_to(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    lines = {line["what"]: line["found"] for line in wrong()}
    assert lines["scratch"].startswith("cannot write to /proc")


def test_scratch_space_that_somebody_else_has_prepared(wrong: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = installed_root(tmp_path)
    own.chmod(0o777)
    assert "writable by every user" in one(wrong(), "scratch", "error")[0]


def installed_root(tmp_path: Path) -> Path:
    from elt_factory.core.private import own_root

    assert own_root().parent == tmp_path
    own_root().mkdir()
    return own_root()


@pytest.mark.parametrize(("free", "status"), [(5e8, "warning"), (5e7, "error")])
def test_a_disk_that_is_nearly_full(wrong: Lines, monkeypatch: pytest.MonkeyPatch, free, status):
    usage = shutil.disk_usage("/")._replace(free=int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    lines = wrong()
    assert {(line["what"], line["status"]) for line in lines} == {("disk", status)}
    assert f"{free / 1e6:,.0f} MB free for" in lines[0]["found"]


@pytest.fixture
def zone_data(tmp_path: Path) -> Iterator[Path]:
    """The only folder that Python takes zones from."""
    folder = tmp_path / "zoneinfo"
    folder.mkdir()
    known = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(folder)])
    zoneinfo.ZoneInfo.clear_cache()
    yield folder
    zoneinfo.reset_tzpath(known)
    zoneinfo.ZoneInfo.clear_cache()


def test_zone_data_that_are_out_of_date(healthy: Project, wrong: Lines, zone_data: Path):
    import tzdata

    shipped = Path(tzdata.__file__).parent / "zoneinfo"
    (zone_data / "America").mkdir()
    shutil.copy(shipped / "UTC", zone_data)
    shutil.copy(shipped / "Etc" / "GMT+5", zone_data / "America" / "New_York")  # as if it had no summer time
    healthy.write("orders", f"timezone: America/New_York\n{ORDERS}")
    assert one(wrong(), "zones", "warning")[0] == "Python and DuckDB disagree on the time in America/New_York"


def test_no_zone_data(wrong: Lines, zone_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tzdata", None)
    (line,) = [line for line in wrong() if line["what"] == "zones"]
    assert (line["status"], line["hint"]) == ("error", "pip install tzdata")


def test_a_clock_that_is_off(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clock, "_ahead_of_database", lambda: clock.ahead(datetime.now(UTC) + timedelta(seconds=90)))
    assert one(wrong(), "clock", "warning")[0] == "this machine is 90 s behind Airflow's database"


def test_a_check_that_fails_is_an_error_and_the_others_are_made(wrong: Lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(BUNDLES, "no JSON")
    found, _ = one(wrong(), "settings", "error")
    assert found.startswith("cannot be checked: ")
