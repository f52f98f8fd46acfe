"""The parts of one load become one landing: exact over all of them, whatever each has found in its own rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from landing_support import WINDOW, Landed, Lander

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadDataError, ContractError, LandingError
from elt_factory.extract.request import CursorRange, Part, SourceFile, Spool
from elt_factory.extract.unchanged import state_of
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.folded import Folded
from elt_factory.landing.forgotten import KeyHash, clean, key_hash
from elt_factory.landing.joint import Joining, join_parts
from elt_factory.landing.land import land
from elt_factory.landing.manifest import Manifest, Owner, known_manifest
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.landing.split import SplitLoad, read_split, write_split
from elt_factory.landing.type_of_all import type_of_all
from elt_factory.sources.files.model import FilesTable
from elt_factory.sources.rest_api.model import RestTable
from elt_factory.sources.sql.model import SqlTable

LOAD = Attempt.begin(datetime(2013, 1, 3, tzinfo=UTC))
PATH = {"path": "*.csv"}


class Parts:
    """Lands CSV texts as the parts of one load, and joins them."""

    def __init__(self, lander: Lander, **table: object) -> None:
        self.lander = lander
        self.table = FilesTable.model_validate(PATH | table)
        self.attempts: list[str] = []
        self.known: dict[str, object] = {}  # what the split has kept
        self.forms: dict[str, str] = {}

    def part(self, text: str, number: int | None = None) -> Manifest:
        """Land a part, or another try of one."""
        (file,) = self.lander.files(text, suffix="csv")
        return self._landed(file, (file,), number)

    def _landed(self, file: Path, files: tuple[Path, ...], number: int | None = None) -> Manifest:
        moment = datetime(2013, 1, 1, tzinfo=UTC)
        source = SourceFile(file.name, file, file.stat().st_size, moment, "x" * 64, moment, state_of(file))
        workdir = self.lander.base / f"work{next(self.lander.numbers)}"
        workdir.mkdir(parents=True)
        known = KnownTable("src", "tab", self.table, None)
        spool = Spool("csv", files, sources=(source,)) if file.suffix == ".csv" else Spool("ndjson", files)
        spool = replace(spool, forms=self.forms)
        request = LandRequest(known, WINDOW, "L1", spool, self.lander.place, workdir, print, attempt=LOAD.of_part())
        manifest = land(request)
        if number is None:
            self.attempts.append(manifest.attempt)
        else:
            self.attempts[number] = manifest.attempt
        return manifest

    def empty(self) -> Manifest:
        """Land a part whose only file is empty."""
        (file,) = self.lander.files("", suffix="csv")
        return self._landed(file, ())

    def join(self) -> Landed:
        workdir = self.lander.base / f"join{next(self.lander.numbers)}"
        workdir.mkdir(parents=True)
        owner = Owner("", "src", "tab", "L1", LOAD.name)
        joining = Joining(self.lander.place, owner, self.table, workdir, self.lander.told.append, **self.known)
        joining = replace(joining, before=known_manifest(joining.place.below(owner.attempt)))
        return Landed(join_parts(joining, self.attempts), self.lander.folder)


@pytest.fixture
def parts(lander):
    return lambda *texts, **table: _made(Parts(lander, **table), texts)


def _made(parts: Parts, texts) -> Parts:
    for text in texts:
        parts.part(text)
    return parts


def test_every_row_and_reject_of_every_part_is_in_the_whole(parts):
    declared = {"n": {"type": "integer"}}
    whole = parts("id,n\n1,1\n2,x\n", "id,n\n3,3\n", "id,n\n4,y\n5,5\n6,z\n7,7\n", columns=declared).join()
    manifest = whole.manifest
    assert (manifest.rows_read, manifest.rows, manifest.rows_rejected) == (7, 4, 3)
    assert sorted(whole.column("id")) == [1, 3, 5, 7]
    assert len(whole.rejects) == 3
    ordinals = whole._read(manifest.rejects.path)
    assert sorted(row["ordinal"] for row in ordinals) == [1, 2, 3]
    assert len(whole._read(manifest.ledger.path)) == 3
    assert manifest.attempt == LOAD.name
    assert manifest.started_at.startswith("2013-01-03")
    assert all(file.path.startswith(f"{LOAD.name}/") for file in manifest.all_files)


def test_a_part_that_does_not_say_how_its_keys_are_written_leaves_what_others_say(parts):
    table = parts(primary_key=["id"], write_disposition="merge", columns={"id": {"type": "text"}})
    table.forms = {"id": "char(3)"}
    table.part("id\na\n")
    table.forms = {}
    table.part("id\n")
    assert [column.form for column in table.join().manifest.columns] == ["char(3)"]


def test_of_a_key_in_two_parts_the_later_row_stays_and_the_other_is_counted_as_a_duplicate(parts):
    table = {"primary_key": ["id"], "write_disposition": "merge"}
    whole = parts("id,v\n1,first\n2,only\n", "id,v\n1,second\n", "id,v\n1,third\n3,own\n", **table).join()
    assert {row["id"]: row["v"] for row in whole.rows} == {1: "third", 2: "only", 3: "own"}
    assert (whole.manifest.rows_read, whole.manifest.rows, whole.manifest.rows_duplicate) == (5, 3, 2)


def test_of_a_key_in_two_parts_the_row_with_the_greatest_cursor_stays(parts):
    table = {"primary_key": ["id"], "write_disposition": "merge", "incremental": {"cursor": "n", "initial": 0}}
    whole = parts("id,n\n1,90\n2,7\n", "id,n\n1,100\n", "id,n\n1,20\n", **table).join()
    assert {row["id"]: row["n"] for row in whole.rows} == {1: 100, 2: 7}
    # as numbers, not as texts
    assert (whole.manifest.cursor_min, whole.manifest.cursor_max) == ("7", "100")


def test_a_row_that_moved_into_another_range_of_its_cursor_is_there_once(lander):
    ranges = {"primary_key": ["id"], "incremental": {"cursor": "at"}, "write_disposition": "merge"}
    by_cursor = SqlTable.model_validate({**ranges, "split": {"tasks": 2, "by": "cursor"}})
    made = Parts(lander)
    made.table = by_cursor
    whole = _made(made, ["id,at,v\n1,2013-01-01,a\n2,2013-01-02,old\n", "id,at,v\n2,2013-01-05,new\n"]).join()
    assert (whole.manifest.rows_read, whole.manifest.rows, whole.manifest.rows_duplicate) == (3, 2, 1)
    assert sorted(row["v"] for row in whole.rows) == ["a", "new"]
    # ranges of the key have none in common, and need not be looked at
    assert by_cursor.parts_by_key is False
    assert SqlTable.model_validate({**ranges, "split": {"tasks": 2}}).parts_by_key is True


def test_of_a_history_every_version_of_a_key_stays_in_whatever_part(parts):
    table = {"primary_key": ["id"], "write_disposition": "scd2", "incremental": {"cursor": "at"}}
    table |= {"columns": {"at": {"type": "timestamp"}}}
    first, second = "2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z"
    whole = parts(f"id,at,v\n1,{first},a\n", f"id,at,v\n1,{second},b\n1,{first},c\n", **table).join()
    assert sorted(whole.column("v")) == ["b", "c"]
    assert (whole.manifest.rows_read, whole.manifest.rows, whole.manifest.rows_duplicate) == (3, 2, 1)


def test_a_file_whose_records_are_all_rejected_is_refused_next_to_others_as_in_one_task(parts):
    declared = {"n": {"type": "integer"}}
    made = parts("id,n\n1,1\n", "id,n\n2,x\n3,y\n", columns=declared)
    with pytest.raises(
        BadDataError, match=r"csv: all of its 2 records are rejected; check the format. One of them: .*n"
    ):
        made.join()
    # where nothing is good the load keeps the rejects, and one record alone is one bad record
    assert parts("id,n\n2,x\n3,y\n", "id,n\n4,z\n5,z\n", columns=declared).join().manifest.rows_rejected == 4
    assert parts("id,n\n1,1\n", "id,n\n2,x\n", columns=declared).join().manifest.rows_rejected == 1


def test_a_day_of_empty_files_is_refused_only_where_there_was_never_anything_else(parts, lander):
    made = parts()
    made.empty()
    made.empty()
    with pytest.raises(BadDataError, match=r"src\.tab: nothing to load: every file is empty"):
        made.join()
    made.known = {"knew_files": True}
    manifest = made.join().manifest
    assert (manifest.rows_read, manifest.rows) == (0, 0)
    assert len(Landed(manifest, lander.folder)._read(manifest.ledger.path)) == 2


def test_columns_of_all_parts_count_for_max_columns(parts):
    table = {"max_columns": 2, "file_column": "file"}
    assert parts("a,b\n1,1\n", "a\n2\n", **table).join().manifest.rows == 2
    with pytest.raises(ContractError, match=r"3 new columns, such as a, b, c, .*max_columns \(now 2\)"):
        parts("a,b\n1,1\n", "c\n2\n", **table).join()


def test_bounds_are_those_of_the_columns_type(parts):
    table = {"business_date": "day", "primary_key": ["id"], "write_disposition": "merge"}
    table |= {"incremental": {"cursor": "n", "initial": 0}, "columns": {"n": {"type": "float"}}}
    manifest = parts("id,day,n\n1,9,2.5\n", "id,day,n\n2,10,NaN\n", "id,day,n\n3,11,10.5\n", **table).join().manifest
    assert (manifest.business_date_min, manifest.business_date_max) == ("9", "11")
    assert (manifest.cursor_min, manifest.cursor_max) == ("2.5", "nan")


@pytest.mark.parametrize(
    ("cursors", "refused"), [(("9", "10"), True), (("98", "99"), False), (("9", "a10"), False), ((9, 10), False)]
)
def test_numbers_in_texts_of_several_lengths_are_refused_as_the_cursor_whichever_part_has_them(
    lander, cursors, refused
):
    of_api = {"path": "/rows", "primary_key": ["id"], "write_disposition": "merge"}
    made = Parts(lander)
    made.table = RestTable.model_validate(of_api | {"incremental": {"cursor": "n", "initial": 0}})
    for number, cursor in enumerate(cursors):
        (file,) = lander.files(json.dumps({"id": number, "n": cursor}) + "\n", suffix="ndjson")
        made._landed(file, (file,))
    with (
        pytest.raises(ContractError, match="numbers as text, which are in another order") if refused else nullcontext()
    ):
        assert made.join().manifest.cursor_max == str(cursors[1])


def test_files_that_are_appended_keep_the_same_key_of_two_files(parts):
    whole = parts("id\n1\n", "id\n1\n", primary_key=["id"], write_disposition="append").join()
    assert (whole.manifest.rows, whole.manifest.rows_duplicate) == (2, 0)


def test_parts_that_lack_a_column_or_found_a_narrower_number_are_made_to_fit(parts):
    whole = parts("id,price\n1,2\n", "id,price,note\n2,2.5,x\n", "id\n3\n").join()
    assert whole.types["note"] == "text"
    assert whole.types["price"].startswith("decimal") or whole.types["price"] == "float"
    found = {row["id"]: (row["price"] and float(row["price"]), row["note"]) for row in whole.rows}
    assert found == {1: (2.0, None), 2: (2.5, "x"), 3: (None, None)}


def test_whole_numbers_that_are_no_exact_float_are_refused(parts):
    with pytest.raises(ContractError, match=r"float and integer in the column n; declare its type under columns:"):
        parts("id,n\n1,9007199254740993\n", "id,n\n2,2.5\n").join()


def test_a_part_without_a_value_in_a_column_does_not_decide_its_type(parts):
    whole = parts("id,n\n1,\n", "id,n\n2,5\n").join()
    assert whole.types["n"] == "integer"
    assert {row["id"]: row["n"] for row in whole.rows} == {1: None, 2: 5}


def test_types_that_do_not_fit_together_are_refused_with_what_to_declare(parts):
    made = parts("id,code\n1,7\n", "id,code\n2,A7\n")
    with pytest.raises(
        ContractError, match=r"src\.tab: the parts .* found integer and text in the column code; declare"
    ):
        made.join()


def test_a_second_try_of_the_join_finds_what_the_first_one_has_made(parts):
    made = parts("id\n1\n", "id\n2\n")
    first = made.join()
    assert made.join().manifest == first.manifest


def test_a_part_that_was_read_again_takes_the_place_of_its_first_try(parts):
    made = parts("id\n1\n", "id\n2\n")
    made.join()
    made.part("id\n9\n", number=1)
    assert sorted(made.join().column("id")) == [1, 9]


def test_a_damaged_manifest_of_the_whole_is_made_again(parts, lander):
    made = parts("id\n1\n", "id\n2\n")
    first = made.join().manifest
    (lander.folder / LOAD.name / "manifest.json").write_text("{")
    assert replace(made.join().manifest, files=(), ledger=None) == replace(first, files=(), ledger=None)
    assert first.what_to_clear == "the task split"
    assert replace(first, parts=()).what_to_clear == "the extract task"


def test_a_part_of_another_load_or_one_without_its_files_is_refused(parts, lander):
    made = parts("id\n1\n", "id\n2\n")
    manifest = made.part("id\n3\n")
    (lander.folder / manifest.files[0].path).unlink()
    with pytest.raises(LandingError, match="is incomplete"):
        made.join()
    made.attempts[-1] = Attempt.begin().of_part().name
    with pytest.raises(LandingError, match="no landing in"):
        made.join()


KILLED = """
import itertools, os, pathlib, signal, sys
sys.path.insert(0, {tests!r})
import test_landing_parts as parts
from elt_factory.landing import land
land.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
parts.LOAD = parts.Attempt({load!r}, parts.LOAD.started)
parts.Parts(parts.Lander(pathlib.Path({base!r}), numbers=itertools.count(100))).part("id\\n7\\n8\\n")
"""


def test_a_part_whose_process_is_killed_leaves_nothing_that_counts_and_is_landed_by_its_next_try(parts, lander):
    made = parts("id\n1\n", "id\n2\n")
    script = KILLED.format(tests=str(Path(__file__).parent), load=LOAD.name, base=str(lander.base))
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    left = {name.split("/")[0] for name in lander.place.below(LOAD.name).files() if name.endswith(".parquet")}
    of_killed = left - {attempt.split("/")[1] for attempt in made.attempts}
    assert len(of_killed) == 1
    made.part("id\n7\n8\n")
    whole = made.join()
    assert sorted(whole.column("id")) == [1, 2, 7, 8]
    assert whole.manifest.rows_read == 4
    assert not any(of_killed & set(file.path.split("/")) for file in whole.manifest.all_files)


def test_how_a_load_is_divided_comes_back_as_it_was(tmp_path):
    place = LocalPlace(tmp_path)
    kinds = {"id": ColumnType("integer"), "amount": ColumnType.parse("decimal(18,2)")}
    what = [Part({"files": [{"name": "a\udcff.csv"}]}, "1 file"), Part({"key": "id", "start": 5, "end": None}, "rest")]
    for existing in (None, kinds, Folded(kinds)):
        split = SplitLoad(LOAD, existing, CursorRange("7", None), what)
        write_split(place, split)
        found = read_split(place, LOAD.name)
        assert type(found.existing) is type(existing)
        assert found.existing is None or dict(found.existing) == dict(kinds)
        assert replace(found, existing=None) == replace(split, existing=None)
    with pytest.raises(LandingError, match="clear the task split together"):
        read_split(place, Attempt.begin().name)


PERSON = [KeyHash(("id",), key_hash(("id",), ("1",)))]


def test_a_part_that_was_read_again_and_is_not_joined_yet_outlives_the_erasing_of_a_person(parts):
    made = parts("id,n\n1,1\n2,2\n", "id,n\n3,3\n", columns={"n": {"type": "integer"}})
    first = made.join().manifest
    made.part("id,n\n1,9\n3,3\n4,x\n", 1)
    place, attempt = made.lander.place, made.lander.place.below(LOAD.name)
    # another try of a part, which has no manifest yet, and what a killed erasing left
    new = f"{LOAD.of_part().own_name}/data/data_0.parquet"
    stray = made.attempts[0].rpartition("/")[2] + "/data/data_0.abc.parquet"
    for name in (new, stray):
        file = attempt.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    cleaned = clean(place, first, PERSON)
    assert (cleaned.rows, cleaned.unfinished) == (1, True)
    assert new in attempt.files()
    assert stray not in attempt.files()
    again = made.join()
    assert sorted(again.column("id")) == [2, 3]
    assert (again.manifest.rows_read, again.manifest.rows_rejected) == (3, 1)
    assert [one.sha256 for one in again.manifest.forgotten] == [PERSON[0].sha256]
    # a day later it was that of a killed try
    old = attempt.folder / new
    os.utime(old, (old.stat().st_mtime - 90_000,) * 2)
    assert not clean(place, again.manifest, PERSON).unfinished
    assert new not in attempt.files()


def test_a_part_that_is_read_after_the_erasing_may_have_the_person_as_the_load_must_know(parts):
    made = parts("id\n1\n2\n", "id\n3\n")
    clean(made.lander.place, made.join().manifest, PERSON)
    made.part("id\n1\n3\n", 1)
    assert made.join().manifest.forgotten == ()


@pytest.mark.parametrize(
    ("largest", "found"),
    [
        ({"integer": 2**53 - 1, "float": 0.5}, "float"),
        ({"integer": 2**53, "float": 0.5}, None),
        ({"decimal(20,5)": 9_999_999_999.0, "float": 1e300}, "float"),
        ({"decimal(20,5)": 10_000_000_000.0, "float": 0.5}, None),
        ({"decimal(10,2)": 0.0, "decimal(10,5)": 0.0}, "decimal(13,5)"),
        ({"integer": 0.0, "decimal(10,2)": 0.0}, "decimal(21,2)"),
        ({"decimal(38,0)": 99.0, "decimal(38,9)": 0.5}, "decimal(38,9)"),
        ({"decimal(38,0)": 1e29, "decimal(38,9)": 0.5}, None),
        ({"date": 0.0, "datetime": 0.0}, "datetime"),
        ({"text": 0.0, "integer": 1.0}, None),
        ({"text": 0.0}, "text"),
    ],
)
def test_the_type_of_all_parts_holds_every_value_of_each_exactly(largest, found):
    kinds = {ColumnType.parse(kind): float(most) for kind, most in largest.items()}
    assert type_of_all(kinds) == (found and ColumnType.parse(found))
