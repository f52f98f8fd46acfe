"""Faults that the product could have, or had, each as one patch, with the guarantee that it breaks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from elt_factory.config.table import Table
from elt_factory.config.window import Window
from elt_factory.extract import database, sql_request
from elt_factory.landing import contract, found, growing, land, ndjson
from elt_factory.warehouse import audit, audit_views, base, duckdb, ledger, state, statements, writing

Story = Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Fault:
    """What brings it in, the kind of table that shows it, and the guarantee that it breaks.

    `story` are events of the machine that lead to it, where random ones need many sequences.
    """

    kind: str
    breaks: str
    bring: Callable[[pytest.MonkeyPatch], None]
    story: Story = ()


def cursor_first(patch: pytest.MonkeyPatch) -> None:
    """The account, which holds the cursor, is committed before the rows are."""
    real = base.write_rows

    def write_rows(load: Any) -> Any:
        order, warehouse = load.order, load.warehouse
        told = {"run_id": order.run_id, "write_disposition": order.write_disposition, "full_refresh": False}
        written = audit.Written(order.manifest.rows)
        row = audit.load_row(order.manifest, **told, written=written, loaded_at=load.now)
        warehouse.execute(audit.insert_load(warehouse.dialect, row))
        _commit(warehouse)
        return real(load)

    patch.setattr(base, "write_rows", write_rows)


def rows_first(patch: pytest.MonkeyPatch) -> None:
    """The rows are committed before their account is."""
    real = base.write_rows

    def write_rows(load: Any) -> Any:
        written = real(load)
        _commit(load.warehouse)
        return written

    patch.setattr(base, "write_rows", write_rows)


def _commit(warehouse: Any) -> None:
    warehouse.execute("COMMIT")
    warehouse.execute("BEGIN")


def no_lag(patch: pytest.MonkeyPatch) -> None:
    """What arrives late is not looked for."""
    patch.setattr(Window, "reach_back", lambda self, _: self)


def nothing_makes_way(patch: pytest.MonkeyPatch) -> None:
    """An append that is run again leaves what it wrote before."""
    own, delivered = statements.delete_own, ledger.delete_delivered
    patch.setattr(statements, "delete_own", lambda *given: f"{own(*given)} AND FALSE")
    patch.setattr(ledger, "delete_delivered", lambda *given: f"{delivered(*given)} AND FALSE")


def too_much_makes_way(patch: pytest.MonkeyPatch) -> None:
    """An append takes rows of later loads away, too."""
    real = statements.delete_own
    # of files, too: without the limit to rows that belong to no file
    patch.setattr(statements, "delete_own", lambda *given: real(*given[:3]).replace(" = ", " >= "))


def rejects_stay(patch: pytest.MonkeyPatch) -> None:
    """What an earlier try of a load has rejected holds beside what the newest has."""
    real, views = audit_views._overtaken, dict(audit_views._VIEWS)

    def rejects(dialect: Any) -> str:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(audit_views, "_overtaken", lambda d, alias: f"{real(d, alias)} AND FALSE")
            return views["rejects"](dialect)

    patch.setattr(audit_views, "_VIEWS", {**views, "rejects": rejects})


def no_nulls(patch: pytest.MonkeyPatch) -> None:
    """A row without a cursor value is in no window."""
    patch.setattr(Table, "null_cursor", property(lambda _: "ignore"))


def forgets_its_range(patch: pytest.MonkeyPatch) -> None:
    """A window that is run again begins after all that was ever loaded."""
    real = state.cursor_range

    def cursor_range(warehouse: Any, source: str, table: str, load_id: str, window: Any) -> Any:
        return real(warehouse, source, table, "another", window)

    patch.setattr(state, "cursor_range", cursor_range)


def older_overwrites(patch: pytest.MonkeyPatch) -> None:
    """A zombie's load takes the place of its retry's."""
    patch.setattr(audit, "later_landing", lambda *_: "SELECT 0")


def clears_others(patch: pytest.MonkeyPatch) -> None:
    """A try that has landed takes away what other tries of its window have landed."""
    real = land.write_manifest

    def write_manifest(place: Any, manifest: Any) -> None:
        real(place, manifest)
        place.remove([name for name in place.files() if not name.startswith(manifest.attempt)])

    patch.setattr(land, "write_manifest", write_manifest)


def no_checksum(patch: pytest.MonkeyPatch) -> None:
    """What is loaded is not compared with what was landed."""

    @contextmanager
    def proven(place: Any, files: Any) -> Iterator[Any]:
        with place.fetched(file.path for file in files) as folder:
            yield folder

    patch.setattr(duckdb, "proven", proven)


def values_from_paths(patch: pytest.MonkeyPatch) -> None:
    """A folder that looks like a partition's gives its value to every row."""
    for module in (contract, found, ndjson, duckdb, growing):
        if hasattr(module, "LITERAL_PATHS"):
            patch.setattr(module, "LITERAL_PATHS", "hive_partitioning = true")


