"""Parquet files with types that DuckDB or warehouses do not have: each value is kept or rejected, never rounded."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from landing_support import Landed, Lander, columns
from pyarrow import parquet
from test_landing_files import read_files

from elt_factory.core.failures import BadDataError

LONG = Decimal("1234567890123456789012345678901234567890.125")
WIDE = pa.decimal256(60, 3)


def landed(project: Path, *tables: pa.Table, existing=None, int96=False, **table) -> Landed:
    (project / "in").mkdir()
    for number, content in enumerate(tables):
        file = project / "in" / f"{number}.parquet"
        parquet.write_table(content, file, use_deprecated_int96_timestamps=int96)
    spool = read_files(project, "*.parquet", format={"type": "parquet"})
    assert spool.rows_read == sum(content.num_rows for content in tables)
    return Lander(project / "land").land(spool, table, existing)


def wide(*values: str | Decimal | None, kind: pa.DataType = WIDE) -> pa.Table:
    amounts = [value if value is None else Decimal(value) for value in values]
    return pa.table({"id": list(range(len(amounts))), "d": pa.array(amounts, kind)})


def test_a_decimal_of_more_than_38_digits_is_text_and_keeps_every_digit(tmp_path):
    found = landed(tmp_path, wide("1.5", LONG, f"-{LONG}", None), wide("7"))
    assert found.types == {"id": "integer", "d": "text"}
    # the parts of a landing have no order
    assert set(found.column("d")) == {"1.500", str(LONG), f"-{LONG}", None, "7.000"}


def test_a_decimal_of_more_than_38_digits_is_a_decimal_where_all_values_fit(tmp_path):
    found = landed(tmp_path, wide("1.5", "-12345678901234567890123456789012345.125"), wide(None))
    assert found.types["d"] == "decimal(38,3)"
    assert set(found.column("d")) == {Decimal("1.5"), Decimal("-12345678901234567890123456789012345.125"), None}


@pytest.mark.parametrize("existing", [None, {"id": "integer", "d": "decimal(38,3)"}])
def test_a_decimal_that_its_column_cannot_hold_is_a_reject(tmp_path, existing):
    declared = columns(d="decimal(38,3)") if existing is None else {}
    found = landed(tmp_path, wide("1.5", LONG), existing=existing, **declared)
    assert found.column("d") == [Decimal("1.500")]
    assert found.reasons == [f'd is not a valid decimal(38,3): "{LONG}"']


def test_other_columns_of_such_a_file_are_as_they_were(tmp_path):
    table = wide("1.5", None)
    more = {
        "at": pa.array([1_000, None], pa.timestamp("ns", "UTC")),
        "list": pa.array([[1, 2], None]),
        "name with.dot": pa.array(["x", None]).dictionary_encode(),
        "bytes": pa.array([b"\x00\xff", None]),
    }
    for name, values in more.items():
        table = table.append_column(name, values)
    found = landed(tmp_path, table)
    assert found.types == {
        "id": "integer",
        "d": "decimal(38,3)",
        "at": "timestamp",
        "list": "json",
        "name with.dot": "text",
        "bytes": "binary",
    }
    assert [str(value) for value in found.column("at")] == ["1970-01-01 00:00:00.000001+00:00", "None"]
    assert (found.column("list"), found.column("bytes")) == (["[1,2]", None], [b"\x00\xff", None])


def test_a_decimal_of_more_than_38_digits_within_a_list_is_an_error(tmp_path):
    table = pa.table({"d": pa.array([[LONG]], pa.list_(WIDE))})
    with pytest.raises(
        BadDataError, match=r"src\.tab: 0\.parquet: d\.list\.element is a decimal with 60 digits within"
    ):
        landed(tmp_path, table)


NANOSECONDS = {
    "datetime": (pa.timestamp("ns"), "1970-01-01 00:00:00.000001001", "1970-01-01 00:00:00.000001"),
    "timestamp": (pa.timestamp("ns", "UTC"), "1970-01-01 00:00:00.000001001+00", "1970-01-01 00:00:00.000001+00:00"),
    "time": (pa.time64("ns"), "00:00:00.000001001", "00:00:00.000001"),
}


@pytest.mark.parametrize("name", NANOSECONDS)
def test_a_time_of_nanoseconds_is_text_where_a_value_needs_it_else_a_time(tmp_path, name):
    kind, longer, plain = NANOSECONDS[name]
    (tmp_path / "some").mkdir()
    (tmp_path / "none").mkdir()
    found = landed(tmp_path / "some", pa.table({"t": pa.array([1001, None, 1000], kind)}))
    assert (found.types, found.column("t")) == (
        {"t": "text"},
        [longer, None, plain.removesuffix(":00") if name == "timestamp" else plain],
    )
    found = landed(tmp_path / "none", pa.table({"t": pa.array([1000, None], kind)}))
    assert (found.types, [str(value) for value in found.column("t")]) == ({"t": name}, [plain, "None"])


@pytest.mark.parametrize("name", NANOSECONDS)
def test_a_time_of_nanoseconds_that_its_column_would_cut_is_a_reject(tmp_path, name):
    kind, longer, plain = NANOSECONDS[name]
    found = landed(tmp_path, pa.table({"t": pa.array([1001, 1000], kind)}), existing={"t": name})
    assert [str(value) for value in found.column("t")] == [plain]
    assert found.reasons == [f't has nanoseconds, and a {name} has microseconds: "{longer}"']


def test_a_column_of_no_type_is_text(tmp_path):
    found = landed(tmp_path, pa.table({"id": [1], "none": pa.array([None], pa.null())}))
    assert found.types == {"id": "integer", "none": "text"}


def test_a_column_of_text_is_text_whatever_it_looks_like(tmp_path):
    texts = {"version": ["1.10", "1.9"], "code": ["1", "2"], "day": ["2013-01-01", "2013-01-02"]}
    found = landed(tmp_path, pa.table({**texts, "kind": pa.array(["5", "6"]).dictionary_encode()}))
    assert set(found.types.values()) == {"text"}
    assert found.column("version") == ["1.10", "1.9"]


def test_nanoseconds_of_int96_are_kept_and_its_microseconds_are_a_time(tmp_path):
    for folder, values in (("some", [1001, None, -1]), ("none", [1000, None, -1000])):
        (tmp_path / folder).mkdir()
        found = landed(tmp_path / folder, pa.table({"t": pa.array(values, pa.timestamp("ns"))}), int96=True)
        fine = folder == "some"
        assert found.types == {"t": "text" if fine else "datetime"}
        assert [str(value) for value in found.column("t")] == (
            ["1970-01-01 00:00:00.000001001", "None", "1969-12-31 23:59:59.999999999"]
            if fine
            else ["1970-01-01 00:00:00.000001", "None", "1969-12-31 23:59:59.999999"]
        )


def test_nanoseconds_of_int96_within_a_list_are_an_error_and_microseconds_are_not(tmp_path):
    kind = pa.struct([("at", pa.list_(pa.timestamp("ns")))])
    for folder, values in (("none", [1000, None]), ("some", [1000, 5])):
        (tmp_path / folder).mkdir()
        table = pa.table({"t": pa.array([{"at": values}], kind)})
        if folder == "none":
            value = '{"at":["1970-01-01 00:00:00.000001",null]}'
            assert landed(tmp_path / folder, table, int96=True).column("t") == [value]
        else:
            with pytest.raises(BadDataError, match=r"t\.at\.list\.element is a time with nanoseconds within another"):
                landed(tmp_path / folder, table, int96=True)


def test_a_decimal_of_a_variant_keeps_its_digits(lander):
    value = "1234567890.123456789::DECIMAL(38,9)"
    found = lander.parquet(f"SELECT CAST({value} AS VARIANT) AS v, CAST({{'d': [{value}]}} AS VARIANT) AS n")
    assert found.rows == [{"v": "1234567890.123456789", "n": '{"d":[1234567890.123456789]}'}]


def lying(file: Path, rows: list[str | None]) -> None:
    """Write a file whose statistics say that its only NULL is none."""
    parquet.write_table(pa.table({"id": rows, "n": list(range(len(rows)))}), file)
    content = file.read_bytes()
    at = len(content)
    while (at := content.rfind(b"\x02", 0, at)) >= 0:  # one, as the footer writes it
        file.write_bytes(content[:at] + b"\x00" + content[at + 1 :])
        try:
            column = parquet.read_metadata(file).row_group(0).column(0)
            if column.statistics.null_count == 0 and parquet.read_table(file)["id"].null_count == 1:
                return
        except (OSError, ValueError, pa.ArrowException):
            continue
    raise AssertionError("the file has no such statistics")


def test_a_null_is_one_where_the_statistics_of_its_file_say_that_there_is_none(tmp_path):
    (tmp_path / "in").mkdir()
    lying(tmp_path / "in" / "0.parquet", ["a", "b", None, "d"])
    spool = read_files(tmp_path, "*.parquet", format={"type": "parquet"})
    found = Lander(tmp_path / "land").land(spool, {"columns": {"id": {"type": "text"}}}, None)
    assert sorted(found.column("id"), key=str) == [None, "a", "b", "d"]
    assert found.rejects == []
    keyed = Lander(tmp_path / "keyed").land(spool, {"primary_key": ["id"]}, None)
    assert sorted(keyed.column("id")) == ["a", "b", "d"]


def test_a_list_of_decimals_is_json_with_every_digit(tmp_path):
    numbers = [Decimal("12345678901234567890.12"), None, Decimal("-0.10")]
    found = landed(tmp_path, pa.table({"id": [1], "d": pa.array([numbers], pa.list_(pa.decimal128(38, 2)))}))
    assert found.types["d"] == "json"
    assert found.column("d") == ["[12345678901234567890.12,null,-0.10]"]
