# ruff: noqa: DTZ001 - Parquet has times without a zone
"""Parquet files with types that DuckDB or warehouses do not have: each value is kept or rejected, never rounded."""

from base64 import b64decode, b64encode
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from landing_support import Landed, Lander, columns
from pyarrow import parquet
from pyarrow.parquet import encryption
from test_landing_files import read_files

from elt_factory.core.failures import BadDataError, ContractError
from elt_factory.extract.request import Spool
from elt_factory.landing.parquet_groups import in_groups

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


BIG = 2**53 + 1  # the first whole number that a double does not hold


def merged(key: str) -> dict[str, object]:
    return {"primary_key": [key], "write_disposition": "merge"}


def one(name: str, *values: object, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({name: pa.array(values, kind)})


INTEGERS, DOUBLES = one("x", BIG, BIG + 2), one("x", 1.5)


def test_integers_that_a_double_does_not_hold_and_doubles_of_another_file_are_an_error_that_asks_for_a_type(tmp_path):
    message = r"src\.tab: the files of this load have float and integer in the column x, .* declare its type"
    with pytest.raises(ContractError, match=message):
        landed(tmp_path, INTEGERS, DOUBLES)


@pytest.mark.parametrize("values", [(), (None, None)], ids=["no row", "no value"])
def test_a_file_without_a_value_in_a_column_does_not_change_its_type(tmp_path, values):
    found = landed(tmp_path, INTEGERS, one("x", *values, kind=pa.float64()), one("x", *values, kind=pa.string()))
    assert found.types == {"x": "integer"}
    assert sorted(value for value in found.column("x") if value) == [BIG, BIG + 2]


@pytest.mark.parametrize("kind", ["text", "decimal(38,9)"])
@pytest.mark.parametrize("is_there", [False, True], ids=["declared", "in the table"])
def test_each_value_of_files_with_other_types_goes_to_the_type_of_its_column_as_it_is(tmp_path, kind, is_there):
    existing, declared = ({"x": kind}, {}) if is_there else (None, columns(x=kind))
    cents = one("x", Decimal("1.12345"), kind=pa.decimal128(10, 5))
    wide = one("x", Decimal(BIG), kind=pa.decimal128(38, 0))
    found = landed(tmp_path, INTEGERS, DOUBLES, cents, wide, existing=existing, **declared)
    assert sorted(map(str, map(Decimal, found.column("x")))) == sorted(
        str(Decimal(value) if kind == "text" else Decimal(value).quantize(Decimal("1e-9")))
        for value in (str(BIG), str(BIG + 2), "1.5", "1.12345", str(BIG))
    )
    assert found.rejects == []


def test_keys_that_differ_are_not_duplicates_because_another_file_has_doubles(tmp_path):
    found = landed(
        tmp_path,
        pa.table({"k": [BIG - 1, BIG], "v": ["x", "y"]}),
        pa.table({"k": [1.0], "v": ["z"]}),
        primary_key=["k"],
        write_disposition="merge",
        **columns(k="decimal(38,0)"),
    )
    assert found.manifest.rows_duplicate == 0
    assert {row["v"]: int(row["k"]) for row in found.rows} == {"x": BIG - 1, "y": BIG, "z": 1}


def test_of_a_key_in_files_of_other_types_the_row_of_the_last_file_stays(tmp_path):
    tables = [pa.table({"k": [1, 1], "n": [kind(2 * n), kind(2 * n + 1)]}) for n, kind in enumerate((int, float, int))]
    found = landed(tmp_path, *tables, **merged("k"))
    assert (found.rows, found.manifest.rows_duplicate) == ([{"k": 1, "n": 5}], 5)
    (tmp_path / "more").mkdir()
    found = landed(tmp_path / "more", *tables[:2], **merged("k"))
    assert found.rows == [{"k": 1, "n": 3}]


def test_a_text_key_of_a_file_is_the_same_whatever_other_files_are_loaded_with_it(tmp_path):
    found = landed(tmp_path, one("x", 1), one("x", 3.0), one("x", True), **columns(x="text"))
    assert sorted(found.column("x")) == ["1", "3.0", "true"]


TYPES_OF_ALL = {
    "float": (one("x", 1), one("x", 0.5), one("x", Decimal("2.25"))),
    "decimal(13,5)": (
        one("x", Decimal("12345678.25"), kind=pa.decimal128(10, 2)),
        one("x", Decimal("1.12345"), kind=pa.decimal128(10, 5)),
    ),
    "decimal(38,10)": (
        one("x", Decimal("1.2345"), kind=pa.decimal128(38, 4)),
        one("x", Decimal("1.1234567891"), kind=pa.decimal128(38, 10)),
    ),
    "datetime": (one("x", date(2013, 1, 1)), one("x", 1, kind=pa.timestamp("ms")), one("x", 1, kind=pa.timestamp("s"))),
    "text": (one("x", "a"), one("x", 1.5), one("x", True), one("x", {"y": 1}), one("x", 1, kind=pa.timestamp("us"))),
    "json": (one("x", [1]), one("x", [{"y": BIG}])),
}


@pytest.mark.parametrize("kind", TYPES_OF_ALL)
def test_the_type_of_a_column_holds_the_values_of_all_files(tmp_path, kind):
    found = landed(tmp_path, *TYPES_OF_ALL[kind])
    assert found.types == {"x": kind}
    assert found.rejects == []
    assert set(found.column("x")) == EXPECTED[kind]


EXPECTED = {
    "float": {1.0, 0.5, 2.25},
    "decimal(13,5)": {Decimal("12345678.25"), Decimal("1.12345")},
    "decimal(38,10)": {Decimal("1.2345"), Decimal("1.1234567891")},
    "datetime": {datetime(2013, 1, 1), datetime(1970, 1, 1, 0, 0, 0, 1000), datetime(1970, 1, 1, 0, 0, 1)},
    "text": {"a", "1.5", "true", '{"y":1}', "1970-01-01 00:00:00.000001"},
    "json": {"[1]", f'[{{"y":{BIG}}}]'},
}


@pytest.mark.parametrize(
    "tables",
    [
        (one("x", True), one("x", 5)),
        (one("x", 1), one("x", date(2013, 1, 1))),
        (one("x", Decimal("1" * 38), kind=pa.decimal128(38, 0)), one("x", Decimal("1.5"))),
        (one("x", 1, kind=pa.timestamp("us")), one("x", 1, kind=pa.timestamp("us", "UTC"))),
    ],
)
def test_types_of_which_none_holds_all_values_are_an_error_that_asks_for_a_type(tmp_path, tables):
    with pytest.raises(ContractError, match=r"src\.tab: the files of this load have .* in the column x"):
        landed(tmp_path, *tables)


def test_a_time_beyond_those_of_nanoseconds_loads_with_a_file_of_nanoseconds(tmp_path):
    late = one("x", datetime(9999, 12, 31), kind=pa.timestamp("us"))
    found = landed(tmp_path, late, one("x", datetime(2013, 1, 1), kind=pa.timestamp("ns")))
    assert found.types == {"x": "datetime"}
    assert sorted(found.column("x")) == [datetime(2013, 1, 1), datetime(9999, 12, 31)]


def test_files_with_other_columns_and_integers_of_other_sizes_are_read_as_one(tmp_path):
    tables = [one("x", 1, kind=pa.int8()), one("y", "a"), one("x", BIG), pa.table({"y": ["b"], "x": [3]})]
    found = landed(tmp_path, *tables)
    assert found.types == {"x": "integer", "y": "text"}
    assert sorted((str(row["x"]), str(row["y"])) for row in found.rows) == sorted(
        [("1", "None"), ("None", "a"), (str(BIG), "None"), ("3", "b")]
    )
    spool = read_files(tmp_path, "*.parquet", format={"type": "parquet"})
    with duckdb.connect() as connection:
        assert len(in_groups(connection, spool, "src.tab").groups) == 1


def test_texts_that_say_no_type_are_looked_through_over_all_files(lander):
    first, second = (lander.files(b"", suffix="parquet")[0] for _ in range(2))
    parquet.write_table(one("x", "1", "2"), first)
    parquet.write_table(one("x", 3), second)
    assert lander.land(Spool("parquet", (first, second))).types == {"x": "integer"}


@pytest.mark.parametrize("name", ["file_index", "File_Row_Number", "filename"])
@pytest.mark.parametrize("values", [(9, None), (2**60, -1), ("x", "y")], ids=str)
def test_a_column_with_the_name_of_one_of_duckdb_does_not_decide_which_row_of_a_key_is_the_newest(
    tmp_path, name, values
):
    tables = [pa.table({"id": [1], name: [value], "v": [n]}) for n, value in enumerate(values)]
    assert landed(tmp_path, *tables, **merged("id")).rows == [{"id": 1, name: values[1], "v": 1}]
    (tmp_path / "one").mkdir()
    both = pa.table({"id": [1, 1], name: list(values), "v": [0, 1]})
    assert landed(tmp_path / "one", both, **merged("id")).rows == [{"id": 1, name: values[1], "v": 1}]


REPEATED = {
    "column a is repeated": ("a", "a"),
    "columns a and A differ only by case": ("a", "A"),
}


@pytest.mark.parametrize("message", REPEATED)
def test_a_name_that_two_columns_of_a_file_have_is_an_error(tmp_path, message):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=REPEATED[message])
    with pytest.raises(BadDataError, match=rf"src\.tab: 1\.parquet: {message}"):
        landed(tmp_path, pa.table({"a": [1], "a_1": [2]}), table)


