"""Checks on a loaded table, and what is kept of them."""

import re

import pytest
from checks_support import day

from elt_factory.checks.run import Result, keep
from elt_factory.core.amount import amount


def column(*checks, name="n", **spec):
    return {"columns": {name: {"checks": list(checks), **spec}}}


def rows(*values):
    return [{"n": value} for value in values]


@pytest.mark.parametrize(
    ("check", "values", "failing"),
    [
        ({"not_null": True}, [1, 2], 0),
        ({"not_null": True}, [1, None, None], 2),
        ({"between": [0, 10]}, [0, 10, None], 0),
        ({"between": [0, 10]}, [-1, 5, 11], 2),
        ({"between": ["2013-01-01", "2013-12-31"]}, ["2013-06-01", "2014-01-01"], 1),
        ({"accepted_values": ["a", "b"]}, ["a", "b", None], 0),
        ({"accepted_values": ["a", "b"]}, ["a", "c", "C"], 2),
        ({"accepted_values": [True]}, [True, False], 1),
        ({"unique": True}, [1, 2, None, None], 0),
        ({"unique": True}, [1, 1, 1, 2, 2], 3),
    ],
)
def test_a_rule_counts_the_rows_that_break_it(checked, check, values, failing):
    source = checked(column(check))
    source.load(rows(*values))
    result = source.check()[-1]
    assert (result.failing_rows, result.status) == (failing, "failed" if failing else "passed")
    assert result.message == (amount(failing, "row violates it", "rows violate it") if failing else "holds")


def test_a_rule_over_rows_looks_at_the_rows_of_its_load(checked):
    source = checked(column({"between": [0, 10]}))
    source.load(rows(99), day(1))
    source.load(rows(5), day(2))
    assert [source.check(day(number))[-1].failing_rows for number in (1, 2)] == [1, 0]


def test_unique_looks_at_the_whole_table(checked):
    source = checked(column({"unique": True}), quality=[{"unique": ["n", "m"]}])
    for number in (1, 2):
        source.load([{"n": 1, "m": 1}], day(number))
    assert [result.failing_rows for result in source.check(day(2))[1:]] == [1, 1]


@pytest.mark.parametrize(("severity", "status"), [("warn", "warned"), ("error", "failed")])
def test_the_severity_says_what_a_broken_rule_is(checked, severity, status):
    source = checked(column({"not_null": True, "severity": severity}))
    source.load([{"n": None, "m": 1}, {"n": 1, "m": 1}])
    assert source.one("n not null").status == status


def test_an_expression_is_sql_over_the_columns(checked):
    source = checked(quality=[{"expression": "a < b or a is null"}])
    source.load([{"a": 1, "b": 2}, {"a": 3, "b": 2}, {"a": None, "b": 1}, {"a": 1, "b": None}])
    assert source.one("expression a < b or a is null").failing_rows == 1


@pytest.mark.parametrize("check", [{"expression": "nothing > 0"}, {"expression": "n >"}, {"unique": ["nothing"]}])
def test_a_check_that_cannot_run_fails_alone_and_says_why(checked, check):
    source = checked(quality=[check, {"expression": "n > 0"}])
    source.load(rows(1))
    broken, other = source.check()[1:]
    assert (broken.status, broken.failing_rows) == ("failed", None)
    assert broken.message.startswith("check failed to run: ")
    assert other.status == "passed"


def test_values_that_do_not_compare_are_a_check_that_cannot_run(checked):
    source = checked(column({"between": [0, 10]}))
    source.load(rows("five"))
    # each warehouse says it in its own words, which on Snowflake begin with a number
    assert re.match(r"check failed to run: .*Cannot mix values", source.check()[-1].message)


def test_a_column_that_never_had_a_value_breaks_not_null_only(checked):
    source = checked(column({"not_null": True}, {"between": [0, 1]}, {"unique": True}, name="later"))
    source.load(rows(1, 2))
    assert [result.failing_rows for result in source.check()[1:]] == [2, 0, 0]


# Rejects


def test_rejects_warn_and_show_an_example(checked):
    source = checked({"columns": {"n": {"type": "integer"}}})
    source.load(rows(1, "x", "y"))
    result = source.one("no rejects")
    assert (result.status, result.failing_rows) == ("warned", 2)
    assert result.message == '2 rows were rejected, for example: n is not a valid integer: "x"'


def test_rejects_of_another_window_do_not_count(checked):
    source = checked({"columns": {"n": {"type": "integer"}}})
    source.load(rows(1, "x"), day(1))
    source.load(rows(1), day(2))
    assert source.one("no rejects", day(2)).status == "passed"


# Nothing loaded


def test_before_any_load_there_is_nothing_to_check(checked):
    assert checked(quality=[{"row_count": {"min": 1}}]).check() == []


