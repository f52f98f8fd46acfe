"""Drift under each schema_contract, names, keys, duplicates, personal data."""

import hashlib
import json
import re
from decimal import Decimal

import pytest
from landing_support import columns, lines

from elt_factory.config.models.table import loaded_name, source_name
from elt_factory.core.failures import ContractError
from elt_factory.landing.manifest import Drift

TWO = lines('{"id": 1, "n": 5}', '{"id": 2, "n": "x"}')
TABLE = {"id": "integer", "n": "integer"}


@pytest.mark.parametrize("contract", ["evolve", "discard_row"])
def test_a_row_whose_value_breaks_its_type_is_rejected(lander, contract):
    landed = lander.ndjson(TWO, table={"schema_contract": contract}, existing=TABLE)
    assert landed.rows == [{"id": 1, "n": 5}]
    assert landed.rejects == [('n is not a valid integer: "x"', '{"id":"2","n":"x"}')]


def test_discard_value_drops_the_value_and_counts_it(lander):
    landed = lander.ndjson(TWO, table={"schema_contract": "discard_value"}, existing=TABLE)
    assert landed.rows == [{"id": 1, "n": 5}, {"id": 2, "n": None}]
    assert (landed.manifest.values_discarded, landed.rejects) == (1, [])


def test_freeze_fails_on_a_bad_value_and_says_which(lander):
    with pytest.raises(
        ContractError,
        match=r'src\.tab: schema_contract is freeze and 1 row violates it.* n is not a valid integer: "x"',
    ):
        lander.ndjson(TWO, table={"schema_contract": "freeze"}, existing=TABLE)


def test_a_discarded_value_of_a_key_rejects_the_row(lander):
    table = {"schema_contract": "discard_value", "primary_key": ["n"]}
    assert lander.ndjson(TWO, table=table, existing=TABLE).reasons == ["n has no value"]


def test_all_causes_of_a_reject_are_told(lander):
    table = {"columns": {"a": {"type": "integer"}, "b": {"nullable": False}}, "primary_key": ["k"]}
    landed = lander.ndjson('{"a": "x", "b": null, "k": null}\n{"a": 1, "b": 2, "k": 3}\n', table=table)
    [reason] = landed.reasons
    assert set(reason.split("; ")) == {'a is not a valid integer: "x"', "b has no value", "k has no value"}


def test_a_bad_value_is_shown_with_at_most_100_characters(lander):
    landed = lander.ndjson('{"n": "' + "y" * 500 + '"}\n', table=columns(n="integer"))
    assert landed.reasons == ['n is not a valid integer: "' + "y" * 100 + '"']


NEW = lines('{"id": 1}', '{"id": 2, "new": 1.5}', '{"id": 3, "new": null}')


def test_evolve_adds_a_new_column_and_says_so(lander):
    landed = lander.ndjson(NEW, existing={"id": "integer"})
    assert [row["new"] for row in landed.rows] == [None, 1.5, None]
    assert landed.manifest.drift == (Drift("new", "float", "added"),)


def test_freeze_fails_on_a_new_column(lander):
    with pytest.raises(ContractError, match="new columns: new; add them under columns:"):
        lander.ndjson(NEW, table={"schema_contract": "freeze"}, existing={"id": "integer"})


def test_discard_row_rejects_rows_with_a_value_in_a_new_column(lander):
    landed = lander.ndjson(NEW, table={"schema_contract": "discard_row"}, existing={"id": "integer"})
    assert landed.column("id") == [1, 3]
    assert landed.rejects == [("new is not in the contract", '{"id":"2","new":"1.5"}')]
    assert landed.manifest.drift == (Drift("new", "float", "rejected"),)


def test_discard_value_drops_a_new_column(lander):
    landed = lander.ndjson(NEW, table={"schema_contract": "discard_value"}, existing={"id": "integer"})
    assert landed.rows == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert landed.manifest.drift == (Drift("new", "float", "dropped"),)