def test_names_of_two_files_that_differ_only_by_case_are_an_error(tmp_path):
    with pytest.raises(ContractError, match=r"the columns Id \(the source\) and ID \(the source\) differ only by case"):
        landed(tmp_path, one("Id", 1), one("ID", 2))


def test_a_name_within_a_column_may_be_that_of_a_column(tmp_path):
    table = pa.table(
        {"s": [{"a": 1, "l": [{"a": 2}]}], "a": [3], "m": pa.array([[("a", 1)]], pa.map_("string", "int8"))}
    )
    assert landed(tmp_path, table).types == {"s": "json", "m": "json", "a": "integer"}


BYTES = one("x", b"Cleo", None, b"\xff", b"\x80", "Zoë".encode())
NO_TEXT = ['x has bytes that are not UTF-8 text: "80"', 'x has bytes that are not UTF-8 text: "FF"']


@pytest.mark.parametrize("existing", [None, {"x": "text"}])
def test_bytes_in_a_column_of_text_are_the_text_that_they_say_in_utf_8_or_a_reject(tmp_path, existing):
    found = landed(tmp_path, BYTES, existing=existing, **({} if existing else columns(x="text")))
    assert set(found.column("x")) == {"Cleo", None, "Zoë"}
    assert sorted(found.reasons) == NO_TEXT
    assert sorted(str(record) for _, record in found.rejects) == ['{"x":"80"}', '{"x":"FF"}']


