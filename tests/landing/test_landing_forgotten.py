"""A landing without the records of a person is a landing like any other, on a disk and in object storage."""

from dataclasses import replace
from hashlib import sha256

import duckdb
import pytest
from landing_support import WINDOW
from remote_support import URL, empty_bucket, s3_connection, s3_server

from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import LandingChangedError, LandingError
from elt_factory.extract.request import Spool
from elt_factory.landing import direct
from elt_factory.landing.checksums import proven
from elt_factory.landing.expiry import clear_landings
from elt_factory.landing.forgotten import KeyHash, clean, condition, is_of, key_hash, typed_text
from elt_factory.landing.land import land
from elt_factory.landing.manifest import Forgotten, read_manifest, write_manifest
from elt_factory.landing.places import LocalPlace, Place
from elt_factory.landing.remote import open_place
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable

KEYS = [KeyHash(("id",), key_hash(("id",), ("42",)))]


@pytest.fixture(params=["local", "s3"])
def table(request, tmp_path) -> Place:
    """Where the landings of the table are."""
    if request.param == "local":
        yield LocalPlace(tmp_path / "landing")
        return
    with s3_server() as address:
        empty_bucket(address)
        yield open_place(URL, s3_connection(address)).below("src", "tab")


def landed(place, tmp_path, monkeypatch, most=60_000):
    """Several parts, and two rejects."""
    monkeypatch.setattr(direct, "PART_BYTES", 100_000)
    rows = (f'{{"id": {number}, "v": "{sha256(b"%d" % number).hexdigest() * 4}"}}\n' for number in range(most))
    bad = '{"id": 42, "v": [\n{"id": 43, "v": [\n'
    spooled = tmp_path / "rows.ndjson"
    spooled.write_text("".join(rows) + bad)
    known = KnownTable("src", "tab", Table(primary_key=("id",)), None)
    spool = Spool("ndjson", (spooled,), most + 2)
    return land(LandRequest(known, WINDOW, "L1", spool, place, tmp_path, print, "ours"))


def ids(place, manifest) -> set[int]:
    with proven(place, manifest.all_files) as folder:
        files = [str(folder / file.path) for file in manifest.files]
        return {row[0] for row in duckdb.read_parquet(files).project("id").fetchall()}


def test_only_what_holds_the_person_is_written_again_and_the_manifest_proves_it(table, tmp_path, monkeypatch):
    place = table.below("L1")
    before = landed(place, tmp_path, monkeypatch)
    assert len(before.files) > 1
    dry = clean(place, before, KEYS, dry_run=True)
    assert read_manifest(place, before.owner) == before
    done = clean(place, before, KEYS)
    assert dry.rows == done.rows == 2
    after = read_manifest(place, before.owner)
    assert after == done.manifest
    assert (after.rows_read, after.rows, after.rows_rejected) == (60_000, 59_999, 1)
    assert after.forgotten == (Forgotten(KEYS[0].sha256, 2),)
    assert ids(place, after) == set(range(60_000)) - {42}
    assert len(set(after.files) - set(before.files)) == 1
    assert {f"{before.attempt}/{name}" for name in place.below(before.attempt).files()} == {
        *(file.path for file in after.all_files),
        f"{before.attempt}/manifest.json",
    }
    assert clean(place, after, KEYS).rows == 0
    # a source that is removed leaves the landings of other projects
    assert clear_landings(table, "another") == {}
    assert list(clear_landings(table, "ours")) == [f"L1/{before.attempt}"]
    assert table.files() == {}


def test_what_a_killed_try_left_next_to_the_manifest_goes_with_the_next_one(tmp_path, monkeypatch):
    place = LocalPlace(tmp_path / "landing")
    before = landed(place, tmp_path, monkeypatch, 100)
    (place.folder / before.attempt / "data" / "data_0.abc.parquet").write_bytes(b"x")
    clean(place, before, KEYS)
    assert not (place.folder / before.attempt / "data" / "data_0.abc.parquet").exists()


def test_a_landing_that_another_task_has_joined_again_meanwhile_is_not_put_back(table, tmp_path, monkeypatch):
    place = table.below("L1")
    before = landed(place, tmp_path, monkeypatch, most=60)
    joined = replace(before, parts=("another",))
    write_manifest(place, joined)
    with pytest.raises(LandingChangedError, match="another task has changed the landing"):
        clean(place, before, KEYS)
    assert read_manifest(place, before.owner) == joined
    assert ids(place, clean(place, joined, KEYS).manifest) == set(range(60)) - {42}


def test_a_damaged_file_is_refused_and_gets_no_new_checksum(tmp_path, monkeypatch):
    place = LocalPlace(tmp_path / "landing")
    before = landed(place, tmp_path, monkeypatch, 100)
    file = place.folder / before.files[0].path
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(LandingError, match="is damaged"):
        clean(place, before, KEYS)
    assert read_manifest(place, before.owner) == replace(before)


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        ("integer", "042", "42"),
        ("decimal(10,2)", "42", "42.00"),
        ("float", "42.50", "42.5"),
        ("text", "Ann 'x'", "Ann 'x'"),
        ("date", "2013-01-01", "2013-01-01"),
        ("timestamp", "2013-01-01T01:00:00+01:00", "2013-01-01T00:00:00Z"),
        ("boolean", "yes", "true"),
    ],
)
def test_one_value_has_one_hash_however_it_is_written(kind, given, stored):
    column = ColumnType.parse(kind)
    text = typed_text(given, column)
    assert text is not None
    key = KeyHash(("C",), key_hash(("C",), (text,)))
    rows = "SELECT CAST(? AS {}) AS c"
    from elt_factory.landing.casting import duckdb_type

    query = f"SELECT count(*) FROM ({rows.format(duckdb_type(column))}) WHERE {condition([key], {'c': column})}"
    assert duckdb.execute(query, [stored]).fetchall() == [(1,)]
    assert typed_text("x", ColumnType("integer")) is None
    assert condition([key], {"other": column}) == ""


def test_rejects_are_recognized_by_number_hash_key_and_words():
    assert is_of(KEYS, '{"id": 42.0}', None, None)
    assert is_of(KEYS, '{"ID": "042"}', None, None)
    assert is_of(KEYS, None, '["id","42"]', None)
    assert is_of(KEYS, "{}", None, '{"hashed":{"id":"42"},"dropped":[]}')
    assert is_of(KEYS, '{"line": "420,42,x"}', None, None)
    assert not is_of(KEYS, '{"line": "420;4.2,x"}', None, None)
    assert not is_of(KEYS, '{"id": 420, "n": 42}', '["id","420"]', None)