@pytest.mark.parametrize("contract", ["freeze", "discard_row", "discard_value"])
def test_declared_columns_are_the_contract_of_a_first_load(lander, contract):
    table = {"schema_contract": contract, "columns": {"id": {"type": "integer"}}}
    if contract == "freeze":
        with pytest.raises(ContractError, match="new columns: new"):
            lander.ndjson(NEW, table=table)
    else:
        assert lander.ndjson(NEW, table=table).types == {"id": "integer"}


@pytest.mark.parametrize("contract", ["evolve", "freeze", "discard_row", "discard_value"])
@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_new_column_without_any_value_is_text_or_waits_where_the_contract_is_strict(lander, contract, form):
    content = {"ndjson": lines('{"id": 1, "new": null}', '{"id": 2}'), "csv": "id,new\n1,\n2,\n"}[form]
    landed = getattr(lander, form)(content, table={"schema_contract": contract}, existing={"id": "integer"})
    added = contract == "evolve"
    assert landed.types == {"id": "integer", **({"new": "text"} if added else {})}
    assert landed.manifest.drift == ((Drift("new", "text", "added"),) if added else ())
    assert landed.column("id") == [1, 2]


def test_a_column_that_went_missing_is_null(lander):
    landed = lander.ndjson('{"id": 1}\n', table=columns(gone="text"), existing={"id": "integer", "gone": "text"})
    assert landed.rows == [{"id": 1, "gone": None}]


def test_a_declared_column_that_is_nowhere_is_null(lander):
    assert lander.csv("id\n1\n", table=columns(later="timestamp")).types == {"id": "integer", "later": "timestamp"}


def test_a_missing_column_that_must_not_be_null_rejects_every_row(lander):
    landed = lander.csv("id\n1\n2\n", table={"columns": {"must": {"type": "text", "nullable": False}}})
    assert landed.reasons == ["must has no value"] * 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"primary_key": ["idd"]}, "primary_key names idd, which the source does not have; .*id"),
        ({"incremental": {"cursor": "at"}}, "incremental.cursor names at"),
        ({"business_date": "day"}, "business_date names day"),
    ],
)
def test_a_column_that_the_yaml_needs_must_be_there(lander, table, message):
    with pytest.raises(ContractError, match=message):
        lander.ndjson('{"id": 1}\n', table=table)


@pytest.mark.parametrize(
    ("declared", "had"), [("integer", "text"), ("float", "integer"), ("decimal(18,2)", "decimal(38,9)")]
)
def test_a_narrower_type_than_the_tables_is_an_error_with_its_hint(lander, declared, had):
    hint = (
        f"write type: {had} under tables.tab.columns.n, or run with full refresh, which gives the column its new type"
    )
    with pytest.raises(ContractError, match=re.escape(hint)):
        lander.ndjson('{"n": 1}\n', table=columns(n=declared), existing={"n": had})


def test_a_wider_type_than_the_tables_is_landed_and_said(lander):
    landed = lander.ndjson('{"n": 1.5}\n', table=columns(n="decimal(38,9)"), existing={"n": "integer"})
    assert (landed.types, landed.column("n")) == ({"n": "decimal(38,9)"}, [Decimal("1.5")])
    assert landed.manifest.drift == (Drift("n", "decimal(38,9)", "widened", "integer"),)


