"""The contract's SQL, word for word."""

import pytest

from elt_factory.config.models.formats import CsvFormat
from elt_factory.config.models.values import ColumnType
from elt_factory.landing import contract, csv_sql, reasons, rejected
from elt_factory.landing.planned import ContractPlan, PlannedColumn

pytestmark = pytest.mark.unit

TEXT, INTEGER = ColumnType("text"), ColumnType("integer")
ID, NAME = PlannedColumn("id", INTEGER), PlannedColumn("na'me", TEXT)
HASHED = PlannedColumn("h", TEXT, hashed=True)
PLAN = ContractPlan((NAME, ID), primary_key=("id",))


def test_parquet_files_are_read_by_column_name():
    assert (
        contract.parquet_relation(["a.parquet"])
        == "read_parquet(['a.parquet'], hive_partitioning = false, union_by_name = true)"
    )


def test_csv_files_are_read_as_text_with_their_broken_lines_kept():
    assert csv_sql.read(["a.csv"], ["a", "b'c"], CsvFormat(type="csv", null_values=("", "NA"))) == (
        "read_csv(['a.csv'], hive_partitioning = false, auto_detect = false, header = true, "
        "columns = {'a': 'VARCHAR', 'b''c': 'VARCHAR'}, compression = 'none', "
        "delim = ',', quote = '\"', escape = '\"', nullstr = ['', 'NA'], allow_quoted_nulls = false, "
        "encoding = 'utf-8', strict_mode = true, store_rejects = true, rejects_limit = 0, max_line_size = 67108864)"
    )


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (PlannedColumn("a", TEXT), "CASE WHEN strlen(r0) <= 16777216 THEN r0 END"),
        (PlannedColumn("a", TEXT, hashed=True), "sha256(r0)"),
        (PlannedColumn("a", INTEGER, hashed=True), "sha256(r0)"),
        (PlannedColumn("a", INTEGER, found=False), "CAST(NULL AS BIGINT)"),
        (PlannedColumn("a", INTEGER, found=False, hashed=True), "CAST(NULL AS VARCHAR)"),
        (PlannedColumn('a"b', ColumnType("boolean")), "TRY_CAST(r0 AS BOOLEAN)"),
    ],
)
def test_a_value_is_cast_hashed_or_absent(column, text):
    assert contract.typed_value(column, ContractPlan((column,))) == text


def test_staging_names_columns_by_their_place():
    statement = contract.stage_records("raw_records", ContractPlan((PlannedColumn("reason", INTEGER),)))
    assert statement.startswith("SELECT c0, reason, CASE WHEN reason IS NOT NULL THEN CASE WHEN ")
    assert 'CAST(to_json(struct_pack("reason" := r0)) AS VARCHAR)' in statement
    assert statement.endswith('AS c0 FROM (SELECT "reason" AS r0 FROM raw_records) AS raw) AS typed) AS judged')


def test_staging_nothing_gives_the_same_columns():
    assert contract.no_records(PLAN) == (
        "SELECT CAST(NULL AS VARCHAR) AS c0, CAST(NULL AS BIGINT) AS c1, CAST(NULL AS VARCHAR) AS reason, "
        "CAST(NULL AS VARCHAR) AS record, CAST(NULL AS BOOLEAN) AS whole, CAST(NULL AS VARCHAR) AS key, "
        "CAST(NULL AS VARCHAR) AS cursor, CAST(NULL AS VARCHAR) AS protected, CAST(NULL AS INTEGER) AS bad_values, "
        "CAST(NULL AS BIGINT) AS place WHERE FALSE"
    )


def test_a_reason_names_column_type_and_value():
    assert reasons.row_reason(ContractPlan((PlannedColumn("n", INTEGER),))) == (
        "NULLIF(concat_ws('; ', CASE WHEN (r0 IS NOT NULL AND c0 IS NULL) THEN concat('n ', "
        "concat('is not a valid integer: ', concat('\"', left(CAST(r0 AS VARCHAR), 100), '\"'))) END), '')"
    )


def test_a_reason_hides_what_is_personal():
    plan = ContractPlan((PlannedColumn("n", INTEGER),), secret=frozenset({"n"}))
    assert "concat('is not a valid integer: ', '(hidden)')" in reasons.row_reason(plan)