def test_bytes_of_a_file_are_text_where_another_file_has_text(tmp_path):
    found = landed(tmp_path, one("x", "Anna", "FF"), BYTES)
    assert found.types == {"x": "text"}
    assert set(found.column("x")) == {"Anna", "FF", "Cleo", None, "Zoë"}
    assert sorted(found.reasons) == NO_TEXT


def test_bytes_in_a_column_of_another_type_are_values_as_text(tmp_path):
    found = landed(tmp_path, one("x", b"12", b"1.5", b"\x12"), **columns(x="integer"))
    assert found.column("x") == [12]
    assert sorted(found.reasons) == ['x is not a valid integer: "\x12"', 'x is not a valid integer: "1.5"']


def test_bytes_of_a_binary_column_and_of_a_hash_are_their_hex_digits(tmp_path):
    both = pa.table({"x": [b"\xff"], "y": [b"Cleo"]})
    found = landed(tmp_path, both, columns={"y": {"pii": "hash"}})
    assert found.rows == [{"x": b"\xff", "y": sha256(b"436C656F").hexdigest()}]


@pytest.mark.parametrize("within", [1000, 1001])
@pytest.mark.parametrize("outermost", [1000, 1001])
def test_nanoseconds_of_int96_are_found_where_the_name_of_a_column_is_the_path_of_another(tmp_path, outermost, within):
    ns = pa.timestamp("ns")
    inner = pa.array([{"b": within}], pa.struct([("b", ns)]))
    table = pa.table({"m.b": pa.array([outermost], ns), "m": inner})
    if within == 1001:
        with pytest.raises(BadDataError, match=r"m\.b is a time with nanoseconds within another value"):
            landed(tmp_path, table, int96=True)
        return
    found = landed(tmp_path, table, int96=True)
    assert found.types == {"m.b": "datetime" if outermost == 1000 else "text", "m": "json"}
    assert str(found.column("m.b")[0]).endswith("00:00:00.000001001" if outermost == 1001 else "00:00:00.000001")
    assert found.column("m") == ['{"b":"1970-01-01 00:00:00.000001"}']