@pytest.mark.parametrize(
    ("had", "value", "wide"),
    [
        ("integer", "1.5", "decimal(38,9)"),
        ("integer", "-12345678901234567890", "decimal(38,9)"),
        ("integer", "1234567890123456789012345678901", "decimal(38,0)"),
        ("decimal(18,2)", "0.125", "decimal(38,9)"),
        ("decimal(18,2)", ".1234567891", "decimal(38,10)"),
    ],
)
@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_number_that_does_not_fit_widens_its_column(lander, form, had, value, wide):
    records = {"ndjson": lines('{"n~/": 7}', f'{{"n~/": "{value}"}}', '{"n~/": "x"}'), "csv": f"n~/\n7\n{value}\nx\n"}
    landed = getattr(lander, form)(records[form], existing={"n~/": had})
    assert (landed.types, landed.column("n~/")) == ({"n~/": wide}, [Decimal(7), Decimal(value)])
    assert landed.reasons == [f'n~/ is not a valid {wide}: "x"']
    assert landed.manifest.drift == (Drift("n~/", wide, "widened", had),)


def test_lines_that_are_no_records_count_once_where_a_column_widens(lander):
    landed = lander.ndjson(lines('{"n": 1.5}', "{"), existing={"n": "integer"})
    assert (landed.column("n"), len(landed.reasons), landed.manifest.rows_read) == ([Decimal("1.5")], 1, 2)
    landed = lander.csv('n,m\n1.5,2\n"x\n', existing={"n": "integer"})
    assert (landed.column("n"), len(landed.reasons), landed.manifest.rows_read) == ([Decimal("1.5")], 1, 2)


@pytest.mark.parametrize("value", ["x", "1e999", "1" * 39, "1." + "1" * 20])
def test_what_no_exact_number_type_holds_is_rejected_as_before(lander, value):
    landed = lander.csv(f"n\n7\n{value}\n", existing={"n": "integer"})
    assert (landed.types, landed.column("n"), len(landed.reasons)) == ({"n": "integer"}, [7], 1)
    assert landed.manifest.drift == ()


@pytest.mark.parametrize(
    "table",
    [{"schema_contract": "discard_row"}, columns(n="integer"), {"columns": {"n": {"pii": "drop"}}}],
    ids=["strict", "declared", "personal"],
)
def test_a_column_grows_only_where_nobody_has_said_otherwise(lander, table):
    landed = lander.csv("id,n\n1,7\n2,1.5\n", table=table, existing={"id": "integer", "n": "integer"})
    assert landed.types.get("n", "integer") == "integer"
    assert landed.manifest.drift == ()


def test_values_are_discarded_rather_than_their_column_widened_where_the_contract_says_so(lander):
    table = {"schema_contract": "discard_value"}
    assert lander.csv("n\n7\n1.5\n", table=table, existing={"n": "integer"}).column("n") == [7, None]


def test_values_in_the_clear_are_not_joined_by_hashes(lander):
    table = {"columns": {"n": {"pii": "hash"}}}
    with pytest.raises(ContractError, match="the YAML declares n as hashed, the table has integer"):
        lander.ndjson('{"n": 1}\n', table=table, existing={"n": "integer"})


@pytest.mark.parametrize("name", ["_load_id", "_LOADED_AT", "_valid_from", "_VALID_TO", "_widened_n"])
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_source_column_with_a_reserved_name_is_loaded_under_another_and_reported(lander, form, name):
    content = {
        "csv": f"{name},id\n7,1\n",
        "ndjson": f'{{"{name}": 7, "id": 1}}\n',
        "parquet": f'SELECT 7 AS "{name}", 1 AS id',
    }
    landed = getattr(lander, form)(content[form])
    assert landed.rows == [{f"_source{name}": 7, "id": 1}]
    assert lander.told == [
        f"src.tab: the source's column {name} is loaded as _source{name}: its name is reserved by ELT Factory"
    ]


def test_a_renamed_column_meets_no_other_column_of_the_source():
    names = [
        "_load_id",
        "_source_load_id",
        "_source_source_load_id",
        "_source",
        "_source_x",
        "load_id",
        "_SOURCE_Load_Id2",
    ]
    loaded = [loaded_name(name) for name in names]
    assert loaded[:3] == ["_source_load_id", "_source_source_load_id", "_source_source_source_load_id"]
    assert loaded[3:] == names[3:]
    assert [source_name(name) for name in loaded] == names


