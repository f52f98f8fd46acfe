"""Every kind of check finds what it is for, on both warehouses, and nothing in what is right."""

import json
from datetime import timedelta

import pytest
from checks_support import day

from elt_factory.checks.history import Figure, History, Measured
from elt_factory.checks.kind import CheckRequest
from elt_factory.checks.run import keep, keep_figures, run_checks
from elt_factory.config.models.check_names import named_checks
from elt_factory.config.models.checks import TableCheck
from elt_factory.config.models.table import Table
from elt_factory.core.window import Window
from elt_factory.ui.history import results_of

# what is the same Python on every warehouse, over statements that other tests run on both
ON_DUCKDB = pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)


def column(*checks, name="n", **spec):
    return {"columns": {name: {"checks": list(checks), **spec}}}


def load_and_check(source, sizes_or_rows):
    """Load a window per entry, check each and keep what it measured, as runs do; the results of the last."""
    results = []
    for number, rows in enumerate(sizes_or_rows, 1):
        source.load(rows, day(number))
        results = source.check(day(number))
        keep_figures(source.warehouse, source.request(day(number)), results)
    return results


def numbers(*values):
    return [{"n": value} for value in values]


def test_conditions_thresholds_and_keys_on_every_warehouse(checked):
    """One table with many checks: one scan answers those of rows, and each shows the keys of what fails."""
    table = {
        "primary_key": ["id", "mail"],
        "columns": {
            "mail": {"type": "text", "pii": "hash"},
            "code": {
                "type": "text",
                "checks": [
                    {"regex": "^N[0-9]+$"},
                    {"regex": "^N[0-9]+$", "max_failing": 2, "severity": "warn"},
                    {"regex": "^N[0-9]+$", "max_failing": "50%"},
                    {"regex": "^N[0-9]+$", "where": "kind = 'x' -- only these"},
                    {"length": {"min": 2, "max": 3}},
                    {"unique": True, "where": "kind = 'x'"},
                ],
            },
            "n": {"checks": [{"sum": {"max": 10}}, {"mean": {"min": 3}}]},
        },
    }
    source = checked(
        table,
        quality=[{"expression": "n > 1", "where": "code is not null"}, {"query": "select 1 from loaded where n = 3"}],
    )
    source.load(
        [
            {"id": 1, "mail": "a", "code": "N1", "kind": "x", "n": 1},
            {"id": 2, "mail": "b", "code": "M1", "kind": "y", "n": 2},
            {"id": 3, "mail": "c", "code": "N123", "kind": "x", "n": 3},
            {"id": 4, "mail": "d", "code": "N1", "kind": "z", "n": 5},
            {"id": 5, "mail": "e", "code": None, "kind": "z", "n": 0},
        ]
    )
    found = {result.check: (result.status, result.message, result.failing_keys) for result in source.check()}
    assert found == {
        "no rejects": ("passed", "no row was rejected", ""),
        "code matches ^N[0-9]+$ (error)": ("failed", "1 row violates it", '[{"id": 2}]'),
        "code matches ^N[0-9]+$ for all but 2 (warn)": ("passed", "1 row violates it; 2 may", ""),
        "code matches ^N[0-9]+$ for all but 50% (error)": ("passed", "1 of 5 rows violate it; 50% may", ""),
        "code matches ^N[0-9]+$ where kind = 'x' -- only these": ("passed", "holds", ""),
        "code length min 2, max 3": ("failed", "1 row violates it", '[{"id": 3}]'),
        "code unique where kind = 'x'": ("passed", "holds", ""),
        "n sum": ("failed", "the sum is 11; the maximum is 10", ""),
        "n mean": ("failed", "the mean is 2.2; the minimum is 3", ""),
        "expression n > 1 where code is not null": ("failed", "1 row violates it", '[{"id": 1}]'),
        "query select 1 from loaded where n = 3": ("failed", "1 row violates it", ""),
    }


def test_many_checks_of_a_table_are_one_scan_and_a_broken_one_fails_alone(checked, monkeypatch):
    source = checked(
        {"columns": {name: {"checks": [{"not_null": True}, {"sum": {"min": 0}}]} for name in "ab"}},
        quality=[{"expression": "a > 0"}],
    )
    source.load([{"a": 1, "b": 2}])
    asked = []
    query = type(source.warehouse).query
    monkeypatch.setattr(type(source.warehouse), "query", lambda self, text: asked.append(text) or query(self, text))
    scans = f"FROM {source.warehouse.dialect.name('src')}.{source.warehouse.dialect.name('tab')} "
    assert [result.status for result in source.check()] == ["passed"] * 6
    assert sum(scans in text for text in asked) == 1
    broken = checked(
        source.config.tables["tab"].model_dump(exclude_unset=True), quality=[{"expression": "nothing > 0"}]
    )
    asked.clear()
    results = {result.check: result.status for result in run_checks(source.warehouse, broken.request())}
    assert results.pop("expression nothing > 0") == "failed"
    assert set(results.values()) == {"passed"}


