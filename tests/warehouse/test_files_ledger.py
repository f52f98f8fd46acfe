"""Files that are delivered, late, again and otherwise: what a table has of them, and what `_elt.files` says."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from elt_factory.core.failures import BadDataError, ContractError, SourceNotReadyError
from elt_factory.core.window import Window, load_id
from elt_factory.extract.request import ReadRequest
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.files.model import FilesSource
from elt_factory.sources.read import read
from elt_factory.testing.warehouses.loader import Crash, counted, crash_points, day
from elt_factory.warehouse.base import LoadOrder, LoadReport, Warehouse
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.ledger import ledger_of

TARGET = Relation("src", "tab")
MERGE = {"write_disposition": "merge", "primary_key": ["id"]}
BY_CURSOR = {"incremental": {"cursor": "at"}, "primary_key": ["id"]}
NUMBERS = itertools.count()


@dataclass
class Drop:
    """A folder that files are delivered to, and the table that they are loaded into."""

    base: Path
    warehouse: Warehouse
    spec: Mapping[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def put(self, name: str, *ids: Any, header: str = "id", at: int | None = None) -> None:
        file = self.base / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in (header, *ids)))
        os.utime(file, (stamp := 1_000_000 + next(NUMBERS) if at is None else at, stamp))

    def remove(self, name: str) -> None:
        (self.base / "in" / name).unlink()

    @property
    def source(self) -> FilesSource:
        tables = {"tab": {"path": "*.csv", **self.spec}}
        return FilesSource.model_validate(
            {"name": "src", "extract": {"type": "files", "folder": "in"}, "tables": tables}
        )

    def extract(self, window: Window, *, full_refresh: bool = False) -> LoadOrder:
        """What the extract task does, and the order that the load task gives."""
        spec, load = self.source.tables["tab"], load_id("src", "tab", window)
        ledger = None if full_refresh else ledger_of(self.warehouse, TARGET, spec)
        place = LocalPlace(self.base / f"landing{next(NUMBERS)}").below(load)
        workdir = self.base / f"work{next(NUMBERS)}"
        workdir.mkdir(parents=True)
        request = ReadRequest(
            self.source, "tab", window, load, None, workdir, self.base, self.told.append, ledger=ledger
        )
        spool = read(request)
        known = KnownTable("src", "tab", spec, self.warehouse.columns_as(TARGET, spec.types))
        manifest = land(LandRequest(known, window, load, spool, place, workdir, self.told.append))
        return LoadOrder(manifest, place, TARGET, spec.write_disposition, spec.primary_key, "run", full_refresh)

    def run(self, window: Window, *, full_refresh: bool = False) -> LoadReport:
        report = self.warehouse.load(self.extract(window, full_refresh=full_refresh))
        assert report.rows_read == (
            report.rows_loaded + report.rows_rejected + report.rows_duplicate + report.rows_unchanged
        )
        return report

    def rows(self, *columns: str) -> list[Any]:
        d = self.warehouse.dialect
        names = columns or ("id",)
        found = self.warehouse.query(f"SELECT {d.names(names)} FROM {TARGET.sql(d)}").rows
        return sorted(row[0] if len(names) == 1 else row for row in found)

    def ledger(self, *columns: str) -> list[tuple[Any, ...]]:
        d = self.warehouse.dialect
        files = Relation("_elt", "files").sql(d)
        return sorted(self.warehouse.query(f"SELECT {d.names(columns)} FROM {files}").rows, key=repr)


@pytest.fixture
def drop(warehouse, tmp_path) -> Drop:
    return Drop(tmp_path, warehouse)


def test_a_drop_folder_appends_each_file_once(drop):
    drop.put("a.csv", 1, 2)
    assert drop.run(day(1)).rows_loaded == 2
    drop.put("b.csv", 3)
    assert drop.run(day(2)).rows_loaded == 1
    assert (drop.run(day(3)).rows_read, drop.rows()) == (0, [1, 2, 3])
    names = ("name", "bytes", "rows_loaded", "rows_rejected", "load_id", "commit_number")
    loads = [load_id("src", "tab", day(number)) for number in (1, 2)]
    assert drop.ledger(*names) == [("a.csv", 7, 2, 0, loads[0], 1), ("b.csv", 5, 1, 0, loads[1], 2)]


def test_a_file_delivered_again_with_other_content_replaces_what_it_delivered_before(drop):
    drop.put("a.csv", 1, 2)
    drop.put("b.csv", 3)
    drop.run(day(1))
    drop.put("a.csv", 2, 4, 5)
    assert (drop.run(day(2)).rows_loaded, drop.rows()) == (3, [2, 3, 4, 5])
    drop.put("a.csv")
    assert (drop.run(day(3)).rows_loaded, drop.rows()) == (0, [3])


def test_a_key_that_two_files_have_is_there_for_each_whichever_loads_bring_them(drop):
    drop.spec = {"primary_key": ["id"]}
    drop.put("a.csv", 1, 2, 2)
    drop.put("b.csv", 2, 3)
    report = drop.run(day(1))
    assert (report.rows_loaded, report.rows_duplicate, drop.rows()) == (4, 1, [1, 2, 2, 3])
    # the file that had the key of another does not take it along
    drop.put("b.csv", 3)
    assert (drop.run(day(2)).rows_loaded, drop.rows()) == (1, [1, 2, 3])
    drop.put("b.csv", 2, 3)
    assert (drop.run(day(3)).rows_loaded, drop.rows()) == (2, [1, 2, 2, 3])
    assert (drop.run(day(3), full_refresh=True).rows_loaded, drop.rows()) == (4, [1, 2, 2, 3])


def test_a_file_of_the_same_content_is_not_loaded_again_whatever_its_time(drop):
    drop.put("a.csv", 1, 2)
    drop.run(day(1))
    drop.put("a.csv", 1, 2, at=2_000_000)
    assert (drop.run(day(2)).rows_read, drop.rows()) == (0, [1, 2])


def test_a_window_that_is_run_again_reads_its_files_again_and_no_others(drop):
    drop.put("a.csv", 1, 2)
    drop.run(day(1))
    drop.put("b.csv", 3)
    drop.run(day(2))
    assert (drop.run(day(1)).rows_loaded, drop.rows()) == (2, [1, 2, 3])
    drop.remove("a.csv")
    assert (drop.run(day(1)).rows_read, drop.rows()) == (0, [1, 2, 3])


def test_files_that_were_moved_away_leave_their_rows_and_a_full_refresh_loads_what_is_there(drop):
    drop.put("a.csv", 1, 2)
    drop.run(day(1))
    drop.remove("a.csv")
    assert (drop.run(day(2)).rows_read, drop.rows()) == (0, [1, 2])
    with pytest.raises(SourceNotReadyError, match="no file"):
        drop.run(day(2), full_refresh=True)
    drop.put("b.csv", 3)
    assert (drop.run(day(2), full_refresh=True).rows_loaded, drop.rows()) == (1, [3])
    # what was before the refresh is new when it comes back
    drop.put("a.csv", 1, 2)
    assert (drop.run(day(3)).rows_loaded, drop.rows()) == (2, [1, 2, 3])


def test_a_late_file_and_a_changed_one_of_a_window_that_was_loaded_are_found(drop):
    drop.spec = {"path": "d_%Y-%m-%d*.csv"}
    for number in (1, 2, 3, 4):
        drop.put(f"d_2013-01-0{number}.csv", number)
    drop.run(day(1))
    drop.run(day(2))
    drop.put("d_2013-01-01_late.csv", 10)
    drop.put("d_2013-01-02.csv", 20, 21)
    assert (drop.run(day(3)).rows_loaded, drop.rows()) == (4, [1, 3, 10, 20, 21])
    # what is of a window that was never loaded waits for its own run
    drop.run(day(5)) if (drop.base / "in" / "d_2013-01-05.csv").exists() else None
    assert (drop.run(day(3)).rows_loaded, drop.rows()) == (1, [1, 3, 10, 20, 21])


@pytest.mark.parametrize("pattern", ["d_%m-%d*.csv", "d_%d.%m*.csv", "%%_%d*.csv", "%d/%Y*.csv"])
def test_a_late_file_is_found_by_a_pattern_that_does_not_say_the_whole_date(drop, pattern):
    drop.spec = {"path": pattern}

    def name(number, more=""):
        said = {"%%": "%", "%m": "01", "%d": f"{number:02}", "%Y": "2013", "*": more}
        return re.sub(r"%.|\*", lambda sign: said[sign[0]], pattern)

    for number in (1, 2, 3, 4):
        drop.put(name(number), number)
    drop.run(day(1))
    drop.run(day(2))
    drop.put(name(1, "_late"), 10)
    drop.put(name(2), 20, 21)
    drop.put(name(5, "_early"), 50)
    assert (drop.run(day(3)).rows_loaded, drop.rows()) == (4, [1, 3, 10, 20, 21])


def test_a_file_of_a_period_that_many_windows_touch_is_in_the_table_once(drop):
    drop.spec = {"path": "m_%Y-%m.csv"}
    drop.put("m_2013-01.csv", 1)
    drop.run(day(1))
    drop.put("m_2013-01.csv", 1, 2)
    assert (drop.run(day(2)).rows_loaded, drop.rows()) == (2, [1, 2])
    assert (drop.run(day(1)).rows_loaded, drop.rows()) == (2, [1, 2])


@pytest.mark.parametrize("late_first", [True, False])
def test_of_two_loads_at_once_the_content_that_was_seen_later_stays(drop, late_first):
    drop.put("a.csv", 1, 2)
    drop.put("b.csv", 7)
    older = drop.extract(day(1))
    drop.put("a.csv", 3)
    newer = drop.extract(day(2))
    reports = [drop.warehouse.load(order) for order in ((newer, older) if late_first else (older, newer))]
    assert drop.rows() == [3, 7]
    if late_first:
        assert (reports[1].rows_loaded, reports[1].rows_duplicate) == (1, 2)
    assert drop.run(day(3)).rows_read == 0


def test_two_loads_at_once_of_the_same_file_load_it_once(drop):
    drop.put("a.csv", 1, 2)
    orders = drop.extract(day(1)), drop.extract(day(2))
    for order in orders:
        drop.warehouse.load(order)
    assert drop.rows() == [1, 2]


def test_a_merge_takes_what_is_new_and_a_late_delivery_that_was_overtaken_changes_nothing(drop):
    drop.spec = MERGE
    drop.put("a.csv", "1,x", "2,x", header="id,v")
    older = drop.extract(day(1))
    drop.put("a.csv", "2,y", "3,y", header="id,v")
    drop.run(day(2))
    assert drop.warehouse.load(older).rows_duplicate == 2
    assert drop.rows("id", "v") == [(2, "y"), (3, "y")]
    assert drop.run(day(3)).rows_read == 0
    drop.put("b.csv", "1,z", "3,z", header="id,v")
    assert (drop.run(day(4)).rows_loaded, drop.rows("id", "v")) == (2, [(1, "z"), (2, "y"), (3, "z")])


def test_a_history_by_cursor_takes_what_is_new(drop):
    drop.spec = {**BY_CURSOR, "write_disposition": "scd2"}
    drop.put("a.csv", "1,x,2013-01-01", header="id,v,at")
    drop.run(day(1))
    drop.put("b.csv", "1,y,2013-01-02", header="id,v,at")
    assert drop.run(day(2)).rows_read == 1
    assert drop.rows("id", "v") == [(1, "x"), (1, "y")]


@pytest.mark.parametrize("disposition", ["replace", "scd2"])
def test_what_is_the_whole_picture_is_read_whole_every_time(drop, disposition):
    drop.spec = {"write_disposition": disposition, "primary_key": ["id"]}
    drop.put("a.csv", 1, 2)
    drop.run(day(1))
    drop.put("b.csv", 3)
    assert (drop.run(day(2)).rows_read, drop.rows()) == (3, [1, 2, 3])


def test_the_name_of_a_rows_file_is_a_column_on_demand(drop):
    drop.spec = {"path": "**/*.csv", "file_column": "_file"}
    drop.put("a.csv", 1)
    drop.put("sub/b.csv", 2)
    drop.run(day(1))
    assert drop.rows("id", "_file") == [(1, "a.csv"), (2, "sub/b.csv")]
    drop.put("c.csv", "3,x", header="id,_file")
    with pytest.raises(ContractError, match="the files already have the column _file"):
        drop.run(day(2))


def test_a_files_own_columns_may_be_called_as_ours_are(drop):
    drop.put("a.csv", "1,x,y,z", header="id,_file,_file_row,file")
    drop.run(day(1))
    drop.put("b.csv", "2,x,y,z", header="id,_file,_file_row,file")
    drop.run(day(2))
    assert drop.rows("id", "_file", "_file_row", "file") == [(1, "x", "y", "z"), (2, "x", "y", "z")]


def test_rows_of_a_load_before_there_was_a_ledger_go_when_its_window_is_run_again(drop):
    drop.put("a.csv", 1, 2)
    drop.run(day(1))
    d = drop.warehouse.dialect
    drop.warehouse.execute(f"UPDATE {TARGET.sql(d)} SET {d.name('_file_id')} = NULL")
    drop.warehouse.execute(f"DELETE FROM {Relation('_elt', 'files').sql(d)}")
    drop.run(day(1))
    assert drop.rows() == [1, 2]


def test_a_file_none_of_whose_records_can_be_read_fails_the_load_and_names_it(drop):
    drop.spec = {"columns": {"id": {"type": "integer"}}}
    drop.put("a.csv", 1)
    drop.put("b.csv", "x", "y")
    with pytest.raises(BadDataError, match=r"src\.tab: b\.csv: all of its 2 records are rejected.*id is no"):
        drop.run(day(1))
    drop.put("b.csv", "x", 2)
    assert (drop.run(day(1)).rows_rejected, drop.rows()) == (1, [1, 2])


def test_a_load_that_dies_leaves_ledger_and_rows_as_they_were(drop, monkeypatch):
    drop.put("a.csv", 1, 2)
    drop.run(day(1))
    drop.put("a.csv", 3)
    order, before = drop.extract(day(2)), (drop.rows(), drop.ledger("name", "load_id"))
    for at in crash_points(drop.warehouse, "before"):
        with monkeypatch.context() as patched:
            counted(drop.warehouse, patched, at, "before")
            try:
                drop.warehouse.load(order)
            except Crash:
                assert (drop.rows(), drop.ledger("name", "load_id")) == before
            else:
                break
    assert drop.rows() == [3]
    assert len(drop.ledger("name")) == 2