def test_a_renamed_column_is_declared_under_the_name_it_is_loaded_by(lander):
    table = {"primary_key": ["_source_load_id"], "columns": {"_source_load_id": {"type": "text", "nullable": False}}}
    landed = lander.ndjson('{"_load_id": 1, "v": 1}\n{"_load_id": 1, "v": 2}\n{"v": 3}\n', table=table)
    assert landed.rows == [{"_source_load_id": "1", "v": 2}]
    assert landed.rejects == [("_source_load_id has no value", '{"_source_load_id":null,"v":"3"}')]


@pytest.mark.parametrize("name", ["", "a\\u0001b", "n" * 256])
def test_a_key_that_is_no_name_for_a_column_is_a_reject_of_its_record(lander, name):
    landed = lander.ndjson(f'{{"id": 1, "{name}": 1}}\n{{"id": 2, "{"n" * 255}": 3}}\n', rows_read=2)
    assert landed.rows == [{"id": 2, "n" * 255: 3}]
    [(reason, record)] = landed.rejects
    assert reason.startswith("file0.ndjson line 1: a key is not a valid column name: it is empty, longer than 255")
    assert json.loads(json.loads(record)["line"]) == {"id": 1, json.loads(f'"{name}"'): 1}


def test_a_header_with_a_name_that_no_column_can_have_is_an_error(lander):
    with pytest.raises(ContractError, match="is not a valid column name"):
        lander.csv(f"id,{'n' * 256}\n1,2\n")


def test_names_that_differ_only_by_case_are_an_error(lander):
    with pytest.raises(ContractError, match=r"A .* and a .* differ only by case"):
        lander.ndjson('{"A": 1}\n{"a": 2}\n')
    with pytest.raises(ContractError, match="differ only by case"):
        lander.ndjson('{"A": 1, "a": 2}\n')
    with pytest.raises(ContractError, match="differ only by case"):
        lander.csv("A,a\n1,2\n")
    with pytest.raises(ContractError, match="differ only by case"):
        lander.csv("A\n1\n", "a\n2\n")
    with pytest.raises(ContractError, match=r"id \(the table\) and ID \(the source\)"):
        lander.csv("ID\n1\n", existing={"id": "integer"})


def test_personal_data_under_a_name_of_another_case_are_not_let_through(lander):
    with pytest.raises(ContractError, match=r"email \(the YAML\) and Email \(the source\) differ only by case"):
        lander.ndjson('{"Email": "jane@example.org"}\n', table={"columns": {"email": {"pii": "drop"}}})


NAMES = [
    'quo"te',
    "apo'strophe",
    "select",
    "two words",
    "ünïcode ☃",
    "reason",
    "record",
    "rowid",
    "c0",
    "c1",
    "raw",
    "{}",
]


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_any_other_name_is_only_a_name(lander, form):
    table = {"primary_key": [NAMES[0], "rowid"]}
    if form == "ndjson":
        import json

        landed = lander.ndjson(json.dumps({name: f"v{i}" for i, name in enumerate(NAMES)}) + "\n", table=table)
    elif form == "csv":
        header = ",".join('"' + name.replace('"', '""') + '"' for name in NAMES)
        landed = lander.csv(f"{header}\n{','.join(f'v{i}' for i in range(len(NAMES)))}\n", table=table)
    else:
        quoted = ('"' + name.replace('"', '""') + '"' for name in NAMES)
        select = ", ".join(f"'v{i}' AS {name}" for i, name in enumerate(quoted))
        landed = lander.parquet(f"SELECT {select}", table=table)
    assert landed.rows == [{name: f"v{i}" for i, name in enumerate(NAMES)}]


def test_a_column_named_rowid_does_not_decide_which_duplicate_stays(lander):
    records = lines('{"id": 1, "rowid": 9, "v": "first"}', '{"id": 1, "rowid": 1, "v": "last"}')
    assert lander.ndjson(records, table={"primary_key": ["id"]}).column("v") == ["last"]


