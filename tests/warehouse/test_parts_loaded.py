"""The parts of one load, on every warehouse: one commit with all of their rows and rejects, exactly once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from elt_factory.core.failures import LandingError
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.joint import Joining, join_parts
from elt_factory.landing.land import land
from elt_factory.landing.manifest import LandedFile, Owner
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.testing.warehouses.loader import PROJECT, Loader, day, spooled
from elt_factory.warehouse.snowflake.warehouse import by_folder

SPEC = {"columns": {"id": {"type": "integer"}}, "rejects": {"max": "50%"}}
PARTS = [[{"id": 1, "v": "a"}, {"id": "x"}], [{"id": 2}], [], [{"id": 3, "v": "c"}, {"id": "y"}, {"id": 4, "v": "d"}]]


def landed_parts(loader: Loader, attempt: Attempt) -> list[str]:
    """Land each part below the attempt of the load; their attempts."""
    place, load, attempts = loader.place(day(1)), loader.load_id(day(1)), []
    for number, records in enumerate(PARTS):
        workdir = loader.base / f"part{number}"
        workdir.mkdir(parents=True)
        known = KnownTable(loader.source, loader.name, loader.table, loader.warehouse.columns(loader.target))
        spool = spooled(workdir / "records.ndjson", records)
        of_part = attempt.of_part()
        land(LandRequest(known, day(1), load, spool, place, workdir, print, PROJECT, of_part))
        attempts.append(of_part.name)
    return attempts


def test_all_parts_are_committed_together_and_a_second_try_changes_nothing(loader):
    loader.spec = SPEC | {"write_disposition": "merge", "primary_key": ["id"]}
    attempt = Attempt.begin(loader.warehouse.now())
    attempts = landed_parts(loader, attempt)
    workdir = loader.base / "join"
    workdir.mkdir()
    owner = Owner(PROJECT, loader.source, loader.name, loader.load_id(day(1)), attempt.name)
    joining = Joining(loader.place(day(1)), owner, loader.table, workdir, print)
    manifest = join_parts(joining, attempts)
    assert (manifest.rows_read, manifest.rows, manifest.rows_rejected) == (6, 4, 2)
    # parts without rows have no files, and each other one a folder of its own
    assert len(by_folder(manifest.files)) == 3
    for _ in range(2):
        report = loader.warehouse.load(loader.order(day(1)))
        assert (report.rows_read, report.rows_loaded, report.rows_rejected) == (6, 4, 2)
    assert loader.rows("id", "v") == [(1, "a"), (2, None), (3, "c"), (4, "d")]
    assert loader.audit("loads", "rows_read", "rows_loaded", "rows_rejected") == [(6, 4, 2)]
    assert len(loader.audit("rejects", "reason")) == 2
    assert replace(manifest, parts=()) != manifest


def test_a_load_of_parts_that_were_read_again_meanwhile_changes_nothing(loader):
    loader.spec = SPEC | {"write_disposition": "merge", "primary_key": ["id"]}
    attempt = Attempt.begin(loader.warehouse.now())
    owner = Owner(PROJECT, loader.source, loader.name, loader.load_id(day(1)), attempt.name)
    manifests = []
    for attempts in ((first := landed_parts(loader, attempt)), first[:2]):
        workdir = loader.base / f"join{len(attempts)}"
        workdir.mkdir()
        before = manifests[-1] if manifests else None
        joining = Joining(loader.place(day(1)), owner, loader.table, workdir, print, before=before)
        manifests.append(join_parts(joining, attempts))
    order = loader.order(day(1))
    loader.warehouse.load(replace(order, manifest=manifests[1]))
    with pytest.raises(LandingError, match="a part was read again since"):
        loader.warehouse.load(replace(order, manifest=manifests[0]))
    assert loader.rows("id") == [(1,), (2,)]


def test_files_are_copied_folder_by_folder():
    files = [LandedFile(path, 1, 1) for path in ("a/x/data/1.parquet", "a/y/data/1.parquet", "a/x/data/2.parquet")]
    assert by_folder(files) == [[files[0], files[2]], [files[1]]]
