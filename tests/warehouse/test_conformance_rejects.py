"""The suite `rejects`, on every warehouse of conftest.py, and faults that it finds."""

from collections.abc import Callable

import pytest
from opening_support import duckdb_file

from elt_factory.config.models.reject_limit import RejectLimit
from elt_factory.testing.warehouses.loader import AB, Loader
from elt_factory.testing.warehouses.rejects import RejectLimitSuite
from elt_factory.warehouse import audit


class TestRejectLimit(RejectLimitSuite):
    """On DuckDB, fakesnow and, where an account is given, Snowflake."""


def every_load_is_green(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RejectLimit, "allows", lambda *_: True)


def failed_loads_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit, "brought_good", lambda *_: "TRUE")


def failed_loads_move_the_cursor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit, "_STILL", {})
    patch.setattr(audit, "brought_good", lambda *_: "TRUE")


@pytest.mark.duckdb
@pytest.mark.parametrize(
    ("fault", "found_by", "given"),
    [
        (every_load_is_green, "few_rejects_are_loaded_without_by_their_share_or_their_number", ()),
        (failed_loads_count, "a_load_that_fails_for_its_rejects_is_not_taken_for_a_load", ([*AB, "{"],)),
        (failed_loads_move_the_cursor, "a_failed_load_moves_no_cursor", ()),
    ],
)
def test_a_fault_is_found_by_the_suite(fault: Callable, found_by: str, given: tuple, tmp_path, monkeypatch):
    fault(monkeypatch)
    with duckdb_file(None, tmp_path) as connect, connect() as warehouse:
        loader = Loader(tmp_path / "landing", warehouse)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            getattr(RejectLimitSuite(), f"test_{found_by}")(loader, *given)
