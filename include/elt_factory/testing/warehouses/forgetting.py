"""A person is erased: from rows and history, rejects, samples and landings; no load brings them back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from elt_factory.core.failures import BadRequestError
from elt_factory.landing.manifest import parse_manifest
from elt_factory.landing.places import LocalPlace
from elt_factory.testing.warehouses.loader import MERGE, PROJECT, Crash, Loader, OnWarehouse, day
from elt_factory.testing.warehouses.replays import config_of, replayed
from elt_factory.warehouse import forgetting
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.forgetting import Receipt

SPEC = {**MERGE, "columns": {"n": {"type": "integer"}}, "rejects": {"max": "90%"}}
SNAPSHOTS = {**SPEC, "write_disposition": "scd2"}
ANN: dict[str, Any] = {"id": 42, "email": "ann@example.org", "n": 1}
BOB: dict[str, Any] = {"id": 420, "email": "bob@example.org", "n": 2}
BAD_ANN = {**ANN, "n": "x"}
LINE = '{"id": 42, "email": "ann@example.org", '
KEY = {"id": "42"}
EMAIL = {"email": "ann@example.org"}


def forgotten(loader: Loader, *keys: Mapping[str, str], dry_run: bool = False) -> Receipt:
    """Forget a person of the loader's table."""
    place = LocalPlace(loader.base).below(loader.source, loader.name)
    config = config_of(loader, loader.base)
    asked = forgetting.Asked(
        config, keys or (KEY,), (loader.name,), lambda _: place, PROJECT, "someone", dry_run=dry_run
    )
    return forgetting.forget(loader.warehouse, asked)


def traces(loader: Loader) -> list[str]:
    """Return everything that the warehouse and the landings have of the person, as they would be read."""
    d, found = loader.warehouse.dialect, list[str]()
    texts = [("quality_log", "failing_keys"), ("metric_log", "shares"), ("unseen_keys", "key")]
    for table, column in [*texts, *(("reject_log", one) for one in ("record", "key"))]:
        rows = loader.warehouse.query(f"SELECT {d.name(column)} FROM _elt.{table}").rows
        found += [f"{table}: {text}" for (text,) in rows if text and ("42" in _words(text) or "ann@" in text)]
    found += [f"table: {row}" for row in loader.rows("id") if int(row[0]) == 42]
    for path in loader.base.rglob("*.parquet"):
        found += [f"{path.name}: {row}" for row in _parquet(path) if "ann@" in row or "'id': 42," in row]
    return found


def _words(text: str) -> list[str]:
    return "".join(sign if sign.isalnum() else " " for sign in text).split()


def _parquet(path: Any) -> list[str]:
    from pyarrow import parquet

    return [str(row) for row in parquet.read_table(path).to_pylist()]