def test_a_foreign_key_is_a_value_of_another_loaded_table(checked):
    source = checked(column({"relationships": {"table": "tab", "column": "parent"}}, name="child"))
    source.load([{"child": 1, "parent": 1}, {"child": None, "parent": 2}, {"child": 3, "parent": None}])
    assert source.one("child in tab.parent").failing_rows == 1
    source = checked(column({"relationships": {"source": "fleet", "table": "planes", "column": "id"}}, name="child"))
    result = source.one("child in fleet.planes.id")
    assert (result.status, result.message.split(":")[0]) == ("failed", "check failed to run")


@pytest.mark.parametrize(
    ("rule", "values", "status", "message"),
    [
        ({"within": "20%"}, [10], "passed", "the sum is 10; no earlier load to compare with"),
        (
            {"within": "20%"},
            [10, 12],
            "passed",
            "the sum is 12; the previous 1 load has 10 on average; the allowed deviation is 20%",
        ),
        (
            {"within": "20%"},
            [10, 14, 15],
            "failed",
            "the sum is 15; the previous 2 loads have 12 on average; the allowed deviation is 20%",
        ),
        ({"max": 5}, [None], "passed", "the sum has no value"),
    ],
)
def test_a_sum_is_compared_with_what_earlier_loads_measured(checked, rule, values, status, message):
    result = load_and_check(checked(column({"sum": rule}, type="integer")), [numbers(value) for value in values])[-1]
    assert (result.status, result.message) == (status, message)


def test_a_window_that_is_loaded_and_checked_again_is_measured_again_and_not_compared_with_itself(checked):
    source = checked(column({"sum": {"within": "10%"}}))
    load_and_check(source, [numbers(100), numbers(50)])
    result = load_and_check(source, [numbers(55), numbers(50)])[-1]
    assert result.message == "the sum is 50; the previous 1 load has 55 on average; the allowed deviation is 10%"
    source.load(numbers(1000), day(1), full_refresh=True)
    source.load(numbers(50), day(3))
    assert source.one("n sum", day(3)).message.endswith("no earlier load to compare with")


def rows_where(count, **values):
    return [{"n": 1, **values} for _ in range(count)]


@ON_DUCKDB
def test_a_row_count_of_some_rows_and_of_the_same_weekday(checked):
    source = checked(
        quality=[
            {"row_count": {"within": "10%"}, "where": "k = 'a'"},
            {"row_count": {"within": "10%", "of": "same_weekday"}},
        ]
    )
    loads = [rows_where(10, k="a"), *[rows_where(3, k="a") + rows_where(4, k="b")] * 6, rows_where(10, k="a")]
    some, weekday = load_and_check(source, loads)[1:]
    assert some.status == "failed"
    assert some.message.startswith("the load has 10 rows; the previous 7 loads have 4 on average")
    assert (weekday.status, weekday.message.split(";")[1]) == ("passed", " the previous 1 load has 10 on average")


@pytest.mark.parametrize(
    ("there", "holds", "message"),
    [
        (2, True, "the load read 2 rows; the source has 2; the allowed deviation is 10%"),
        (3, False, "the load read 2 rows; the source has 3; the allowed deviation is 10%"),
        (None, True, "the load has 2 rows; the source cannot say how many it has"),
    ],
)
def test_a_row_count_is_compared_with_what_the_source_counts(checked, there, holds, message):
    source = checked(quality=[{"row_count": {"within": "10%", "of": "source"}}])
    source.load(numbers(1, 2))
    asked = source.request()
    request = CheckRequest(asked.config, asked.table, asked.load_id, asked.window, "run", lambda: there)
    result = run_checks(source.warehouse, request)[-1]
    assert (result.status == "passed", result.message) == (holds, message)


