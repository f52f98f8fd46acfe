"""The manifest appears whole and last, or not at all."""

import os
import random

import duckdb
import pytest
from landing_support import lines

from elt_factory.core.failures import DiskFullError, EltError, LandingError
from elt_factory.landing import direct, memory
from elt_factory.landing import land as land_module
from elt_factory.landing import manifest as manifest_module
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.manifest import Owner, parse_manifest, read_manifest
from elt_factory.landing.places import LocalPlace
from elt_factory.testing.warehouses.loader import newest
from landings import manifest_file

TWO = lines('{"id": 1}', '{"id": 2}')


def test_a_manifest_reads_back_as_it_was_written(lander):
    landed = lander.ndjson(TWO, "x\n", table={"columns": {"other": {}}}, existing={"other": "text"})
    assert read_manifest(lander.place, landed.manifest.owner) == landed.manifest
    assert landed.manifest.bytes == sum((lander.folder / file.path).stat().st_size for file in landed.manifest.files)


def test_a_manifest_says_all_of_a_landing(lander):
    manifest = lander.ndjson(TWO).manifest
    assert (manifest.source, manifest.table, manifest.load_id) == ("src", "tab", "L1")
    assert (manifest.window_start, manifest.window_end) == ("2013-01-01T00:00:00Z", "2013-01-02T00:00:00Z")


def test_without_a_manifest_there_is_no_landing(tmp_path):
    with pytest.raises(LandingError, match=r"no landing in .*: run the extract task first"):
        read_manifest(LocalPlace(tmp_path), Owner("", "src", "tab", "L1", Attempt.begin().name))


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")])
@pytest.mark.parametrize("which", ["part", "rejects"])
def test_a_part_that_is_missing_or_changed_is_an_error(lander, damage, which):
    manifest = lander.ndjson(TWO + "x\n").manifest
    damage(lander.folder / (manifest.files[0].path if which == "part" else manifest.rejects.path))
    with pytest.raises(LandingError, match="is missing or changed; run the extract task again"):
        read_manifest(lander.place, manifest.owner)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"source": 1}', b"[" * 200_000, b'{"a": ' * 200_000, b"\xff\xfe{}", b'{"format": "\xff"}'],
)
def test_a_manifest_that_cannot_be_read_is_an_error(lander, text):
    manifest = lander.ndjson(TWO).manifest
    manifest_file(lander.folder, manifest).write_bytes(text)
    with pytest.raises(
        LandingError, match=r"(cannot read the manifest in|the manifest in .* is damaged).*run the extract task again"
    ):
        read_manifest(lander.place, manifest.owner)


def test_every_attempt_has_a_landing_of_its_own_and_leaves_the_others_whole(lander):
    landed = [lander.ndjson(TWO), lander.ndjson('{"id": 3}\n')]
    assert [attempt.column("id") for attempt in landed] == [[1, 2], [3]]
    for attempt in landed:
        assert read_manifest(lander.place, attempt.manifest.owner) == attempt.manifest
    assert {path.name for path in lander.folder.iterdir()} == {attempt.manifest.attempt for attempt in landed}


def test_a_second_landing_from_the_same_scratch_folder_works(lander):
    from elt_factory.config.models.table import Table
    from elt_factory.extract.request import Spool
    from elt_factory.landing.land import land
    from elt_factory.landing.request import LandRequest
    from elt_factory.landing.schema import KnownTable

    spool = Spool("ndjson", lander.files(TWO + "x\n", suffix="ndjson"))
    known = KnownTable("src", "tab", Table(), None)
    from landing_support import WINDOW

    for _ in range(2):
        manifest = land(LandRequest(known, WINDOW, "L1", spool, lander.place, lander.base, print))
        assert (manifest.rows, manifest.rows_rejected) == (2, 1)


STEPS = [
    "reading.presumed_columns",
    "reading.plan_contract",
    "reading.relation_by_form",
    "reading.raw_relations",
    "land._write_parts",
    "land._write_rejects",
    "land._manifest",
    "land.write_manifest",
]


@pytest.mark.parametrize("error", [OSError("disk"), duckdb.IOException("disk"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_anywhere_leaves_the_landing_before_it(lander, monkeypatch, step, error):
    before = lander.ndjson(TWO).manifest

    def fail(*_):
        raise error

    with monkeypatch.context() as patched:
        # records of one form are read in no other way
        patched.setattr("elt_factory.landing.reading.relation_by_form", lambda *_: None)
        patched.setattr(f"elt_factory.landing.{step}", fail)
        with pytest.raises((OSError, EltError, duckdb.Error, KeyboardInterrupt)):
            lander.ndjson('{"id": 3}\n')
    assert newest(lander.place) == before
    assert lander.ndjson('{"id": 3}\n').column("id") == [3]


def test_a_first_landing_that_fails_leaves_no_manifest(lander, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        lander.ndjson(TWO)
    for attempt in lander.folder.iterdir():
        with pytest.raises(LandingError, match="no landing in"):
            parse_manifest(LocalPlace(attempt))


def test_a_disk_that_is_full_is_named_so(lander, monkeypatch):
    def full(*_):
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(land_module, "_write_parts", full)
    with pytest.raises(DiskFullError, match=r"src\.tab: disk full or quota exceeded: .*landing"):
        lander.ndjson(TWO)


def test_rows_that_do_not_add_up_are_never_landed(lander, monkeypatch):
    monkeypatch.setattr(land_module._Staged, "rows_read", 5)
    with pytest.raises(
        EltError, match=r"5 rows read, but 2 landed \+ 0 rejected \+ 0 duplicates \+ 0 filtered; nothing was landed"
    ):
        lander.ndjson(TWO)


def test_big_loads_are_split_into_parts(lander, monkeypatch):
    monkeypatch.setattr(direct, "PART_BYTES", 100_000)
    landed = lander.ndjson(lines(*(f'{{"id": {i}, "h": "{hash(i) * 7919 % 2**64}"}}' for i in range(300_000))))
    assert len(landed.manifest.files) > 1
    assert landed.manifest.rows == 300_000
    assert {file.path.split("/")[0] for file in landed.manifest.files} == {landed.manifest.attempt}


def text_of(number: int, length: int) -> str:
    """Text that cannot be compressed to less than half."""
    return random.Random(number).randbytes(length // 2).hex()


def test_parts_have_the_size_that_is_asked_for_and_a_row_group_more_at_most(lander, monkeypatch):
    part, group = 400_000, 100_000
    monkeypatch.setattr(direct, "PART_BYTES", part)
    monkeypatch.setattr(memory, "_ROW_GROUP", group)
    monkeypatch.setattr(memory, "_LEAST_ROW_GROUP", group)
    # far fewer rows than a row group may have: only their bytes can end one
    landed = lander.ndjson(lines(*(f'{{"id": {i}, "text": "{text_of(i, 400)}"}}' for i in range(20_000))))
    *full, last = sorted((file.bytes for file in landed.manifest.files), reverse=True)
    assert len(full) > 3
    # a row group takes rows by 2,048 at a time
    assert all(part <= size <= part + 2 * (group + 2048 * 400) for size in full), full
    assert last <= full[0]
    assert landed.manifest.rows == 20_000


def test_scratch_files_are_gone(lander):
    lander.ndjson(TWO)
    assert [path.name for path in lander.base.glob("work*/*.duckdb*")] == []
    assert manifest_module.MANIFEST_FILE == "manifest.json"