def test_a_thousand_columns_are_landed(lander):
    import json

    record = {f"column_{number}": number for number in range(1000)}
    assert lander.ndjson(json.dumps(record) + "\n").rows == [record]


# Keys and duplicates


def test_of_duplicates_the_greatest_cursor_stays(lander):
    records = lines('{"id": 1, "u": 5, "v": "new"}', '{"id": 1, "u": 3, "v": "old"}', '{"id": 1, "u": null, "v": "?"}')
    landed = lander.ndjson(records, table={"primary_key": ["id"], "incremental": {"cursor": "u"}})
    assert (landed.column("v"), landed.manifest.rows_duplicate) == (["new"], 2)
    assert (landed.manifest.cursor_min, landed.manifest.cursor_max) == ("3", "5")


def test_of_duplicates_with_one_cursor_the_last_read_stays(lander):
    records = lines('{"id": 1, "u": 5, "v": "a"}', '{"id": 1, "u": 5, "v": "b"}', '{"id": 2, "u": 5, "v": "c"}')
    landed = lander.ndjson(records, table={"primary_key": ["id"], "incremental": {"cursor": "u"}})
    assert sorted(landed.column("v")) == ["b", "c"]


def test_the_last_read_stays_over_files_in_their_order(lander):
    parts = [lines(*(f'{{"id": {i}, "v": {part}}}' for i in range(5000))) for part in range(3)]
    landed = lander.ndjson(*parts, table={"primary_key": ["id"]})
    assert (set(landed.column("v")), landed.manifest.rows_duplicate) == ({2}, 10000)


def test_keys_of_several_columns_are_compared_whole(lander):
    records = lines('{"a": 1, "b": "1"}', '{"a": 1, "b": "2"}', '{"a": 1, "b": "2"}')
    assert lander.ndjson(records, table={"primary_key": ["a", "b"]}).manifest.rows_duplicate == 1


def test_without_a_key_nothing_is_a_duplicate(lander):
    assert lander.ndjson('{"a": 1}\n{"a": 1}\n').manifest.rows == 2


def test_a_row_without_its_key_is_rejected(lander):
    landed = lander.ndjson('{"id": null, "v": 1}\n{"v": 2}\n{"id": 3, "v": 3}\n', table={"primary_key": ["id"]})
    assert (landed.column("v"), landed.reasons) == ([3], ["id has no value"] * 2)


def test_when_no_row_has_a_key_all_are_rejected(lander):
    table = {"primary_key": ["id"], "incremental": {"cursor": "u"}}
    landed = lander.ndjson('{"id": null, "u": null, "v": 1}\n{"id": null, "u": null, "v": 2}\n', table=table)
    assert landed.reasons == ["id has no value"] * 2
    assert (landed.manifest.cursor_column, landed.manifest.cursor_max) == ("u", None)


def test_rejected_rows_do_not_move_the_cursor(lander):
    table = {"incremental": {"cursor": "u"}, "business_date": "d"} | columns(n="integer")
    records = lines('{"n": 1, "u": 5, "d": "2013-01-01"}', '{"n": "x", "u": 9, "d": "2013-01-09"}')
    manifest = lander.ndjson(records, table=table).manifest
    assert (manifest.cursor_type, manifest.cursor_max) == ("integer", "5")
    assert (manifest.business_date_min, manifest.business_date_max) == ("2013-01-01", "2013-01-01")


# Personal data

SECRET = "jane.doe@example.org"
HASH = hashlib.sha256(SECRET.encode()).hexdigest()


def everything(lander, landed) -> str:
    """All that a landing says, decompressed."""
    import duckdb

    texts = [next(lander.folder.glob("*/manifest.json")).read_text(), *lander.told]
    for file in lander.folder.rglob("*.parquet"):
        texts += [str(row) for row in duckdb.connect().execute(f"SELECT * FROM '{file}'").fetchall()]
        texts.append(file.read_bytes().decode("latin-1"))
    return "\n".join(texts)


