"""What tables for people say of a row of the audit tables."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from elt_factory.cli.tables import rejects_table
from elt_factory.warehouse.rejects import RejectedLoad


@pytest.mark.parametrize(
    ("by", "why", "said"),
    [
        ("ann", "a test record", "dismissed by ann: a test record"),
        ("ann", "", "dismissed by ann"),
        ("", "a test record", "dismissed: a test record"),
        ("", "", "dismissed"),
    ],
)
def test_of_dismissed_rejects_only_what_is_known_is_said(by, why, said):
    load = RejectedLoad("s", "t", "1", None, None, 2, "bad", datetime(2026, 1, 1, tzinfo=UTC), "dismissed", by, why)
    states = next(column for column in rejects_table([load]).columns if column.header == "state")
    assert [str(cell) for cell in states.cells] == [said]
