"""What dbt says of its tests: kept with the checks, and a test that failed is not tried again."""

import pytest

from elt_factory.core.failures import PermanentError
from elt_factory.dag.dbt_running import failed_tests, keep_results, results_of
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

MODEL = {"unique_id": "model.elt_factory.stg_flights", "status": "success", "execution_time": 0.1}
GOOD = {"unique_id": "test.elt_factory.not_null_id.abc", "status": "pass", "failures": 0, "execution_time": 0.1}
BAD = {"unique_id": "test.elt_factory.unique_id.abc", "status": "fail", "failures": 2, "execution_time": 0.1}
BAD |= {"message": "Got 2 results, configured to fail if != 0"}
SKIPPED = {"unique_id": "model.elt_factory.fleet_age", "status": "skipped", "execution_time": 0}
BROKEN = {"unique_id": "test.elt_factory.odd.abc", "status": "error", "message": "locked", "execution_time": 0.1}


@pytest.mark.parametrize(
    ("nodes", "failed"),
    [
        ([MODEL, GOOD], []),
        ([MODEL, GOOD, BAD, SKIPPED], ["unique_id: Got 2 results, configured to fail if != 0"]),
        # a lock or a lost connection heals: the whole command is tried again
        ([MODEL, BAD, BROKEN], []),
        ([BROKEN], []),
    ],
)
def test_only_what_no_retry_changes_is_a_failed_test(nodes, failed):
    assert failed_tests({"results": nodes}) == failed


@pytest.mark.duckdb
@pytest.mark.duckdb
def test_a_failed_test_is_kept_and_then_an_error_that_is_not_retried(tmp_path, monkeypatch):
    """The results are kept first: they are what people look at."""
    import json
    from types import SimpleNamespace

    from elt_factory.dag import runtime

    (tmp_path / "target").mkdir()
    report = {"results": [MODEL, GOOD, BAD]}
    (tmp_path / "target" / "run_results.json").write_text(json.dumps(report))
    file = tmp_path / "warehouse.duckdb"
    monkeypatch.setattr(runtime, "warehouse", lambda _: DuckDBWarehouse(file, log=lambda _: None))
    context = {"run_id": "r", "ti": SimpleNamespace(task_id="transform.stg_flights.test")}
    with pytest.raises(PermanentError, match="dbt tests failed: unique_id: Got 2 results"):
        keep_results(str(tmp_path), source="flights", context=context)
    with DuckDBWarehouse(file, log=lambda _: None) as opened:
        rows = opened.query("SELECT kind, check_name, status, failing_rows FROM _elt.quality_results").rows
    assert sorted(rows) == sorted((r.kind, r.check, r.status, r.failing_rows) for r in results_of(report))
