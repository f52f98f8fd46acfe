"""What a warehouse does not take is one value's trouble: rejected with its reason, or NULL where the column says so."""

import json

import pytest
from landing_support import Lander, columns, lines

from elt_factory.landing import limits

DEEP = "[" * 129 + "]" * 129
LONG = "x" * (limits.TEXT_BYTES + 1)
BAD_JSON = [
    ('{"b": {"c": 1, "c": 2}}', "has a key twice in one object"),
    ('[{"c": 1}, {"c": 1, "d": {}, "c": 2}]', "has a key twice in one object"),
    ('{"b": "}", "b": 1}', "has a key twice in one object"),
    (r'{"b": "\\\"", "b": 1}', "has a key twice in one object"),
    ('{"b": [1, NaN]}', "contains NaN or Infinity, which JSON does not have"),
    ('{"b": -Infinity}', "contains NaN or Infinity, which JSON does not have"),
]
GOOD_JSON = [
    '{"b":{"c":1},"d":{"c":1}}',
    '[{"c":1},{"c":2}]',
    r'{"b":"NaN, Infinity and \"c\":1,\"c\":2"}',
    '{"information":"[[[["}',
    '"a text"',
    '""',
    "5",
    "[" * 127 + "]" * 127,
]


def as_csv(*values: str) -> str:
    return "id,j\n" + "".join(
        f'{number},"{value.replace(chr(34), 2 * chr(34))}"\n' for number, value in enumerate(values)
    )


@pytest.mark.parametrize(("value", "why"), BAD_JSON)
@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_json_that_a_warehouse_refuses_is_one_reject(lander, form, value, why):
    values = [*GOOD_JSON, value]
    table = columns(id="integer", j="json")
    if form == "csv":
        landed = lander.csv(as_csv(*values), table=table)
    else:
        landed = lander.ndjson(lines(*(f'{{"id": {n}, "j": {text}}}' for n, text in enumerate(values))), table=table)
    assert landed.column("j") == GOOD_JSON
    [(reason, record)] = landed.rejects
    assert reason == f"j {why}"
    assert json.loads(record)["id"] == str(len(GOOD_JSON))
    kept = json.loads(record)["j"] if form == "csv" else record
    assert value.replace(" ", "") in kept.replace(" ", "")


def test_json_of_a_type_that_was_found_is_held_to_the_same_rules(lander):
    landed = lander.ndjson(
        lines('{"id": 1, "j": {"a": 1}}', '{"id": 2, "j": {"a": 1, "a": 2}}', '{"id": 3, "j": [NaN]}')
    )
    assert (landed.types["j"], landed.column("id"), len(landed.rejects)) == ("json", [1], 2)


@pytest.mark.parametrize(("depth", "rejected"), [(limits.JSON_DEPTH, 0), (limits.JSON_DEPTH + 1, 1)])
def test_a_short_record_that_is_too_deep_is_one_reject(lander, depth, rejected):
    arrays = "[" * (depth - 1) + "]" * (depth - 1)
    landed = lander.ndjson(lines(f'{{"a":{arrays}}}', '{"a":[]}'))
    assert (landed.manifest.rows, landed.manifest.rows_rejected) == (2 - rejected, rejected)


def test_json_that_is_nested_too_deep_is_one_reject(lander):
    landed = lander.csv(as_csv("[]", DEEP), table=columns(id="integer", j="json"))
    assert (landed.column("j"), landed.reasons) == (["[]"], ["j is nested deeper than 128 levels"])


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_text_that_is_too_long_is_one_reject(lander, kind):
    long, longest = f'"{LONG[:-2]}"', f'"{LONG[:-3]}"'
    records = [f'{{"id": 1, "v": {longest}}}', f'{{"id": 2, "v": {long}}}']
    if kind == "text":
        records = [record.replace('x"}', 'xxx"}') for record in records]
    landed = lander.ndjson(lines(*records), table=columns(id="integer", v=kind))
    assert landed.column("id") == [1]
    [(reason, record)] = landed.rejects
    assert reason == "v is longer than 16,777,216 bytes"
    assert len(json.loads(record)["part"]) == 10_000