def test_an_empty_first_window_is_checked_where_there_is_something_to_check(checked):
    """Dependent sources wait for the checks: a table without rows must get its last word too."""
    source = checked(column({"not_null": True}, name="n"), quality=[{"expression": "n > 0"}, {"row_count": {"min": 1}}])
    source.load([])
    assert [(result.check, result.status) for result in source.check()] == [
        ("no rejects", "passed"),
        ("row count", "failed"),
    ]


# Row counts


def counts(source, rule, *sizes):
    """Load windows of these sizes; the check of the last."""
    for number, size in enumerate(sizes, 1):
        source.load(rows(*range(size)), day(number))
    return source.one("row count", day(len(sizes)))


def compared(count, loads, mean, share):
    previous = amount(loads, "load has", "loads have")
    return f"the load has {count} rows; the previous {previous} {mean} on average; the allowed deviation is {share}%"


@pytest.mark.parametrize(
    ("rule", "sizes", "status", "message"),
    [
        ({"min": 2}, [2], "passed", "the load has 2 rows"),
        ({"min": 2}, [1], "failed", "the load has 1 row; the minimum is 2"),
        ({"max": 2}, [3], "failed", "the load has 3 rows; the maximum is 2"),
        ({"max": 0}, [0], "passed", "the load has 0 rows"),
        ({"within": "20%"}, [5], "passed", "the load has 5 rows; no earlier load to compare with"),
        ({"within": "20%"}, [10, 10, 8], "passed", compared(8, 2, 10, 20)),
        ({"within": "20%"}, [10, 10, 7], "failed", compared(7, 2, 10, 20)),
        ({"within": "20%"}, [10, 10, 13], "failed", compared(13, 2, 10, 20)),
        ({"within": "20%"}, [0, 0, 0], "passed", compared(0, 2, 0, 20)),
        ({"within": "20%"}, [0, 5], "failed", compared(5, 1, 0, 20)),
        # only the seven before count
        ({"within": "0%"}, [50, 2, 2, 2, 2, 2, 2, 2, 2], "passed", compared(2, 7, 2, 0)),
        ({"within": "0%", "min": 3}, [2, 2], "failed", "the load has 2 rows; the minimum is 3"),
    ],
)
def test_a_row_count_is_held_against_limits_and_the_loads_before(checked, rule, sizes, status, message):
    result = counts(checked(quality=[{"row_count": rule}]), rule, *sizes)
    assert (result.status, result.message) == (status, message)


def test_a_row_count_of_an_old_window_looks_at_those_before_it(checked):
    source = checked(quality=[{"row_count": {"within": "0%"}}])
    counts(source, None, 5, 5, 50)
    assert source.one("row count", day(2)).message.startswith(
        "the load has 5 rows; the previous 1 load has 5 on average"
    )


def test_a_full_refresh_is_no_measure_for_the_windows_after_it(checked):
    source = checked(quality=[{"row_count": {"within": "20%"}}])
    source.load(rows(*range(500)), day(1), full_refresh=True)
    source.load(rows(1, 2), day(2))
    assert source.one("row count", day(2)).message.endswith("no earlier load to compare with")


# What is kept


def result(check="c", status="passed"):
    return Result("check", "tab", check, "error", status, 0, "holds", 0.5)


def kept(warehouse):
    columns = "source, run_id, task_id, kind, table_name, check_name, severity, status, failing_rows, message, seconds"
    return sorted(warehouse.query(f"SELECT {columns} FROM _elt.quality_results").rows)


def test_results_are_kept_with_all_they_say(warehouse):
    keep(warehouse, "src", "run1", "quality.tab", [result()])
    assert kept(warehouse) == [("src", "run1", "quality.tab", "check", "tab", "c", "error", "passed", 0, "holds", 0.5)]


def test_results_replace_those_of_the_same_task_only(warehouse):
    for source, run_id, task_id in (("src", "r1", "t1"), ("src", "r1", "t2"), ("src", "r2", "t1"), ("oth", "r1", "t1")):
        keep(warehouse, source, run_id, task_id, [result("a"), result("b")])
    keep(warehouse, "src", "r1", "t1", [result("c", "failed")])
    found = [(source, run_id, task_id, check) for source, run_id, task_id, _, _, check, *_ in kept(warehouse)]
    assert found == [
        ("oth", "r1", "t1", "a"),
        ("oth", "r1", "t1", "b"),
        ("src", "r1", "t1", "c"),
        ("src", "r1", "t2", "a"),
        ("src", "r1", "t2", "b"),
        ("src", "r2", "t1", "a"),
        ("src", "r2", "t1", "b"),
    ]


def test_keeping_no_results_takes_the_old_ones_away(warehouse):
    keep(warehouse, "src", "r", "t", [result()])
    keep(warehouse, "src", "r", "t", [])
    assert kept(warehouse) == []
