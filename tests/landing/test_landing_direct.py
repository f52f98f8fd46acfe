"""Records go straight into parts by what the first ones say, and all comes out as if they were read with care."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from landing_support import Landed, Lander, columns, lines

from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import EltError
from elt_factory.core.sql_text import identifier
from elt_factory.extract.request import Spool
from elt_factory.landing import csv_records, direct, direct_sql, inference, reading
from elt_factory.landing import lines as line_stream
from elt_factory.landing.file_names import PATH
from elt_factory.landing.first_look import NotPresumedError
from elt_factory.landing.planned import ContractPlan, PlannedColumn

RUNS = itertools.count()
SAME = ("rows_read", "rows", "rows_rejected", "rows_duplicate", "rows_filtered", "values_discarded", "drift", "columns")
BOUNDS = ("cursor_min", "cursor_max", "business_date_min", "business_date_max", "rows_null_cursor")

# what is usual in a column, and what is odd in any
USUAL = (
    ["1", "2", "-3", "40000000000"],
    ["1.5", "-0.25", "2e3", "7"],
    ["2013-01-31", "1999-12-31"],
    ["2013-01-31T10:00:00Z", "2013-01-31 10:00:00.123456+02"],
    ["2013-01-31T10:00:00", "2013-01-31 10:00:00.5"],
    ["true", "false"],
    ["x", "y z", "7"],
    [None],
)
ODD = [
    "007",
    "-0",
    "+5",
    "1.0",
    "1e400",
    "1_000",
    "inf",
    "nan",
    "9223372036854775808",
    "99999999999999999999999999999999999999999",
    "0x10",
    "12345678901.5",
    "1.123456789012345678",
    "TRUE",
    "t",
    "yes",
    "null",
    "NaN",
    "2013-1-1",
    "2013/01/31",
    "13-01-31",
    "2013-02-30",
    "infinity",
    "10:30",
    "2013-01-31T00:00",
    "2013-01-31T10:00:00.123456789Z",
    "2013-01-31T10:00:00+99:99",
    "2013-01-31T25:00:00Z",
    "44-03-15(BC)",
    "20130131",
    "{}",
    "[1,2]",
    '{"a":1}',
    '"7"',
    "é",
    "\\",
    "a,b",
    "id",
]
ODD += ["", " ", " 5", "2013-01-31 (BC)", "a\nb"]


def at_first(values: list[Any], odd: list[tuple[int, Any]]) -> list[Any]:
    """Values of one kind, with odd ones between."""
    for place, value in odd:
        values.insert(place % (len(values) + 1), value)
    return values


def texts() -> st.SearchStrategy[list[str | None]]:
    usual = st.sampled_from(USUAL).flatmap(lambda kind: st.lists(st.sampled_from([*kind, None]), max_size=8))
    odd = st.lists(st.tuples(st.integers(0, 8), st.sampled_from(ODD) | st.text(max_size=3)), max_size=1)
    return st.builds(at_first, usual, odd)


def json_values() -> st.SearchStrategy[list[Any]]:
    plain = st.sampled_from(
        [[1, -2, 10**17], [1.5, -0.25, 1e22], [True, False], [{"a": 1}, [1.25], "x"], [None], ["x", 'Éa"b\\'], [1, "1"]]
    )
    usual = plain.flatmap(lambda kind: st.lists(st.sampled_from([*kind, None]), max_size=8))
    scalars = st.sampled_from(
        [10**18, 10**30, -0.0, 1e300, 1e-7, 1.1234567890123456789, "a", "7", 7, True, [], {}, "\U0001f600"]
    )
    return st.builds(at_first, usual, st.lists(st.tuples(st.integers(0, 8), scalars), max_size=1)) | texts()


@pytest.fixture
def few(monkeypatch) -> Iterator[None]:
    """The first records are two, or those of the first forty bytes."""
    monkeypatch.setattr(inference, "_SOME", 2)
    monkeypatch.setattr(line_stream, "BATCH_BYTES", 40)


def with_care(_: object, known: object, spool: object) -> Any:
    raise NotPresumedError


def outcome(base: Path, kind: str, contents: list[str], **told: Any) -> Any:
    try:
        landed = getattr(Lander(base / str(next(RUNS))), kind)(*contents, **told)
    except EltError as error:
        return type(error), str(error)
    return seen(landed)


def seen(landed: Landed) -> Any:
    counts = {name: getattr(landed.manifest, name) for name in (*SAME, *BOUNDS)}
    # the record of a reject has a number as its reader writes it: 1e+22, or 1e22
    rejects = sorted(repr(reject).replace("e+", "e") for reject in landed.rejects)
    return sorted(map(repr, landed.rows)), rejects, counts


def both(base: Path, kind: str, contents: list[str], **told: Any) -> tuple[Any, Any]:
    fast = outcome(base, kind, contents, **told)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "presumed_columns", with_care)
        return fast, outcome(base, kind, contents, **told)


def as_csv(table: dict[str, list[str | None]]) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(table), *itertools.zip_longest(*table.values())])
    return text.getvalue()


def as_ndjson(table: dict[str, list[Any]], absent: set[int]) -> str:
    records = [
        {name: value for place, (name, value) in enumerate(zip(table, row, strict=True)) if n * 3 + place not in absent}
        for n, row in enumerate(itertools.zip_longest(*table.values()))
    ]
    return lines(*(json.dumps(record, ensure_ascii=False) for record in records))


TABLES = st.sampled_from(
    [
        {},
        {"primary_key": ["id"]},
        {"primary_key": ["id"], "incremental": {"cursor": "b"}},
        {"columns": {"a": {"type": "integer"}, "b": {"pii": "hash"}}},
        {"columns": {"a": {"type": "decimal(6,2)", "on_bad_value": "null"}, "new": {"type": "text"}}},
        {"columns": {"b": {"type": "timestamp"}, "a": {"pii": "drop"}}, "business_date": "b"},
        {"schema_contract": "discard_value", "columns": {"id": {"type": "text"}}},
        {"schema_contract": "discard_row", "columns": {"id": {"type": "text"}, "a": {"type": "float"}}},
        {"schema_contract": "freeze", "columns": {"id": {"type": "text"}}},
        {"where": "id IS NOT NULL"},
    ]
)
EXISTING = st.sampled_from([None, None, {"id": "integer"}, {"a": "decimal(4,1)", "b": "text"}, {"b": "json"}])
PHASES = (Phase.explicit, Phase.generate)  # shrinking takes minutes
HEALTH = [HealthCheck.function_scoped_fixture]


@settings(max_examples=60, deadline=None, suppress_health_check=HEALTH, phases=PHASES)
@given(st.fixed_dictionaries({"id": texts(), "a": texts(), "b": texts()}), TABLES, EXISTING)
def test_csv_comes_out_as_if_it_were_read_with_care(tmp_path, few, content, table, existing):
    fast, careful = both(tmp_path, "csv", [as_csv(content)], table=table, existing=existing)
    assert fast == careful


@settings(max_examples=60, deadline=None, suppress_health_check=HEALTH, phases=PHASES)
@given(
    st.fixed_dictionaries({"id": json_values(), "a": json_values(), "b": json_values()}),
    st.sets(st.integers(0, 30), max_size=4),
    TABLES,
    EXISTING,
)
def test_ndjson_comes_out_as_if_it_were_read_with_care(tmp_path, few, content, absent, table, existing):
    fast, careful = both(tmp_path, "ndjson", [as_ndjson(content, absent)], table=table, existing=existing)
    assert fast == careful


def never(*_: object) -> Any:
    raise AssertionError("read with care")


@pytest.mark.parametrize("table", [{}, {"primary_key": ["id"]}, columns(id="integer", at="timestamp", ok="boolean")])
def test_healthy_records_are_read_once(lander, monkeypatch, table):
    monkeypatch.setattr(reading, "find_columns", never)
    rows = [{"id": n, "at": "2013-01-31T10:00:00Z", "ok": n > 5, "price": n / 8, "none": None} for n in range(9)]
    csv = as_csv({name: [json.dumps(row[name]).strip('"') for row in rows] for name in rows[0] if name != "none"})
    for landed in (lander.ndjson(lines(*map(json.dumps, rows)), table=table), lander.csv(csv, table=table)):
        assert sorted(landed.column("id")) == list(range(9))
        assert {"integer", "timestamp", "boolean", "float"} <= set(landed.types.values())


def test_a_value_or_a_key_that_the_first_records_do_not_have_counts_all_the_same(lander, few):
    landed = lander.csv("a,b,c\n1,,2013-01-01\n2,,2013-01-02\n3,x,2013-01-03\n4.5,,soon\n")
    assert (landed.types, landed.rejects) == ({"a": "float", "b": "text", "c": "text"}, [])
    landed = lander.ndjson(lines('{"a": 1, "b": "2013-01-01"}', '{"a": 2}', '{"a": "x", "c": true}'))
    assert landed.types == {"a": "json", "b": "date", "c": "boolean"}


def test_what_is_rejected_is_kept_with_its_reason_and_the_others_are_not_read_again_with_care(lander, monkeypatch):
    monkeypatch.setattr(reading, "find_columns", never)
    table = columns(a="integer", b="date")
    landed = lander.csv("a,b\n1,2013-01-01\nx,\n2\n3,soon\n", table=table)
    assert (landed.column("a"), [reason.split(": ")[0] for reason in landed.reasons]) == (
        [1],
        ["a is not a valid integer", "b is not a valid date", "file0.csv line 4"],
    )
    landed = lander.ndjson(lines('{"a": 1}', '{"a": "x"}', '{"a": 3}'), table=table, rows_read=3)
    assert (sorted(landed.column("a")), landed.rejects) == (
        [1, 3],
        [('a is not a valid integer: "x"', '{"a":"x"}')],
    )


@pytest.mark.parametrize("kind", ["integer", "float", "boolean", "date", "timestamp", "datetime"])
def test_a_test_that_lets_another_value_pass_is_found_by_the_comparison(tmp_path, few, monkeypatch, kind):
    first = {
        "integer": "1", "float": "1.5", "boolean": "true", "date": "2013-01-31",
        "timestamp": "2013-01-31T10:00:00Z", "datetime": "2013-01-31T10:00:00",
    }[kind]  # fmt: skip
    content = {"id": [first] * 4 + ["odd"]}
    fast, careful = both(tmp_path, "csv", [as_csv(content)])
    assert fast == careful
    monkeypatch.setattr(direct_sql, "confirmed", lambda _, value, __: value)
    fast, careful = both(tmp_path, "csv", [as_csv(content)])
    assert fast != careful


def test_the_file_of_a_row_is_looked_up_and_not_compared_with_each():
    plan = ContractPlan((PlannedColumn("a", ColumnType("integer")),), primary_key=("a",), by_file=True)
    relation = f"(SELECT '1' AS a, 'p' AS {identifier(PATH)} FROM range(10))"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE delivered AS SELECT 'p' AS path, 'x' AS file_id FROM range(10)")
        with direct._as_written(connection, plan):
            steps = connection.execute(f"EXPLAIN {direct_sql.good_records(relation, plan)}").fetchall()[0][1]
    steps = steps.upper().replace("_", " ")
    assert "HASH JOIN" in steps
    assert "CROSS PRODUCT" not in steps


def test_what_a_database_wrote_from_integers_is_measured_by_no_one_and_cast_once(lander, monkeypatch):
    monkeypatch.setattr(csv_records, "_measure", never)
    ends = ["-9223372036854775808", "9223372036854775807", "0", "-1", "4294967295"]
    files = lander.files(as_csv({"a": [*ends, "7"], "b": [*ends, "7"], "c": ["1"] * 5 + ends[:1]}), suffix="csv")
    spool = Spool("csv", files, 6, longest=80, integers=frozenset("abc"))
    read = replace(spool, types=dict.fromkeys("abc", ColumnType("integer")))
    landed = lander.land(read, columns(b="text", c="decimal(10,0)"))
    assert sorted(landed.column("a")) == sorted(map(int, ends))
    assert sorted(landed.column("b")) == sorted(ends)
    # a type that the YAML names is asked of each value
    assert landed.reasons == ['c is not a valid decimal(10,0): "-9223372036854775808"']


def test_only_integers_that_a_database_wrote_are_taken_without_a_look():
    names = {"a": "integer", "b": "integer", "c": "decimal(5,0)"}
    kinds = tuple(PlannedColumn(name, ColumnType.parse(kind)) for name, kind in names.items())
    text = direct_sql.good_records("raw", ContractPlan(kinds, integers=frozenset("ac")))
    assert [f"CAST(p{n} AS VARCHAR)" in text for n in range(3)] == [False, True, True]
