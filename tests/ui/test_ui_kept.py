"""What the page keeps: the list beyond the end of a server, the answers of a warehouse that costs."""

import json
import os
import stat
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest

from elt_factory.core.failures import WarehouseUnavailableError
from elt_factory.ui.kept import AsleepError, KeptAnswers
from elt_factory.ui.listing import last_loads_sql
from elt_factory.warehouse.duckdb.warehouse import DIALECT, DuckDBWarehouse


def noon_in(days: int) -> type[datetime]:
    """A clock that shows noon of a day: whatever the day's window was to be done by, it is."""

    class Noon(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone).replace(hour=12) + timedelta(days=days)

    return Noon


@contextmanager
def run_that_succeeds(source: str, start: datetime, end: datetime):
    """Airflow has a run of a window, which has succeeded an hour after its end."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        run = DagRun(source, "r", run_type="scheduled", logical_date=start, run_after=end, data_interval=(start, end))
        run.state, run.end_date = "success", end + timedelta(hours=1)
        session.add(run)
    yield
    with create_session() as session:
        session.query(DagRun).filter(DagRun.dag_id == source, DagRun.run_id == "r").delete()


def keeper_of(file: Path, of: str = "this project"):
    from pydantic import TypeAdapter

    from elt_factory.ui.kept_picture import KeptFile
    from elt_factory.ui.picture import Picture, PictureKeeper

    return PictureKeeper(lambda: KeptFile(TypeAdapter(Picture), file, of))


@pytest.mark.usefixtures("api")
def test_a_server_that_begins_shows_the_list_of_the_one_before_while_it_reads_all_of_it(tmp_path, monkeypatch):
    first = keeper_of(tmp_path / "kept.json").picture()
    assert first.note == ""
    assert stat.S_IMODE((tmp_path / "kept.json").stat().st_mode) == 0o600
    keeper, may_read = keeper_of(tmp_path / "kept.json"), Event()
    read = keeper._read

    def slowly():
        assert may_read.wait(30)
        return read()

    monkeypatch.setattr(keeper, "_read", slowly)
    shown = keeper.picture()  # nothing is read for it
    assert (shown.rows, shown.verdicts, shown.broken) == (first.rows, first.verdicts, list(first.broken))
    assert "before Airflow started" in shown.note
    assert keeper.picture() is shown
    may_read.set()
    for _ in range(200):
        if keeper.picture().note == "":
            break
        Event().wait(0.05)
    assert keeper.picture().note == ""


@pytest.mark.usefixtures("api")
def test_the_very_first_list_over_many_loads_is_of_the_newest_windows_while_all_of_it_is_read(tmp_path, monkeypatch):
    from elt_factory.ui import tables

    monkeypatch.setattr(tables, "_MANY", 10)
    monkeypatch.setattr(tables, "_NEWEST", 3)
    keeper, may_read = keeper_of(tmp_path / "kept.json"), Event()
    read = keeper._read

    def slowly():
        assert may_read.wait(30)
        return read()

    monkeypatch.setattr(keeper, "_read", slowly)
    first = keeper.picture()
    assert "from the newest 3 windows of each table" in first.note
    assert not (tmp_path / "kept.json").exists()
    may_read.set()
    for _ in range(200):
        if keeper.picture().note == "":
            break
        Event().wait(0.05)
    before, after = ({(row.source, row.table): row for row in one.all_rows()} for one in (first, keeper.picture()))
    assert before.keys() == after.keys()
    orders = "orders", "orders"
    assert before[orders].loads == after[orders].loads[-3:]
    assert len(after[orders].loads) == 11
    same = ("state", "loaded_at", "window_end", "business_date", "open_rejects", "rows_rejected", "next_run_at")
    for key, row in before.items():
        assert [getattr(row, name) for name in same] == [getattr(after[key], name) for name in same], key


@pytest.mark.usefixtures("api")
def test_a_list_of_the_newest_windows_says_so_next_to_what_else_is_to_be_said(monkeypatch):
    from elt_factory.ui import tables
    from elt_factory.warehouse.duckdb import replica

    reading = replica.AuditReplica.reading

    @contextmanager
    def with_note(self):
        with reading(self) as copy:
            monkeypatch.setattr(copy, "note", "a copy of before")
            yield copy

    monkeypatch.setattr(tables, "_MANY", 10)
    monkeypatch.setattr(replica.AuditReplica, "reading", with_note)
    with tables.newest_tables() as found:
        assert found.note == f"{found.part}; a copy of before"
        assert "newest 45 windows" in found.part


@pytest.mark.usefixtures("api")
def test_the_list_of_another_project_or_shape_is_not_taken(tmp_path):
    keeper_of(tmp_path / "kept.json").picture()
    assert keeper_of(tmp_path / "kept.json", "another project").picture().note == ""
    (tmp_path / "kept.json").write_text("1\n{}")
    assert keeper_of(tmp_path / "kept.json").picture().note == ""
    assert keeper_of(tmp_path / "folder" / "that" / "is.json").picture().note == ""


@pytest.mark.usefixtures("api")
def test_a_list_is_made_with_as_many_statements_however_many_sources_there_are(project, monkeypatch):
    from elt_factory.ui import estate, judged, picture

    asked: list[str] = []
    query = DuckDBWarehouse.query

    def noted(self, statement, *more):
        asked.append(statement)
        return query(self, statement, *more)

    def statements():
        estate._readers.clear()
        asked.clear()
        keeper = keeper_of(project / "not kept" / "x.json")
        monkeypatch.setattr(picture, "table_states", lambda: judged.table_states(judged.AuditKeeper()))
        keeper._read()
        return len(asked), asked.count(last_loads_sql(DIALECT))

    monkeypatch.setattr(DuckDBWarehouse, "query", noted)
    statements()  # the first look at a copy asks for its shape, too
    few = statements()
    assert few[1] == 1  # the loads of all tables
    text = (project / "dag_configs" / "orders.yaml").read_text()
    made = [project / "dag_configs" / f"more_{number}.yaml" for number in range(20)]
    for file in made:
        file.write_text(text.replace("name: orders", f"name: {file.stem}"))
    try:
        assert statements() == few
    finally:
        for file in made:
            file.unlink()
        estate._readers.clear()


def costly():
    opened = []

    @contextmanager
    def warehouse():
        opened.append(1)
        with DuckDBWarehouse(Path(":memory:")) as found:
            yield found

    return KeptAnswers(warehouse), opened


def test_a_warehouse_that_costs_is_asked_once_just_after_a_run():
    kept, opened = costly()
    now = datetime.now(UTC)
    kept.upto("first run", now, now)
    version = kept.version
    answers = [kept.upto("first run", now, now).query("SELECT 1").rows for _ in range(3)]
    assert (answers, len(opened)) == ([[(1,)]] * 3, 1)
    asked_at = kept.asked_at
    assert kept.changed_since(version) == ()
    kept.upto("second run", now, now)
    assert (kept.changed_since(version), kept.asked_at) == (None, None)
    assert kept.query("SELECT 1").rows == [(1,)]
    assert len(opened) == 2
    assert kept.asked_at > asked_at


def test_a_warehouse_that_rests_is_asked_only_when_someone_says_so():
    kept, opened = costly()
    now = datetime.now(UTC)
    long_ago = now - timedelta(hours=3)
    kept.upto("a run of this morning", long_ago, now)
    with pytest.raises(WarehouseUnavailableError, match="Ask the warehouse now"):
        kept.query("SELECT 1")
    assert opened == []
    kept.ask_again("a run of this morning", now)
    assert kept.query("SELECT 1").rows == [(1,)]
    # what is known stays, and that there may be news is said
    kept.upto("a run at noon", long_ago + timedelta(hours=1), now)
    assert kept.query("SELECT 1").rows == [(1,)]
    assert (len(opened), kept.note) == (1, "a run may have ended since")


def test_answers_of_before_the_last_run_are_shown_until_they_are_asked_again(monkeypatch):
    kept, opened = costly()
    now = datetime.now(UTC)
    kept.upto("a run of A", now, now)
    assert kept.query("SELECT 'A'").rows == [("A",)]
    kept.upto("a run of B", now, now)
    assert kept.query("SELECT 'B'").rows == [("B",)]
    monkeypatch.setattr(kept, "_awake_until", now)
    assert kept.note == ""
    assert kept.query("SELECT 'A'").rows == [("A",)]
    assert (len(opened), "a run has ended since" in kept.note) == (2, True)
    with pytest.raises(WarehouseUnavailableError):
        kept.query("SELECT 'C'")
    kept.ask_again("a run of B", now)
    assert (kept.query("SELECT 'A'").rows, kept.note, len(opened)) == ([("A",)], "", 3)


def test_a_connection_that_is_edited_has_no_answer_of_the_warehouse_before():
    from elt_factory.core.connection import Connection
    from elt_factory.ui.tables import _answers_of, _of_warehouse

    def answers(database: str, password: str = "x") -> KeptAnswers:
        extra = {"account": "a", "database": database}
        return _answers_of(Connection("warehouse", "snowflake", login="u", password=password, extra=extra))

    assert answers("BEFORE") is answers("BEFORE", "changed") is not answers("AFTER")
    # nor is anything of the one before taken for what has not changed since
    since = _of_warehouse("after", lambda seen: () if seen == 0 else None)
    assert (since(("after", 0)), since(("before", 0)), since(0)) == ((), None, None)


def files_of(folder: Path, kind: str, warehouse: str):
    from pydantic import TypeAdapter

    from elt_factory.ui import kept_picture

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_picture, "kept_folder", lambda: folder)
        return kept_picture.kept_file(TypeAdapter(list[str]), kind, warehouse)


def test_a_connection_that_is_edited_again_and_again_leaves_few_files(tmp_path):
    from elt_factory.ui.kept_picture import MOST_FILES

    files_of(tmp_path, "picture", "first").save(["of another kind"])
    os.utime(files_of(tmp_path, "picture", "first")._file, (1, 1))
    for number in range(MOST_FILES + 3):
        of = files_of(tmp_path, "audit", f"warehouse {number}")
        of.save([str(number)])
        os.utime(of._file, (1000 + number, 1000 + number))
    kept = [files_of(tmp_path, "audit", f"warehouse {number}").load() for number in range(MOST_FILES + 3)]
    assert [found and found[0] for found in kept] == [None] * 3 + [[str(number)] for number in range(3, MOST_FILES + 3)]
    assert files_of(tmp_path, "picture", "first").load()[0] == ["of another kind"]
    # the one that is written stays, whatever the clock of the machine that wrote the others
    for file in tmp_path.iterdir():
        os.utime(file, (2**33, 2**33))
    files_of(tmp_path, "audit", "warehouse 0").save(["again"])
    assert files_of(tmp_path, "audit", "warehouse 0").load()[0] == ["again"]
    assert len(list(tmp_path.glob("audit-*"))) == MOST_FILES


def test_what_a_process_that_was_killed_left_half_written_is_removed_and_what_another_writes_now_is_not(tmp_path):
    of = files_of(tmp_path, "audit", "warehouse")
    left, now, other = (tmp_path / name for name in ("audit-0.json.1", "audit-1.json.2", "picture-0.json.1"))
    for file in (left, now, other):
        file.write_text("half")
    for file in (left, other):
        os.utime(file, (1000, 1000))
    of.save(["whole"])
    assert set(tmp_path.iterdir()) == {of._file, now, other}
    files_of(tmp_path, "picture", "warehouse").save(["whole"])
    assert not other.exists()


def test_what_cannot_be_written_leaves_nothing_half_written(tmp_path, monkeypatch):
    of = files_of(tmp_path, "audit", "warehouse")
    of.save(["before"])

    def full(self, content):
        self.touch()
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space"):
        of.save(["after"])
    assert ([*tmp_path.iterdir()], of.load()[0]) == ([of._file], ["before"])


def test_what_is_too_large_is_not_kept_and_the_log_says_so(tmp_path, monkeypatch, caplog):
    from elt_factory.ui import kept_picture

    of = files_of(tmp_path, "audit", "warehouse")
    of.save(["small"])
    monkeypatch.setattr(kept_picture, "MOST_BYTES", 100)
    kept_picture.keep(lambda: of, [f"{number}" for number in range(1000)])
    assert "bytes are more than 100" in caplog.text
    assert ([*tmp_path.iterdir()], of.load()[0]) == ([of._file], ["small"])


def test_the_facts_of_a_load_take_few_bytes_on_disk(tmp_path):
    """A thousand tables have 200,000 of them."""
    from hashlib import sha256

    from pydantic import TypeAdapter

    from elt_factory.core.window import Window
    from elt_factory.diagnosis.audit_facts import MOST_LOADS, Audit
    from elt_factory.diagnosis.facts import LoadFact
    from elt_factory.ui.kept_audit import KeptAudit, kept_form
    from elt_factory.ui.kept_picture import KeptFile

    def load(table: int, day: int) -> LoadFact:
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
        end, rows = start + timedelta(days=1), 1000 + (table * 31 + day * 17) % 77
        load_id = sha256(f"{table} {day}".encode()).hexdigest()[:32]
        return LoadFact(load_id, f"scheduled__{end}", Window(start, end), end, end, rows, rows, 0, rows, 0, end)

    loads = {("source", f"t{table}"): [load(table, day) for day in range(MOST_LOADS)] for table in range(10)}
    file = KeptFile(TypeAdapter(KeptAudit), tmp_path / "audit.json", "this project")
    file.save(kept_form(Audit(loads=loads), ["source"]))
    assert (tmp_path / "audit.json").stat().st_size < 100 * 10 * MOST_LOADS
    assert file.load()[0].audit().loads == loads


def test_the_answers_of_few_warehouses_are_kept_in_memory(monkeypatch):
    from elt_factory.core.connection import Connection
    from elt_factory.ui import tables

    def answers(number: int) -> KeptAnswers:
        extra = {"account": "a", "database": f"DB{number}"}
        return tables._answers_of(Connection("warehouse", "snowflake", login="u", password="x", extra=extra))

    monkeypatch.setattr(tables, "_kept", {})
    first, second = answers(0), answers(1)
    for number in range(2, 2 + tables._WAREHOUSES - 1):
        assert answers(number) is not first
        assert answers(0) is first
    assert answers(1) is not second
    assert len(tables._kept) == tables._WAREHOUSES


def test_as_many_older_answers_are_kept_as_newer_ones(monkeypatch):
    monkeypatch.setattr("elt_factory.ui.kept._MOST", 3)
    kept, _ = costly()
    now = datetime.now(UTC)
    for run in range(3):
        kept.upto(run, now, now)
        for number in range(3):
            kept.query(f"SELECT {run}{number}")
    monkeypatch.setattr(kept, "_awake_until", now)
    for run in (1, 2):
        assert kept.query(f"SELECT {run}2").rows == [(int(f"{run}2"),)]
    with pytest.raises(WarehouseUnavailableError):
        kept.query("SELECT 02")


@pytest.mark.usefixtures("api")
def test_runs_and_loads_of_other_dags_resume_no_warehouse():
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    from elt_factory.ui.kept import newest_run

    at = datetime(2026, 1, 1, tzinfo=UTC)

    def run_of(dag_id, number):
        run = DagRun(dag_id=dag_id, run_id=f"r{number}", run_type="manual", run_after=at, state="success")
        run.end_date = at + timedelta(hours=number)
        return run

    sources = ["orders", "reports"]
    with create_session() as session:
        session.add(run_of("orders", 1))
        session.flush()
        ours = newest_run(session, sources)
        assert ours[1] == at + timedelta(hours=1)
        session.add_all(run_of("another", number) for number in range(2, 600))
        session.add(AssetEvent(asset_id=1, source_dag_id="another", timestamp=at + timedelta(days=99)))
        session.flush()
        assert newest_run(session, sources) == ours
        session.add(AssetEvent(asset_id=1, source_dag_id="reports", timestamp=at + timedelta(hours=2)))
        session.flush()
        assert newest_run(session, sources)[1] == at + timedelta(hours=2)
        session.rollback()


@pytest.mark.usefixtures("api")
def test_a_list_whose_warehouse_rests_has_what_airflow_and_the_configs_say_now(tmp_path, project, monkeypatch):
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    from elt_factory.diagnosis.acknowledged import acknowledge
    from elt_factory.ui import estate, picture

    def paused(whether):
        with create_session() as session:
            session.query(DagModel).filter(DagModel.dag_id == "reports").update({"is_paused": whether})

    def asleep():
        raise WarehouseUnavailableError("it rests")

    first = keeper_of(tmp_path / "kept.json").made_now()
    (verdict,) = (one for one in first.verdicts["orders"] if one.table == "orders")
    monkeypatch.setattr(picture, "table_states", asleep)
    file = project / "dag_configs" / "torn.yaml"
    file.write_text("name: torn\nx: 1\n")
    paused(True)
    with create_session() as session:
        acknowledge(session, ("orders", "orders"), verdict.code, "ann", "looking")
    estate._readers.clear()
    try:
        keeper = keeper_of(tmp_path / "kept.json")
        assert "being read again" in keeper.picture().note
        shown = keeper.made_now()
    finally:
        file.unlink()
        paused(False)
        estate._readers.clear()
    assert ("before Airflow started" in shown.note, "it rests" in shown.note) == (True, True)
    before, now = ({(row.source, row.table): row for row in one.all_rows()} for one in (first, shown))
    assert now["orders", "orders"].loads == before["orders", "orders"].loads
    assert (before["reports", "totals"].paused, now["reports", "totals"].paused) == (False, True)
    assert now["orders", "orders"].acknowledged.who == "ann"
    assert {one.file for one in shown.broken} == {"broken.yaml", "torn.yaml"}
    assert keeper.made_now().note == shown.note


@pytest.mark.usefixtures("api")
def test_what_depends_on_now_is_judged_now_though_the_warehouse_rests_since_before_the_server(tmp_path, monkeypatch):
    from pydantic import TypeAdapter

    from elt_factory.ui import estate, judged, picture
    from elt_factory.ui.kept_audit import KeptAudit
    from elt_factory.ui.kept_picture import KeptFile
    from elt_factory.ui.tables import audit_tables

    @contextmanager
    def costs():
        with audit_tables() as tables:
            yield replace(tables, kind="snowflake")

    def asleep():
        raise AsleepError("it rests")

    def kept():
        return KeptFile(TypeAdapter(KeptAudit), tmp_path / "audit.json", "this project")

    monkeypatch.setattr(judged, "datetime", noon_in(0))
    first = keeper_of(tmp_path / "kept.json").made_now()
    configs = [item.config for item in estate.current_estate().configs.values()]
    now = datetime.now(UTC)
    read = judged.AuditKeeper(costs, kept).audit(configs, now)
    assert read.asked_at == now
    assert judged.AuditKeeper(asleep, kept).known() == (read, {one.name for one in configs})

    started = judged.AuditKeeper(asleep, kept)  # the server after this one
    monkeypatch.setattr(picture, "table_states", asleep)
    monkeypatch.setattr(picture, "states_as_known", lambda: judged.states_as_known(started))
    monkeypatch.setattr(judged, "datetime", noon_in(2))
    keeper = keeper_of(tmp_path / "kept.json")
    keeper.picture()
    shown = keeper.made_now()
    assert ("before Airflow started" in shown.note, "it rests" in shown.note) == (True, True)
    before, now = ({(row.source, row.table): row for row in one.all_rows()} for one in (first, shown))
    orders = "orders", "orders"
    assert (now[orders].loads, now[orders].open_rejects) == (before[orders].loads, before[orders].open_rejects)
    late = [
        next(line for one in made.verdicts["orders"] for line in one.also if line.startswith("orders.refunds is "))
        for made in (first, shown)
    ]
    assert late[0].partition(" late: ")[2] != late[1].partition(" late: ")[2]  # of windows two days apart
    assert any(one.table == "orders" and "orders.orders is " in " ".join(one.also) for one in shown.verdicts["orders"])
    assert before[orders].deadline_at != now[orders].deadline_at
    end = noon_in(2).now(UTC).replace(hour=3, minute=0, second=0, microsecond=0)
    with run_that_succeeds("orders", end - timedelta(days=1), end):
        since = keeper.made_now()
    said = [line for one in since.verdicts["orders"] for line in (one.sentence, *one.also)]
    assert any(line.startswith("a run of orders has succeeded") for line in said)
    assert [line for line in said if " late: " in line] == []


@pytest.mark.usefixtures("api")
def test_a_source_that_is_new_while_the_warehouse_rests_makes_no_table_fail(tmp_path, project, monkeypatch):
    from elt_factory.ui import estate, judged, picture

    def asleep(*_):
        raise AsleepError("it rests")

    audit = judged.AuditKeeper()
    monkeypatch.setattr(picture, "table_states", lambda: judged.table_states(audit))
    monkeypatch.setattr(picture, "states_as_known", lambda: judged.states_as_known(audit))
    monkeypatch.setattr(judged, "datetime", noon_in(0))
    keeper = keeper_of(tmp_path / "kept.json")
    first, saved = keeper.made_now(), (tmp_path / "kept.json").read_bytes()
    monkeypatch.setattr(keeper, "_saved", float("-inf"))
    monkeypatch.setattr(judged, "read_audit", asleep)
    monkeypatch.setattr(judged, "datetime", noon_in(2))
    file = project / "dag_configs" / "added.yaml"
    file.write_text((project / "dag_configs" / "reports.yaml").read_text().replace("name: reports", "name: added"))
    estate._readers.clear()
    try:
        shown = keeper.made_now()
    finally:
        file.unlink()
        estate._readers.clear()
    before, now = ({(row.source, row.table): row for row in one.all_rows()} for one in (first, shown))
    assert shown.note == "it rests"
    assert now["added", "totals"].state == "unknown"
    assert [now[key].state for key in before] == [row.state for row in before.values()]
    # the others are judged by the clock as it is
    assert now["orders", "refunds"].deadline_at != before["orders", "refunds"].deadline_at
    assert shown.worst == first.worst
    assert [one.code for one in shown.verdicts["orders"]] == [one.code for one in first.verdicts["orders"]]
    assert (tmp_path / "kept.json").read_bytes() == saved


@pytest.mark.usefixtures("api")
def test_what_is_known_of_sources_that_are_gone_is_let_go_and_it_is_read_and_written_once(tmp_path, monkeypatch):
    from pydantic import TypeAdapter

    from elt_factory.ui import estate, judged
    from elt_factory.ui.kept_audit import KeptAudit
    from elt_factory.ui.kept_picture import KeptFile
    from elt_factory.ui.tables import audit_tables

    done = []

    class Noted(KeptFile):
        def load(self):
            done.append("load")
            return super().load()

        def save(self, value):
            done.append("save")
            super().save(value)

    @contextmanager
    def costs():
        with audit_tables() as tables:
            yield replace(tables, kind="snowflake")

    def kept():
        return Noted(TypeAdapter(KeptAudit), tmp_path / "audit.json", "this project")

    now = datetime.now(UTC)
    orders, reports = (estate.current_estate().configs[name].config for name in ("orders", "reports"))
    keeper = judged.AuditKeeper(costs, kept)
    assert ("orders", "orders") in keeper.audit([orders, reports], now).loads
    left = keeper.audit([reports], now)
    assert (left.loads, left.rejects, left.asked_at, keeper.known().sources) == ({}, {}, now, {"reports"})
    assert done == ["save"]
    monkeypatch.setattr(keeper, "_saved", float("-inf"))
    keeper.audit([reports], now)
    keeper.audit([reports], now)
    assert done == ["save", "save"]
    later = judged.AuditKeeper(costs, kept)
    assert later.known() == later.known() == (left, {"reports"})
    assert done == ["save", "save", "load"]


def test_as_many_loads_are_kept_as_are_read():
    from elt_factory.core.window import Window
    from elt_factory.diagnosis.audit_facts import MOST_LOADS, Audit
    from elt_factory.diagnosis.facts import LoadFact
    from elt_factory.ui.kept_audit import kept_form

    at = datetime(2026, 1, 1, tzinfo=UTC)
    load = LoadFact("l", "r", Window(at, at + timedelta(days=1)), None, at, 1, 1, 0, 1, 1, None)
    audit = Audit(loads={("orders", "orders"): [load] * MOST_LOADS})
    assert kept_form(audit, ["orders"]).audit() == audit


def test_what_is_kept_of_one_warehouse_is_not_taken_for_another(project, monkeypatch):
    from elt_factory.ui.kept_audit import audit_file
    from elt_factory.ui.picture import _file
    from elt_factory.ui.tables import warehouse_here

    def files(database):
        extra = {"account": "acme", "database": database}
        told = {"conn_type": "snowflake", "login": "ann", "password": "not-to-be-told", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(told))
        assert "not-to-be-told" not in repr(warehouse_here())
        return audit_file()._file, _file()._file

    monkeypatch.setenv("ELT_PROJECT", str(project))
    dev, prod = files("dev"), files("prod")
    assert dev == files("dev")
    assert not set(dev) & set(prod)
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE")
    assert warehouse_here()[1] == ""


@pytest.mark.usefixtures("api")
def test_a_table_that_is_fresh_by_a_part_of_its_loads_says_so():
    from elt_factory.ui import judged, picture

    part = "from the newest 3 windows of each table"
    one, *_ = judged.table_states()
    fresh, late = (picture._in_part(replace(one, state=state), part) for state in ("fresh", "late"))
    assert fresh.sentence == fresh.verdict.sentence == f"{one.sentence}; {part}"
    assert (late.sentence, late.verdict) == (one.sentence, one.verdict)


@pytest.mark.usefixtures("api")
def test_the_list_is_shown_as_it_was_where_no_one_foresaw_what_went_wrong(tmp_path, monkeypatch, caplog):
    def broken():
        raise ZeroDivisionError("no one foresaw it")

    keeper = keeper_of(tmp_path / "kept.json")
    read = keeper._read
    monkeypatch.setattr(keeper, "_read", broken)
    with pytest.raises(ZeroDivisionError):
        keeper.made_now()
    monkeypatch.setattr(keeper, "_read", read)
    first = keeper.made_now()
    monkeypatch.setattr(keeper, "_read", broken)
    made = keeper._made
    shown = keeper.made_now()
    assert (shown.rows, keeper._made > made) == (first.rows, True)
    assert "not read again: ZeroDivisionError" in shown.note
    assert "no one foresaw it" in caplog.text
    assert keeper.picture() is shown


@pytest.mark.usefixtures("api")
def test_a_umask_that_is_none_hides_nothing_that_was_read(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("ELT_UMASK", "abc")
    assert keeper_of(tmp_path / "kept.json").made_now().note == ""
    assert not (tmp_path / "kept.json").exists()
    assert 'invalid ELT_UMASK "abc"' in caplog.text


@pytest.mark.usefixtures("api")
def test_a_config_that_changes_while_the_warehouse_rests_is_judged_by_what_is_known(monkeypatch):
    from elt_factory.ui import estate, judged

    def asleep(*_):
        raise AsleepError("it rests")

    now = datetime.now(UTC)
    configs = [item.config for item in estate.current_estate().configs.values()]
    keeper = judged.AuditKeeper()
    before = keeper.audit(configs, now)
    monkeypatch.setattr(judged, "read_audit", asleep)
    assert keeper.audit([one.model_copy() for one in configs], now) == before
    # of a new one nothing is known, and none is called never loaded for that
    with pytest.raises(AsleepError):
        keeper.audit([*configs, configs[0].model_copy(update={"name": "new"})], now)


def test_who_may_start_runs_of_other_dags_alone_may_not_have_the_warehouse_asked(api, login, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    from elt_factory.ui import estate

    may, own = get_auth_manager().is_authorized_dag, set(estate.current_estate().configs)

    def starts_others(*, method, details=None, **more):
        is_start = method == "POST" and details and details.id in own
        return not is_start and may(method=method, details=details, **more)

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", starts_others)
    assert api.post("/api/v1/asked", headers=login("user")).status_code == 403


def test_who_may_start_no_run_may_not_have_the_warehouse_asked(api, login, monkeypatch):
    from elt_factory.ui import routes

    asked = []
    monkeypatch.setattr(routes, "ask_again", lambda: asked.append(1))
    assert api.post("/api/v1/asked", headers=login("viewer")).status_code == 403
    foreign = login("user") | {"Sec-Fetch-Site": "cross-site"}
    assert api.post("/api/v1/asked", headers=foreign).status_code == 403
    assert asked == []
    answer = api.post("/api/v1/asked", headers=login("user"))
    assert (answer.status_code, answer.json()["warehouse"], asked) == (200, "duckdb", [1])


@pytest.fixture
def stock(project, monkeypatch):
    """A source that is read by windows, of which one is loaded and checked."""
    from elt_factory.ui import estate

    text = (project / "dag_configs" / "reports.yaml").read_text()
    text = text.replace("name: reports", "name: stock").replace("totals.csv", "totals_%Y-%m-%d.csv")
    file = project / "dag_configs" / "stock.yaml"
    file.write_text(text)
    estate._readers.clear()
    monkeypatch.setenv("ELT_PROJECT", str(project))
    yield "stock"
    file.unlink()
    estate._readers.clear()


@pytest.mark.parametrize("source", ["orders", "stock"])
@pytest.mark.usefixtures("stock")
def test_a_backfill_is_previewed_as_elt_backfill_does(api, login, monkeypatch, source):
    from typer.testing import CliRunner

    from elt_factory.cli.main import app

    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=6), today - timedelta(days=2)
    path = f"/api/v1/sources/{source}/backfill?first={first}&last={last}"
    found = api.get(path, headers=login("viewer")).json()
    monkeypatch.setattr("elt_factory.cli.backfill.ensure_local_airflow", lambda: None)
    asked = ["backfill", source, "--start", str(first), "--end", str(last + timedelta(days=1)), "--local", "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout[done.stdout.index("[") :])
    moment = datetime.fromisoformat
    assert [
        (moment(one["start"]), moment(one["end"]), one["tables"], one["loaded"], one["rows"])
        for one in found["windows"]
    ] == [
        (moment(one["window_start"]), moment(one["window_end"]), one["tables"], one["loaded"], one["rows"])
        for one in told
    ]
    # the files of orders have no dates: they are read once
    assert len(told) == (1 if source == "orders" else 5)


@pytest.mark.usefixtures("stock")
def test_no_one_waits_for_the_audit_tables_while_a_backfill_is_previewed(api, login, monkeypatch):
    from elt_factory.ui import backfills
    from elt_factory.ui.tables import audit_tables

    def opened():
        with audit_tables():
            pass

    preview, served = backfills.preview_of, []

    def noted(*given):
        other = Thread(target=opened, daemon=True)
        other.start()
        other.join(20)
        served.append(not other.is_alive())
        return preview(*given)

    monkeypatch.setattr(backfills, "preview_of", noted)
    path = "/api/v1/sources/stock/backfill?first=2026-01-01&last=2026-01-02"
    assert api.get(path, headers=login("viewer")).json()["windows"]
    assert served == [True]


@pytest.mark.usefixtures("stock")
def test_a_range_without_windows_or_with_too_many_says_so(api, login):
    def why(first, last):
        path = f"/api/v1/sources/stock/backfill?first={first}&last={last}"
        return api.get(path, headers=login("viewer")).json()["why"]

    assert "no window of stock that has ended" in why("2999-01-01", "2999-01-02")
    assert "more than 1,000 windows" in why("2001-01-01", "2026-01-01")
    assert why("9999-12-31", "9999-12-31")
    assert why("2026-01-02", "2026-01-01")