def test_a_value_in_an_unwanted_column_is_a_reason():
    assert reasons.row_reason(ContractPlan((HASHED,), unwanted=("x",))) == (
        "NULLIF(concat_ws('; ', CASE WHEN r1 IS NOT NULL THEN 'x is not in the contract' END), '')"
    )


def test_a_key_without_a_column_rejects_every_row():
    assert "'id has no value'" in reasons.row_reason(ContractPlan((NAME,), primary_key=("id",)))


def test_a_row_without_any_column_is_rejected():
    assert reasons.row_reason(ContractPlan(())) == "NULLIF(concat_ws('; ', 'no column has a value'), '')"


def test_the_record_of_a_reject_leaves_out_what_is_personal():
    plan = ContractPlan((ID, NAME), secret=frozenset({"na'me"}))
    assert "na'me" not in rejected.record_json(plan)
    assert 'CAST(to_json(struct_pack("id" := r0)) AS VARCHAR)' in rejected.record_json(plan)
    assert rejected.record_json(ContractPlan((NAME,), secret=frozenset({"na'me"}))) == "'{}'"


def test_good_rows_have_their_names_back():
    assert contract.good_rows(PLAN) == (
        'SELECT staged.c0 AS "na\'me", staged.c1 AS "id" FROM staged WHERE staged.reason IS NULL'
    )


def test_of_rows_with_one_key_the_greatest_cursor_stays_then_the_last_read():
    plan = ContractPlan((NAME, ID), ("id",), cursor="na'me")
    assert contract.newest_rows(plan).endswith(
        "QUALIFY row_number() OVER (PARTITION BY staged.c1 ORDER BY staged.c0 DESC NULLS LAST, staged.place DESC) = 1"
    )
    assert "ORDER BY staged.place DESC" in contract.newest_rows(PLAN)


def test_duplicates_are_good_rows_with_the_key_of_another():
    assert contract.duplicate_count(PLAN) == (
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM staged "
        "WHERE reason IS NULL GROUP BY staged.c1 HAVING count(*) > 1)"
    )


def test_bounds_are_of_good_rows_only():
    assert contract.bounds(PLAN, "id") == (
        "SELECT CAST(min(staged.c1) AS VARCHAR), CAST(max(staged.c1) AS VARCHAR) FROM staged WHERE reason IS NULL"
    )


def test_discarded_values_are_counted():
    plan = ContractPlan((PlannedColumn("b", ColumnType("boolean"), on_bad_value="null"), NAME))
    assert reasons.bad_value_count(plan) == "CAST((r0 IS NOT NULL AND c0 IS NULL) AS INTEGER)"
    assert reasons.bad_value_count(PLAN) == "0"


def test_parts_are_parquet_of_a_size():
    assert contract.copy_statement("SELECT 1", "/l'x/data", 5, 67108864) == (
        "COPY (SELECT 1) TO '/l''x/data' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, "
        "ROW_GROUP_SIZE_BYTES 67108864, DICTIONARY_SIZE_LIMIT 4096, "
        "FILE_SIZE_BYTES 5, FILENAME_PATTERN 'part-{i}', RETURN_STATS)"
    )


def test_rejects_go_to_one_file_in_the_order_they_were_read():
    assert rejected.copy_rejects(PLAN, "/l/rejects.parquet") == (
        "COPY (SELECT staged.reason, staged.record, staged.whole, staged.key, staged.cursor, staged.protected, "
        "CAST(NULL AS VARCHAR) AS file, "
        "row_number() OVER (ORDER BY staged.bad_values IS NULL, staged.place) AS ordinal, "
        "staged.place AS place FROM staged WHERE staged.reason IS NOT NULL ORDER BY ordinal) "
        "TO '/l/rejects.parquet' (FORMAT parquet, COMPRESSION zstd, RETURN_STATS)"
    )


def test_a_broken_line_is_kept_only_where_nothing_is_personal():
    secret = ContractPlan((NAME,), secret=frozenset({"na'me"}))
    assert "CAST(to_json({'line': text}) AS VARCHAR) AS record" in contract.broken_csv(PLAN)
    assert "CAST(NULL AS VARCHAR) AS record" in contract.broken_csv(secret)
    assert "SELECT reason, CAST(record AS VARCHAR) AS record" in contract.broken_lines(PLAN)
    assert "SELECT reason, CAST(NULL AS VARCHAR) AS record" in contract.broken_lines(secret)