def test_a_shift_of_the_distribution_is_named(checked):
    rule = {"nulls": "10%", "distinct": "20%", "quantiles": "20%", "categories": "10%"}
    source = checked(column({"distribution": rule}))
    usual = numbers(*range(20))
    result = load_and_check(source, [usual, usual, usual])[-1]
    assert (result.status, result.message) == ("passed", "distributed like the previous 2 loads")
    shifted = load_and_check(source, [usual, usual, numbers(*[None] * 10, *[15] * 10)])[-1]
    assert shifted.status == "failed"
    assert "50.0% are NULL, before 0.0%" in shifted.message
    assert "10.0% are distinct, before 100.0%" in shifted.message
    assert "the 5% quantile is 15, before 0.95" in shifted.message
    assert '100.0% are "15", before 5.0%' in shifted.message
    assert shifted.message.endswith("compared with the previous 2 loads")
    empty = load_and_check(source, [usual, []])[-1]
    assert empty.status == "passed"


def test_history_is_of_the_same_column_metric_and_rows():
    start = day(30).start
    measured = [
        Measured(start - timedelta(days=back), Figure("n", "sum", float(back), where=where))
        for back in range(1, 30)
        for where in ("", "a > 1")
    ]
    found = History(start, "UTC", measured).of(Figure("n", "sum", 0.0), "trailing_7_runs")
    assert [figure.value for figure in found] == [1, 2, 3, 4, 5, 6, 7]
    weekday = History(start, "UTC", measured).of(Figure("n", "sum", 0.0, where="a > 1"), "same_weekday")
    assert [figure.value for figure in weekday] == [7, 14, 21, 28]
    assert History(start, "UTC", measured).of(Figure("n", "mean", 0.0), "trailing_7_runs") == []


def test_a_weekday_is_one_of_the_sources_time_zone():
    """Midnight in New York is Tuesday in UTC already; in autumn an hour later than in summer."""
    nights = [day(1).start + timedelta(days=back, hours=4) for back in (7, 0)]
    history = History(nights[0], "America/New_York", [Measured(nights[1], Figure("n", "sum", 1.0))])
    assert len(history.of(Figure("n", "sum"), "same_weekday")) == 1


@ON_DUCKDB
def test_rejects_are_a_share_of_the_rows_read(checked):
    table = {"columns": {"n": {"type": "integer"}}, "rejects": {"max": "50%"}}
    for limit, status in (("50%", "passed"), ("30%", "failed"), (1, "passed"), (0, "failed")):
        source = checked(table, quality=[{"rejects": limit}])
        source.load(numbers(1, 2, "x"))
        result = source.one("share of rejects")
        assert (result.status, result.failing_rows) == (status, 1)
    assert result.message == "1 of 3 rows were rejected; 0 may"


def test_rows_that_a_check_sets_aside_are_its_result_and_are_not_loaded(checked):
    aside = {"severity": "quarantine"}
    source = checked(
        column({"between": [0, 6]} | aside, {"between": [0, 60]} | aside, type="integer"),
        quality=[{"expression": "n <> 5; "} | aside, {"row_count": {"max": 2}}],
    )
    source.load(numbers(1, 2, 5, 7, 61, "x", None))
    found = [(one.check, one.severity, one.status, one.failing_rows) for one in source.check()]
    assert found == [
        ("no rejects", "warn", "warned", 4),
        ("n between 0 and 6", "quarantine", "warned", 2),
        ("n between 0 and 60", "quarantine", "warned", 1),
        ("expression n <> 5", "quarantine", "warned", 1),
        ("row count", "error", "failed", None),
    ]
    assert source.one("n between 0 and 6").message == "2 rows are set aside"
    source.load(numbers(1, 2))
    assert source.one("n between 0 and 6").status == "passed"


@ON_DUCKDB
def test_windows_that_were_left_out_are_named(checked):
    source = checked(quality=[{"no_gaps": "5d"}])
    for number in (1, 2, 4, 6, 7):
        source.load(numbers(1), day(number))
    assert source.one("no gaps", day(2)).message == "no gap between the loads of the last 5d"
    result = source.one("no gaps", day(7))
    assert (result.status, result.message) == ("failed", f"never loaded: {day(3)}, {day(5)}")
    source.load(numbers(1), day(3))
    assert source.one("no gaps", day(7)).message == f"never loaded: {day(5)}"
    source.load(numbers(1), Window(day(5).start, day(6).end))
    assert source.one("no gaps", day(7)).status == "passed"


def test_a_schema_that_changes_is_named_column_by_column(checked):
    source = checked(quality=[{"schema_unchanged": True}])
    source.load([{"n": 1, "m": "a"}], day(1))
    source.load([{"n": 1, "m": "a"}], day(2))
    assert source.one("schema unchanged", day(2)).message == "the schema is unchanged"
    source.load([{"n": 1.5, "k": True}], day(3))
    result = source.one("schema unchanged", day(3))
    assert result.status == "failed"
    assert result.message == "column k (boolean) is new; column m is missing; column n is decimal(38,9), before integer"


