"""What is old goes at the end of a load, and nothing that a load still needs: on every warehouse."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from elt_factory.core.failures import LandingError
from elt_factory.dag.cleanup import Landings, forget_old
from elt_factory.landing.places import LocalPlace
from elt_factory.sources.sql.model import SqlSource
from elt_factory.testing.warehouses.loader import PROJECT, day

NOW = datetime.now(UTC)
BAD = [{"id": 1, "n": 1}, {"id": 2, "n": "x"}]
SPEC = {"columns": {"n": {"type": "integer"}}}


def config(**retention) -> SqlSource:
    fields = {"name": "src", "extract": {"type": "sql", "connection": "c"}, "tables": {"tab": SPEC}}
    return SqlSource.model_validate(fields | {"retention": retention})


@pytest.fixture
def landings(loader) -> LocalPlace:
    loader.spec = SPEC
    return LocalPlace(loader.base).below("src", "tab")


def forget(loader, landings, *, days: float, **retention) -> list[str]:
    """As at the end of a load so many days from now; what it tells."""
    now = NOW + timedelta(days=days)
    told = []
    forget_old(loader.warehouse, config(**retention), "tab", Landings(landings, PROJECT), told.append, now)
    return told


def kept(landings) -> set[str]:
    return {path.name for path in landings.folder.iterdir()}


def age(folder, days: float) -> None:
    """Make all files of a folder so many days old."""
    moment = (NOW - timedelta(days=days)).timestamp()
    for path in folder.rglob("*"):
        os.utime(path, (moment, moment))


def test_a_landing_is_kept_for_thirty_days_after_its_load(loader, landings):
    loader.load(BAD)
    forget(loader, landings, days=29.9)
    assert kept(landings) == {loader.load_id(day(1))}
    forget(loader, landings, days=30.1)
    assert kept(landings) == set()
    assert len(loader.rows()) == 1


def test_only_landings_that_are_old_go(loader, landings):
    for number in (1, 2):
        loader.load(BAD, day(number))
    age(loader.place(day(1)).folder, days=3)
    forget(loader, landings, days=0, landing="2d")
    assert kept(landings) == {loader.load_id(day(2))}


def test_a_landing_whose_load_is_not_committed_stays_whatever_its_age(loader, landings):
    loader.load(BAD, day(1))
    loader.land(BAD, day(2))
    forget(loader, landings, days=1000)
    assert kept(landings) == {loader.load_id(day(2))}
    assert loader.warehouse.load(loader.order(day(2))).rows_loaded == 1


def test_a_window_that_was_extracted_again_and_not_loaded_stays(loader, landings):
    loader.load(BAD)
    loader.land([*BAD, {"id": 3, "n": 3}])
    forget(loader, landings, days=1000)
    assert kept(landings) == {loader.load_id(day(1))}
    assert loader.warehouse.load(loader.order()).rows_loaded == 2


def test_what_a_killed_extract_left_goes_by_its_age(loader, landings):
    loader.load(BAD)
    left = landings.folder / "never-committed" / "attempt" / "data"
    left.mkdir(parents=True)
    (left / "part-0.parquet").write_bytes(b"x")
    age(left, days=20)
    forget(loader, landings, days=0)
    assert "never-committed" in kept(landings)
    forget(loader, landings, days=11)
    assert kept(landings) == {loader.load_id(day(1))}


def test_null_keeps_landings_for_ever_and_rejects_are_kept_unless_it_is_said(loader, landings):
    loader.load(BAD)
    forget(loader, landings, days=1000, landing=None)
    assert kept(landings) == {loader.load_id(day(1))}
    assert len(loader.audit("rejects", "reason")) == 1


def test_rejects_go_by_the_moment_they_were_rejected(loader, landings):
    loader.load(BAD)
    forget(loader, landings, days=89, rejects="90d")
    assert len(loader.audit("rejects", "reason")) == 1
    forget(loader, landings, days=91, rejects="90d")
    assert loader.audit("rejects", "reason") == []
    assert loader.audit("loads", "rows_rejected") == [(1,)]


def test_nothing_outside_of_the_landing_is_removed(loader, landings, tmp_path):
    loader.load(BAD)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    (landings.folder / "linked").symlink_to(outside)
    (loader.place(day(1)).folder / "linked").symlink_to(outside)
    forget(loader, landings, days=1000)
    assert (outside / "file").read_bytes() == b"x"
    with pytest.raises(LandingError, match="points outside the landing"):
        landings.remove(["../../outside/file"])
    with pytest.raises(LandingError, match="points outside the landing"):
        landings.remove(["linked/file"])
    assert (outside / "file").read_bytes() == b"x"


def test_cleaning_that_fails_is_told_and_fails_nothing(loader, landings, monkeypatch):
    loader.load(BAD)

    def refuse(*_):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(LocalPlace, "remove", refuse)
    assert forget(loader, landings, days=31) == [
        "src.tab: expired data was not removed; the next load retries: read-only file system"
    ]