class ForgetSuite(OnWarehouse):
    """A person is erased: from rows and history, rejects, samples and landings; no load brings them back."""

    def test_a_person_is_erased_everywhere_and_everyone_else_stays(self, loader: Loader) -> None:
        loader.spec = SPEC
        loader.load([ANN, BOB, LINE], day(1))
        loader.load([BAD_ANN, {**BOB, "n": "y"}, {**BOB, "id": 7}], day(2))
        samples = {"failing_keys": json.dumps([{"id": 42}, {"id": 420}]), "check_name": "c", "kind": "check"}
        figures = {"column_name": "email", "shares": json.dumps({"ann@example.org": 0.5, "bob@example.org": 0.5})}
        of_table = {"source": "src", "table_name": "tab"}
        loader.warehouse.record("quality_results", [of_table | samples])
        loader.warehouse.record("metrics", [of_table | figures])
        looked = forgotten(loader, KEY, EMAIL, dry_run=True)
        assert traces(loader)
        receipt = forgotten(loader, KEY, EMAIL)
        assert traces(loader) == []
        assert [(one.place.partition(" ")[0], one.rows) for one in receipt.erased] == [
            ("table", 1),
            ("rejects", 2),
            ("samples", 1),
            ("shares", 1),
            ("landing", 2),
            ("landing", 1),
        ]
        assert (looked.erased, looked.left) == (receipt.erased, ())
        assert loader.rows("id") == [(420,), (7,)]
        assert len(loader.audit("rejects", "record")) == 1
        assert loader.audit("quality_log", "failing_keys") == [('[{"id": 420}]',)]
        kept = loader.audit("forgotten", "place", "rows_erased", "key_hash", "who")
        assert sum(int(rows or 0) for _, rows, *_ in kept) == receipt.rows == 8
        assert all("42" not in place.split() and who == "someone" for place, _, _, who in kept)
        assert forgotten(loader, KEY, EMAIL).erased == ()

    def test_loading_old_landings_again_brings_no_one_back_and_a_slip_erases_nothing(self, loader: Loader) -> None:
        loader.spec = SPEC
        loader.load([ANN, BOB, BAD_ANN, {**BOB, "n": "y"}], day(1))
        with pytest.raises(BadRequestError, match=r'none of tab has the columns idd; did you mean "id"\?'):
            forgotten(loader, {"idd": "42"})
        with pytest.raises(BadRequestError, match=r"src\.tab: id has the type integer, and the value given is not one"):
            forgotten(loader, {"id": "ann"})
        assert traces(loader)
        forgotten(loader)
        report = loader.warehouse.load(loader.order(day(1)))
        assert (report.rows_read, report.rows_loaded, report.rows_rejected) == (2, 1, 1)
        loader.spec = {**SPEC, "columns": {"n": {"type": "text"}}}
        assert [one.healed for one in replayed(loader)] in ([0], [1])
        assert traces(loader) == []

    def test_a_landing_that_was_begun_before_is_loaded_without_the_person(self, loader: Loader) -> None:
        loader.spec = SPEC
        loader.load([BOB], day(1))
        loader.land([ANN, BOB, BAD_ANN], day(2))
        ready = loader.order(day(2))
        place = LocalPlace(loader.base).below("src", "tab")
        # as if the extract had written its manifest only after the look at the landings
        moved = loader.base / "elsewhere"
        ready.landing.folder.rename(moved)  # type: ignore[attr-defined]
        forgotten(loader)
        moved.rename(ready.landing.folder)  # type: ignore[attr-defined]
        report, manifest = forgetting.load(loader.warehouse, ready)
        assert (report.rows_read, report.rows_loaded, manifest.rows) == (1, 1, 1)
        assert traces(loader) == []
        assert parse_manifest(place.below(loader.load_id(day(2)), manifest.attempt)) == manifest
        # what is read of the source later is the source's to say
        loader.load([ANN], day(3))
        assert (42,) in loader.rows("id")

    def test_all_versions_of_a_history_go_with_the_keys_that_a_snapshot_did_not_see(self, loader: Loader) -> None:
        loader.spec = SNAPSHOTS
        loader.load([ANN, BOB], day(1))
        loader.load([{**ANN, "email": "ann@example.com"}, BOB], day(2))
        loader.load([BOB, LINE], day(3))
        assert len(loader.audit("unseen_keys", "key")) == 1
        receipt = forgotten(loader)
        assert [one.rows for one in receipt.erased] == [1, 2, 1, 1, 1, 1]
        assert loader.audit("unseen_keys", "key") == []
        for number in (1, 2, 3):
            loader.warehouse.load(loader.order(day(number)))
        assert [int(row[0]) for row in loader.rows("id")] == [420]
        assert traces(loader) == []

    def test_a_command_that_is_killed_anywhere_is_completed_by_the_next_one(
        self, loader: Loader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loader.spec = SPEC
        loader.load([ANN, BOB, BAD_ANN], day(1))
        loader.load([ANN, BOB], day(2))
        # elsewhere a command takes seconds
        first, every = (1, 1) if isinstance(loader.warehouse, DuckDBWarehouse) else (8, 10)
        for at in itertools.count(first, every):
            with monkeypatch.context() as patched:
                crash_after(loader, patched, at)
                try:
                    forgotten(loader)
                except Crash:
                    pass
                else:
                    break
            if (42,) not in loader.rows("id"):
                # whatever was reached, a landing is whole, and is loaded without those who were forgotten
                forgetting.load(loader.warehouse, loader.order(day(1)))
        assert traces(loader) == []
        kept = loader.audit("forgotten", "place", "rows_erased")
        places = [(place.partition(" ")[0], int(rows)) for place, rows in kept if rows]
        assert sorted(places) == [("landing", 1), ("landing", 2), ("rejects", 1), ("table", 1)]
        assert loader.rows("id") == [(420,)]


def crash_after(loader: Loader, patched: pytest.MonkeyPatch, at: int) -> None:
    """Let a command end behind its statement, or its change of a landing, of that number."""
    seen = itertools.count(1)
    for kind, name in ((type(loader.warehouse), "execute"), (LocalPlace, "write"), (LocalPlace, "remove")):
        real = getattr(kind, name)

        def then_ended(self: Any, *given: Any, real: Any = real) -> Any:
            answer = real(self, *given)
            if next(seen) == at:
                raise Crash
            return answer

        patched.setattr(kind, name, then_ended)