def test_a_sample_has_at_most_five_keys_and_no_personal_ones(checked):
    table = {"primary_key": ["mail"], "columns": {"mail": {"pii": "hash"}, "n": {"checks": [{"not_null": True}]}}}
    source = checked(table)
    source.load([{"mail": str(number), "n": None} for number in range(9)] + [{"mail": "x", "n": 1}])
    assert source.one("n not null").failing_keys == ""
    source = checked({"primary_key": ["id"], "columns": {"n": {"checks": [{"not_null": True}]}}})
    source.load([{"id": number, "n": None} for number in range(9)] + [{"id": 99, "n": 1}])
    assert json.loads(source.one("n not null").failing_keys) == [{"id": number} for number in range(5)]


@ON_DUCKDB
def test_checks_run_in_their_stage(checked):
    after = {"query": "select 1 from loaded where n = 0", "stage": "after_transform"}
    source = checked(column({"not_null": True}), quality=[{"row_count": {"min": 1}}, after])
    source.load(numbers(1))

    def of(*stages):
        return [result.check for result in run_checks(source.warehouse, source.request(), stages)]

    last = "query select 1 from loaded where n = 0"
    assert of("before_transform") == ["n not null", "row count"]
    assert of("after_transform") == ["no rejects", last]
    assert of() == of("before_transform", "after_transform") == ["no rejects", "n not null", "row count", last]


SAME_STAGE = {"query": "select 1 from loaded where n = 0", "stage": "before_transform"}


@pytest.mark.parametrize(
    ("of_column", "of_table", "names"),
    [
        ([{"not_null": True}], [{"row_count": {"min": 1}}], ["n not null", "row count"]),
        (
            [],
            [{"row_count": {"min": 500}}, {"row_count": {"within": "0%", "of": "source"}}],
            ["row count min 500", "row count within 0% of source"],
        ),
        (
            [],
            [{"freshness": {"loaded_within": "1h"}}, {"freshness": {"loaded_within": "3h"}, "severity": "warn"}],
            ["freshness loaded within 1h (error)", "freshness loaded within 3h (warn)"],
        ),
        (
            [],
            [{"row_count": {"min": 5}, "where": "n > 0"}, {"row_count": {"max": 9}, "where": "n > 0"}],
            ["row count min 5 where n > 0", "row count max 9 where n > 0"],
        ),
        (
            [{"not_null": True, "max_failing": "1%", "severity": "warn"}, {"not_null": True, "max_failing": "5%"}],
            [],
            ["n not null for all but 1% (warn)", "n not null for all but 5% (error)"],
        ),
        (
            [{"mean": {"within": "5%"}}, {"mean": {"within": "9%"}}],
            [],
            ["n mean within 5% of trailing 7 runs", "n mean within 9% of trailing 7 runs"],
        ),
        (
            [{"distribution": {"nulls": "5%"}}, {"distribution": {"distinct": "9%"}}],
            [],
            ["n distribution nulls 5% of trailing 7 runs", "n distribution distinct 9% of trailing 7 runs"],
        ),
        (
            [],
            [SAME_STAGE, SAME_STAGE | {"stage": "after_transform"}],
            [f"query {SAME_STAGE['query']} (before transform)", f"query {SAME_STAGE['query']} (after transform)"],
        ),
        ([], [SAME_STAGE, SAME_STAGE], [f"query {SAME_STAGE['query']}", f"query {SAME_STAGE['query']}, 2"]),
    ],
)
def test_checks_of_a_table_that_would_share_a_name_say_in_what_they_differ(of_column, of_table, names):
    table = Table.model_validate({"columns": {"n": {"type": "integer", "checks": of_column}}})
    found = named_checks(table, [TableCheck.model_validate(check) for check in of_table])
    assert [one.name for one in (*found.of_columns, *found.of_table)] == names


@ON_DUCKDB
def test_each_of_two_row_counts_has_a_result_of_its_own(checked):
    source = checked(quality=[{"row_count": {"min": 1}}, {"row_count": {"max": 2}}])
    source.load(numbers(1, 2, 3))
    results = source.check()
    keep(source.warehouse, "src", "run", "task", results)
    [history] = [one for one in results_of(source.warehouse, "src") if one.name == "row count max 2"]
    assert [result.status for result in history.results] == ["failed"]
    statuses = {one.check: one.status for one in results}
    assert statuses == {"no rejects": "passed", "row count min 1": "passed", "row count max 2": "failed"}