@pytest.mark.parametrize("kinds", [(pa.timestamp("ns"),) * 2, (WIDE, pa.int64()), (pa.int64(), WIDE)])
def test_a_repeated_name_of_columns_that_are_copied_is_an_error(tmp_path, kinds):
    table = pa.Table.from_arrays([pa.array([1], kind) for kind in kinds], names=["a", "a"])
    with pytest.raises(BadDataError, match=r"src\.tab: 0\.parquet: column a is repeated"):
        landed(tmp_path, table, int96=True)


class Keys(encryption.KmsClient):
    """Keys that are no secret."""

    def __init__(self, _: object) -> None:
        encryption.KmsClient.__init__(self)

    def wrap_key(self, key: bytes, _: str) -> bytes:
        return b64encode(key)

    def unwrap_key(self, key: bytes, _: str) -> bytes:
        return b64decode(key)


@pytest.mark.parametrize("plaintext_footer", [True, False])
@pytest.mark.parametrize("column", ["a", "b"])
def test_an_encrypted_file_is_an_error_that_says_so(tmp_path, plaintext_footer, column):
    (tmp_path / "in").mkdir()
    table = pa.table({"a": [1], "b": ["x"]})
    how = encryption.EncryptionConfiguration("key", column_keys={"key": [column]}, plaintext_footer=plaintext_footer)
    keys = encryption.CryptoFactory(Keys).file_encryption_properties(encryption.KmsConnectionConfig(), how)
    with parquet.ParquetWriter(tmp_path / "in" / "0.parquet", table.schema, encryption_properties=keys) as writer:
        writer.write_table(table)
    with pytest.raises(BadDataError, match=r"src\.tab: 0\.parquet is encrypted, and no key is known"):
        read_files(tmp_path, "*.parquet", format={"type": "parquet"})


FAR = 2**63 // 1000 + 1  # milliseconds that microseconds of 64 bits do not reach
LEAP = 2_069_000_000_000_000  # in the year 67,533, which 16 bits would have as 1997


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
@pytest.mark.parametrize("statistics", [True, False])
def test_a_time_far_beyond_all_calendars_rejects_its_own_row(tmp_path, zone, statistics):
    (tmp_path / "in").mkdir()
    values = [1, FAR, None, -FAR, LEAP, -1000]
    table = pa.table({"t": pa.array(values, pa.timestamp("ms", zone)), "d": ["x"] * 6})
    parquet.write_table(table, tmp_path / "in" / "0.parquet", write_statistics=statistics)
    parquet.write_table(one("t", 5, kind=pa.timestamp("us", zone)), tmp_path / "in" / "1.parquet")
    found = Lander(tmp_path / "land").land(read_files(tmp_path, "*.parquet", format={"type": "parquet"}))
    kind = "timestamp" if zone else "datetime"
    assert found.types == {"t": kind, "d": "text"}
    assert sorted(str(value)[:26] for value in found.column("t")) == [
        "1969-12-31 23:59:59" + ("+00:00" if zone else ""),
        "1970-01-01 00:00:00.000005",
        "1970-01-01 00:00:00.001000",
        "None",
    ]
    assert sorted(found.reasons) == sorted(
        f't is not a valid {kind}: "{value} ms since 1970"' for value in (FAR, -FAR, LEAP)
    )


def test_a_time_far_beyond_all_calendars_within_a_list_is_an_error(tmp_path):
    with pytest.raises(BadDataError, match=r"x\.list\.element is a time some of whose values"):
        landed(tmp_path, one("x", [FAR], kind=pa.list_(pa.timestamp("ms"))))
