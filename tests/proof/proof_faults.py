"""Faults that the product could have, or had, each as one patch, with the guarantee that it breaks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import get_ident
from typing import Any

import proof_stories as stories
import pytest
from proof_stories import Story, runs

from elt_factory.config.models.table import Table
from elt_factory.core.window import Window
from elt_factory.extract import bounds as cursor_bounds
from elt_factory.landing import contract, found, land, ndjson, outline, reading, widening
from elt_factory.landing import manifest as manifest_module
from elt_factory.sources.rest_api import key_pages
from elt_factory.sources.sql import database
from elt_factory.warehouse import (
    audit,
    audit_views,
    base,
    deletes,
    duckdb,
    history,
    ledger,
    overlaps,
    state,
    statements,
    writing,
)
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Relation


@dataclass(frozen=True)
class Fault:
    """What brings it in, the kind of table that shows it, and the guarantee that it breaks.

    `story` are events of the machine that lead to it: without the fault they lead to nothing.
    """

    kind: str
    breaks: str
    bring: Callable[[pytest.MonkeyPatch], None]
    story: Story


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
    patch.setattr(audit, "later_landing", lambda *_: "SELECT 0, 0")


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

    patch.setattr(base, "proven", proven)


def values_from_paths(patch: pytest.MonkeyPatch) -> None:
    """A folder that looks like a partition's gives its value to every row."""
    for module in (contract, found, ndjson, duckdb, widening):
        if hasattr(module, "LITERAL_PATHS"):
            patch.setattr(module, "LITERAL_PATHS", "hive_partitioning = true")


def first_one_stays(patch: pytest.MonkeyPatch) -> None:
    """Of two records of one key the first one counts."""
    real = contract.newest_rows
    patch.setattr(contract, "newest_rows", lambda plan: real(plan).replace("place DESC", "place ASC"))


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
    real = cursor_bounds.bounds

    def bounds(*given: Any) -> Any:
        return [replace(end, operator=">") if end.operator == ">=" else end for end in real(*given)]

    for module in (cursor_bounds, database):
        patch.setattr(module, "bounds", bounds)
    no_lag(patch)


def newer_gives_way(patch: pytest.MonkeyPatch) -> None:
    """What began later writes nothing where an earlier try of its window is committed."""
    real = audit.later_landing

    def later_landing(*given: Any) -> str:
        return real(*given).replace('"started_at" >', '"started_at" <')

    patch.setattr(audit, "later_landing", later_landing)


def duplicates_count(patch: pytest.MonkeyPatch) -> None:
    """Rows that are there already, or came twice, count as loaded."""
    real = audit.load_row

    def load_row(*given: Any, **about: Any) -> Any:
        row = real(*given, **about)
        return row | {"rows_loaded": row["rows_loaded"] + row["rows_duplicate"], "rows_duplicate": 0}

    patch.setattr(audit, "load_row", load_row)


def green_without_rows(patch: pytest.MonkeyPatch) -> None:
    """A load of only rejects succeeds."""
    patch.setattr(Warehouse, "_refuse_rejects", lambda *_: None)


def rejects_take_rows(patch: pytest.MonkeyPatch) -> None:
    """A load of only rejects fails, and has taken away what its window had."""
    real = Warehouse._refuse_rejects

    def refuse(self: Any, order: Any, *given: Any) -> None:
        self.execute(statements.delete_own(self.dialect, order.target, order.manifest.load_id))
        real(self, order, *given)

    patch.setattr(Warehouse, "_refuse_rejects", refuse)


def no_turns(patch: pytest.MonkeyPatch) -> None:
    """Each load has a turn of its own."""
    patch.setattr(audit, "turn", lambda *_: Relation("_elt", f"turn_{get_ident()}"))


def any_owner(patch: pytest.MonkeyPatch) -> None:
    """Nobody asks who has written a landing."""

    def read_manifest(place: Any, owner: Any) -> Any:
        return manifest_module.parse_manifest(place.below(owner.attempt))

    patch.setattr(manifest_module, "read_manifest", read_manifest)


def refreshed_twice(patch: pytest.MonkeyPatch) -> None:
    """A window that is run again leaves what a full refresh has of it."""
    patch.setattr(overlaps, "make_way", lambda _: ())


def refresh_takes_later(patch: pytest.MonkeyPatch) -> None:
    """A full refresh replaces windows that it has not read."""
    patch.setattr(overlaps, "refuse_stale", lambda *_: None)


def begins_earlier(patch: pytest.MonkeyPatch) -> None:
    """Where a range of numbers began is guessed from its least one."""
    real = audit.load_row
    patch.setattr(audit, "load_row", lambda *given, **about: real(*given, **about) | {"cursor_after": None})


def keys_of_all_files(patch: pytest.MonkeyPatch) -> None:
    """Appended files lose a row to another file that has its key."""
    real = outline.with_files
    patch.setattr(reading, "with_files", lambda *given: replace(real(*given), key_of_file=False))