def test_a_text_is_measured_in_bytes(lander, monkeypatch):
    monkeypatch.setattr(limits, "TEXT_BYTES", 10)
    landed = lander.ndjson(
        lines('{"v": "aaaaaaaaaa"}', '{"v": "\u00e9\u00e9\u00e9\u00e9\u00e9x"}'), table=columns(v="text")
    )
    assert (landed.column("v"), landed.reasons) == (["a" * 10], ["v is longer than 10 bytes"])


def test_bytes_that_are_too_many_are_one_reject(lander):
    landed = lander.parquet(
        f"SELECT 1 AS id, repeat('a', {limits.BINARY_BYTES})::BLOB AS b UNION ALL "
        f"SELECT 2, repeat('a', {limits.BINARY_BYTES + 1})::BLOB"
    )
    assert landed.column("id") == [1]
    assert landed.reasons == ["b is longer than 8,388,608 bytes"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "1.5"),
        ("decimal(9,2)", "NaN"),
        ("decimal(3,0)", "1000"),
        ("date", "0044-03-15 (BC)"),
        ("date", "infinity"),
        ("timestamp", "0044-03-15 (BC) 10:00:00+00"),
        ("datetime", "-infinity"),
        ("datetime", "294247-01-10 04:00:54"),
        ("json", '{"a":1,"a":2}'),
        ("binary", "abc"),
        ("boolean", "maybe"),
    ],
)
def test_a_value_that_its_column_cannot_hold_rejects_the_row_or_becomes_null_as_the_column_says(tmp_path, kind, value):
    content = f'id,v\n1,"{value.replace(chr(34), chr(34) * 2)}"\n2,\n'
    for choice, ids, discarded in (("reject", [2], 0), ("null", [1, 2], 1), (None, [1, 2], 1)):
        column = {"type": kind} | ({} if choice == "reject" else {"on_bad_value": choice})
        landed = Lander(tmp_path / str(choice)).csv(
            content, table={"columns": {"id": {"type": "integer"}, "v": column}}
        )
        assert (landed.column("id"), landed.column("v")) == (ids, [None] * len(ids))
        assert landed.manifest.values_discarded == discarded


def test_a_column_can_reject_where_the_contract_drops_values(lander):
    table = {
        "schema_contract": "discard_value",
        "columns": {"a": {"type": "integer"}, "b": {"type": "integer", "on_bad_value": "reject"}},
    }
    landed = lander.csv("a,b\n1,2\nx,2\n1,x\n", table=table)
    assert landed.rows == [{"a": 1, "b": 2}, {"a": None, "b": 2}]
    assert (landed.manifest.values_discarded, landed.reasons) == (1, ['b is not a valid integer: "x"'])


def test_a_value_that_became_null_is_no_value_of_a_column_that_needs_one(lander):
    column = {"type": "integer", "nullable": False, "on_bad_value": "null"}
    landed = lander.csv("id,v\n1,x\n2,3\n", table={"columns": {"v": column}})
    assert (landed.column("id"), landed.reasons) == ([2], ["v has no value"])


def test_a_frozen_contract_takes_a_value_that_may_become_null(lander):
    table = {"schema_contract": "freeze", "columns": {"v": {"type": "integer", "on_bad_value": "null"}}}
    assert lander.csv("v\nx\n1\n", table=table).manifest.values_discarded == 1


def test_many_columns_may_drop_values(lander):
    names = [f"c{number}" for number in range(1500)]
    table = {"schema_contract": "discard_value", "columns": {name: {"type": "integer"} for name in names}}
    landed = lander.csv(",".join(names) + "\n" + ",".join("x" for _ in names) + "\n", table=table)
    assert landed.manifest.values_discarded == 1500