def first_one_stays(patch: pytest.MonkeyPatch) -> None:
    """Of two records of one key the first one counts."""
    real = contract.newest_rows
    patch.setattr(contract, "newest_rows", lambda plan: real(plan).replace("rowid DESC", "rowid ASC"))


def history_by_the_clock(patch: pytest.MonkeyPatch) -> None:
    """A version begins when it is loaded."""
    real = writing._snapshot
    patch.setattr(writing, "_snapshot", lambda load: replace(real(load), at=datetime.now(UTC)))


def ends_what_it_has_not_seen(patch: pytest.MonkeyPatch) -> None:
    """A snapshot with rejects ends the keys that it does not have."""
    real = writing._snapshot

    def snapshot(load: Any) -> Any:
        made = real(load)
        return replace(made, complete=True, later=tuple(replace(one, complete=True) for one in made.later))

    patch.setattr(writing, "_snapshot", snapshot)


def open_start(patch: pytest.MonkeyPatch) -> None:
    """A row that changed at the very moment that a window begins is in none."""
    real = sql_request.bounds

    def bounds(*given: Any) -> Any:
        return [replace(end, operator=">") if end.operator == ">=" else end for end in real(*given)]

    for module in (sql_request, database):
        patch.setattr(module, "bounds", bounds)
    no_lag(patch)


def _runs(*days: int) -> Story:
    return [("run", {"day": day}) for day in days]


KILLS: Story = [("run_killed", {"day": 0, "at": at}) for at in range(20, 31)]
DAMAGE: Story = [("run_damaged", {"day": 0, "byte": byte}) for byte in range(0, 300, 30)]
A_LATER_TRY_ENDS_FIRST: Story = [("begin", {"day": 0, "at": 10}), *_runs(0), ("finish", {"which": 0})]
AN_EARLIER_TRY_ENDS_FIRST: Story = [
    ("begin", {"day": 0, "at": 2}),
    ("begin", {"day": 0, "at": 11}),
    ("finish", {"which": 0}),
    ("finish", {"which": 0}),
]
ONE_KEY_TWICE: Story = [("deliver", {"day": 0, "kept": {1, 2}, "bad": 0, "twice": True}), *_runs(0)]
A_REJECT_COMES: Story = [*_runs(0), ("deliver", {"day": 1, "kept": {3}, "bad": 1, "twice": False}), *_runs(1)]
FAULTS: Mapping[str, Fault] = {
    "the cursor is committed before the rows": Fault(
        "append by number", "cursor-and-rows-together", cursor_first, KILLS
    ),
    "the rows are committed before their account": Fault("merge by time", "all-or-nothing", rows_first),
    "the lag is forgotten": Fault("merge by time", "late-rows-found", no_lag),
    "rows without a cursor are in no window": Fault("merge by time", "null-cursors-read", no_nulls),
    "nothing makes way for a re-run": Fault("append of files", "nothing-twice", nothing_makes_way, _runs(0, 0)),
    "too much makes way for a re-run": Fault("append of files", "nothing-lost", too_much_makes_way, _runs(0, 1, 0, 1)),
    "rejects of an earlier try stay": Fault("merge by time", "rejects-kept", rejects_stay),
    "a re-run forgets its range": Fault("append by number", "nothing-lost", forgets_its_range),
    "an older try takes the place of a later one": Fault(
        "merge by time", "newest-wins", older_overwrites, A_LATER_TRY_ENDS_FIRST
    ),
    "a try takes away what another has landed": Fault(
        "merge by time", "newest-wins", clears_others, AN_EARLIER_TRY_ENDS_FIRST
    ),
    "nobody looks at the checksum": Fault("append of files", "own-landing", no_checksum, DAMAGE),
    "values come from the path": Fault("merge by time", "values-as-written", values_from_paths),
    "the first of two records stays": Fault("merge of files", "any-order", first_one_stays, ONE_KEY_TWICE),
    "history goes by the clock": Fault("scd2 by snapshot", "any-order", history_by_the_clock),
    "a snapshot with rejects ends keys": Fault(
        "scd2 by snapshot", "any-order", ends_what_it_has_not_seen, A_REJECT_COMES
    ),
    "windows are open at their start": Fault("merge by time", "nothing-lost", open_start),
}