def versions_in_utc(patch: pytest.MonkeyPatch) -> None:
    """A cursor without a zone is read as UTC when it says since when a version holds."""
    real = history._moment
    patch.setattr(history, "_moment", lambda versions, cursor: real(replace(versions, clock="UTC"), cursor))


def first_page(patch: pytest.MonkeyPatch) -> None:
    """The first page of an API is taken for all there is."""
    real = key_pages.Walk.take
    patch.setattr(key_pages.Walk, "take", lambda *given: (real(*given)[0], None))
    patch.setattr(key_pages.KeyPages, "_prove", lambda *_: None)


def compares_nothing(patch: pytest.MonkeyPatch) -> None:
    """The keys are read, and nothing is compared with them."""
    patch.setattr(writing, "follow_deletes", lambda _: 0)


def compares_later_rows(patch: pytest.MonkeyPatch) -> None:
    """What another load has brought since the keys were read is compared with them, too."""
    patch.setattr(deletes, "_older", lambda _: "TRUE")


FAULTS: Mapping[str, Fault] = {
    "the cursor is committed before the rows": Fault(
        "append by number", "cursor-and-rows-together", cursor_first, stories.killed('INSERT INTO "src"')
    ),
    "the rows are committed before their account": Fault(
        "merge by time", "all-or-nothing", rows_first, stories.killed("after COMMIT")
    ),
    "the lag is forgotten": Fault("merge by time", "late-rows-found", no_lag, stories.LATE),
    "rows without a cursor are in no window": Fault("merge by time", "null-cursors-read", no_nulls, stories.NO_CURSOR),
    "nothing makes way for a re-run": Fault("append of files", "nothing-twice", nothing_makes_way, runs(0, 0)),
    "too much makes way for a re-run": Fault("append of files", "nothing-lost", too_much_makes_way, runs(0, 1, 0)),
    "rejects of an earlier try stay": Fault("merge by time", "rejects-kept", rejects_stay, runs(1, 1)),
    "a re-run forgets its range": Fault(
        "append by number", "nothing-lost", forgets_its_range, [*stories.A_NUMBER_MORE, *runs(0)]
    ),
    "a re-run begins before its range": Fault(
        "append by number", "every-row-accounted", begins_earlier, [*stories.A_NUMBER_MORE, *runs(1)]
    ),
    "an older try takes the place of a later one": Fault(
        "merge by time", "newest-wins", older_overwrites, stories.A_LATER_TRY_ENDS_FIRST
    ),
    "a later try gives way to an older one": Fault("merge by time", "newest-wins", newer_gives_way, runs(0, 0)),
    "a try removes what another has landed": Fault(
        "merge by time", "newest-wins", clears_others, stories.AN_EARLIER_TRY_ENDS_FIRST
    ),
    "loads take no turns": Fault("append by number", "nothing-twice", no_turns, stories.ANOTHER_LOADS_MEANWHILE),
    "no one looks at the checksum": Fault("append of files", "own-landing", no_checksum, stories.DAMAGED),
    "no one asks whose a landing is": Fault("replace", "own-landing", any_owner, stories.FOREIGN),
    "values come from the path": Fault("merge by time", "values-as-written", values_from_paths, runs(0)),
    "the first of two records stays": Fault("merge of files", "any-order", first_one_stays, stories.ONE_KEY_TWICE),
    "duplicates count as loaded": Fault(
        "merge of files", "every-row-accounted", duplicates_count, stories.ONE_KEY_TWICE
    ),
    "only rejects are green": Fault(
        "merge of files", "only-rejects-fail", green_without_rows, stories.ONLY_REJECTS_COME
    ),
    "only rejects remove rows": Fault("append of files", "nothing-lost", rejects_take_rows, stories.ONLY_REJECTS_COME),
    "appended files share their keys": Fault("append of files", "nothing-lost", keys_of_all_files, stories.refresh()),
    "a re-run doubles what a full refresh has": Fault(
        "append by time", "nothing-twice", refreshed_twice, [*stories.refresh(), *runs(1)]
    ),
    "a full refresh removes later windows": Fault(
        "merge by time", "nothing-lost", refresh_takes_later, [*runs(0, 1), *stories.refresh(2)]
    ),
    "history goes by the clock": Fault("scd2 by snapshot", "any-order", history_by_the_clock, runs(0)),
    "a snapshot with rejects ends keys": Fault(
        "scd2 by snapshot", "any-order", ends_what_it_has_not_seen, stories.A_REJECT_COMES
    ),
    "versions begin by another clock": Fault("scd2 by cursor", "values-as-written", versions_in_utc, runs(0)),
    "windows are open at their start": Fault("merge by time", "nothing-lost", open_start, runs(0, 1)),
    "keys are not compared": Fault("merge that follows deletes", "deletes-followed", compares_nothing, stories.DELETED),
    "younger rows are compared with older keys": Fault(
        "merge that follows deletes", "nothing-lost", compares_later_rows, stories.KEYS_ARE_OLDER
    ),
    "the first page of an API is all": Fault("merge over an API", "nothing-lost", first_page, stories.MORE_THAN_A_PAGE),
}
