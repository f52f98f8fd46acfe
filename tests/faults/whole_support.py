"""A load after a fault is whole: every row once, the account of it exact, and nothing left of the tries before."""

from collections.abc import Mapping, Sequence
from typing import Any

from orphans_support import assert_nothing_orphaned

from elt_factory.landing.places import LocalPlace
from elt_factory.testing.loads import WEEK, Line


def assert_whole(line: Line, records: Sequence[Mapping[str, Any]]) -> None:
    """Load what the source has now, which are these records of `id` and `v`."""
    report, rows = line.load(WEEK), len(records)
    assert (report.rows_read, report.rows_loaded, report.rows_rejected, report.rows_duplicate) == (rows, rows, 0, 0)
    found = sorted((int(row["id"]), row["v"]) for row in line.rows())
    assert found == [(record["id"], record["v"]) for record in records]
    with line.warehouse() as opened:
        assert_nothing_orphaned(opened, LocalPlace(line.folder / "landing"), "conformance", "things")