PII = {
    "columns": {"email": {"pii": "hash"}, "phone": {"pii": "drop"}, "born": {"pii": "hash", "type": "date"}},
    "primary_key": ["id"],
    "business_date": "email",
}


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_personal_values_are_nowhere_in_a_landing(lander, form):
    other = "0049-176-5550199"
    records = [
        (1, SECRET, other, "1999-12-31"),
        ("null", SECRET, other, "1999-12-31"),
        (2, SECRET, other, "nineteen99"),
        (2, SECRET, other, "1999-12-30"),
    ]
    if form == "ndjson":
        content = lines(
            *(f'{{"id": {i}, "email": "{e}", "phone": "{p}", "born": "{b}"}}' for i, e, p, b in records),
            f'{{"id": 5, "email": "{SECRET}", "phone": "{other}", ',
            f'["{SECRET}"]',
            f'{{"id": 6, "email": "{SECRET}", "email": "{SECRET}"}}',
        )
        landed = lander.ndjson(content, table=PII)
    else:
        content = "id,email,phone,born\n" + lines(
            *(f"{i},{e},{p},{b}".replace("null", "") for i, e, p, b in records), f'7,"{SECRET}" x,{other}', SECRET
        )
        landed = lander.csv(content, table=PII)
    assert landed.manifest.rows_rejected >= 3
    text = everything(lander, landed)
    assert HASH in text
    for secret in (SECRET, other, "1999-12", "nineteen99"):
        assert secret not in text
    assert set(landed.types) == {"id", "email", "born"}


def test_messages_about_broken_records_do_not_show_personal_values(lander):
    with pytest.raises(ContractError) as caught:
        lander.ndjson(f'{{"email": "{SECRET}", "id": null}}\n["{SECRET}"]\n', table=PII | {"schema_contract": "freeze"})
    assert SECRET not in str(caught.value)


def test_a_hash_is_the_sha256_of_the_text_as_it_came(lander):
    landed = lander.ndjson(
        f'{{"email": "{SECRET}"}}\n{{"email": null}}\n', table={"columns": {"email": {"pii": "hash"}}}
    )
    assert landed.column("email") == [HASH, None]


def test_a_hash_is_text_in_a_table_that_was_loaded_before(lander):
    table = {"columns": {"n": {"pii": "hash", "type": "integer"}}}
    assert lander.ndjson('{"n": 5}\n', table=table, existing={"n": "text"}).types == {"n": "text"}


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_columns_without_bound_are_an_error_that_says_what_to_do(lander, form):
    def content(count: int) -> str:
        if form == "csv":
            return ",".join(f"k{n}" for n in range(count)) + "\n" + ",".join("1" for _ in range(count)) + "\n"
        if form == "parquet":
            return "SELECT " + ", ".join(f"1 AS k{n}" for n in range(count))
        return "{" + ", ".join(f'"k{n}": 1' for n in range(count)) + "}\n"

    land = getattr(lander, form)
    with pytest.raises(ContractError, match=r"src\.tab: the source has 1001 new columns, such as k0, .*max_columns"):
        land(content(1001))
    existing = {f"k{n}": "integer" for n in range(20)}
    assert len(land(content(30), table={"max_columns": 30}, existing=existing).types) == 30
    with pytest.raises(ContractError, match=r"the source has 11 new columns, .* give the table 31 undeclared columns"):
        land(content(31), table={"max_columns": 30}, existing=existing)
    declared = {"max_columns": 30, "columns": {"k30": {"type": "integer"}}}
    assert len(land(content(31), table=declared, existing=existing).types) == 31
    assert land(content(31), table={"max_columns": 20, "schema_contract": "discard_value"}, existing=existing).rows
