"""Checks of `severity: quarantine` set failing rows aside in the contract: rejects with the check's name as reason."""

from __future__ import annotations

import pytest
from landing_support import lines

from elt_factory.config.models.checks import TableCheck
from elt_factory.core.failures import ContractError
from elt_factory.extract.request import Spool
from elt_factory.sources.sql.model import SqlTable

BETWEEN = {"between": [0, 6000], "severity": "quarantine"}
REGEX = {"regex": "^N[0-9]+$", "severity": "quarantine"}
TABLE = {
    "primary_key": ["id"],
    "columns": {
        "id": {"type": "integer"},
        "distance": {"type": "integer", "checks": [BETWEEN]},
        "tail": {"type": "text", "checks": [REGEX, {"length": {"max": 4}, "severity": "quarantine"}]},
    },
}


def checks(*given):
    return [TableCheck.model_validate({**check, "severity": "quarantine"}) for check in given]


def aside(lander, check, *rows, **table):
    """Land rows of `a` and `b`, and return the `a` of those that are loaded, and the reasons of the others."""
    landed = lander.ndjson(lines(*rows), table=table, checks=checks(check))
    return sorted(landed.column("a")), landed.reasons


def test_a_row_that_breaks_a_check_is_a_reject_with_its_name_and_the_others_are_landed(lander):
    landed = lander.ndjson(
        lines(
            '{"id": 1, "distance": 5, "tail": "N1"}',
            '{"id": 2, "distance": -5, "tail": "N2"}',
            '{"id": 3, "distance": 7000, "tail": "x1234"}',
            '{"id": 4, "distance": null}',
            '{"id": 5, "distance": "far", "tail": "x"}',
        ),
        table=TABLE,
    )
    assert landed.column("id") == [1, 4]  # what has no value breaks only not_null
    assert landed.reasons == [
        "quarantine: distance between 0 and 6000",
        "quarantine: distance between 0 and 6000; tail matches ^N[0-9]+$; tail length max 4",
        'distance is not a valid integer: "far"',  # a row with a fault of its own is not asked about more
    ]
    manifest = landed.manifest
    assert (manifest.rows_read, manifest.rows, manifest.rows_rejected) == (5, 2, 3)


def test_of_one_key_the_newest_row_that_is_good_is_landed(lander):
    rows = ('{"id": 1, "distance": 5}', '{"id": 1, "distance": 6}', '{"id": 1, "distance": -1}')
    landed = lander.ndjson(lines(*rows), table=TABLE)
    assert (landed.column("distance"), landed.manifest.rows_duplicate, landed.manifest.rows_rejected) == ([6], 1, 1)


@pytest.mark.parametrize(
    ("check", "loaded"),
    [
        ({"expression": "b > a"}, [1, 3]),
        ({"expression": "b > a -- larger"}, [1, 3]),
        ({"expression": "B > a", "where": "a < 2"}, [1, 2, 3]),
        ({"expression": "CAST(CASE a WHEN 2 THEN 'x' ELSE '1' END AS INTEGER) > 0"}, [1, 3]),  # 2 has no answer
        ({"expression": "later is null"}, [1, 2, 3]),  # a column that only the YAML has
        ({"expression": "later is not null"}, []),
        ({"expression": "gone = 5"}, [1, 2, 3]),  # one that only the table has
    ],
)
def test_an_expression_is_asked_of_each_row_and_what_it_does_not_know_is_loaded(lander, check, loaded):
    rows = ('{"a": 1, "b": 2}', '{"a": 2, "b": 1}', '{"a": 3, "b": null}')
    landed = lander.ndjson(
        lines(*rows),
        table={"columns": {"later": {"type": "date"}, "a": {"type": "integer"}, "b": {"type": "integer"}}},
        existing={"a": "integer", "b": "integer", "gone": "integer"},
        checks=checks(check),
    )
    assert sorted(landed.column("a")) == loaded
    assert landed.manifest.rows_rejected == 3 - len(loaded)


def test_a_row_that_is_not_to_be_loaded_is_not_judged(lander):
    landed = lander.ndjson(
        lines('{"id": 1, "distance": -1, "tail": "N1"}', '{"id": 2, "distance": -1, "tail": "N2"}'),
        table={**TABLE, "where": "tail = 'N2'"},
    )
    assert (landed.manifest.rows_filtered, landed.manifest.rows_rejected, landed.manifest.rows) == (1, 1, 0)


def test_a_row_that_says_it_is_deleted_is_not_judged(lander):
    table = {**TABLE, "write_disposition": "merge", "deletes": {"column": "gone"}}
    spool = Spool(
        "ndjson", lander.files(lines(*(f'{{"id": {i}, "distance": -1, "gone": {i}}}' for i in (0, 1))), suffix="ndjson")
    )
    landed = lander.land(spool, table, kind=SqlTable)
    assert (landed.column("id"), landed.manifest.rows_rejected) == ([1], 1)


def test_a_frozen_schema_takes_rows_that_are_set_aside(lander):
    rows = ('{"id": 1, "distance": 5, "tail": "N1"}', '{"id": 2, "distance": -5, "tail": "N2"}')
    landed = lander.ndjson(lines(*rows), table={**TABLE, "schema_contract": "freeze"})
    assert (landed.manifest.rows, landed.manifest.rows_rejected) == (1, 1)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_are_judged_as_records_are(lander, kind):
    if kind == "csv":
        landed = lander.csv("id,distance\n1,5\n2,-5\n", table=TABLE)
    else:
        landed = lander.parquet("SELECT * FROM (VALUES (1, 5), (2, -5)) AS t(id, distance)", table=TABLE)
    assert landed.column("id") == [1]
    assert landed.reasons == ["quarantine: distance between 0 and 6000"]


def test_names_that_the_contract_uses_and_quotes_are_the_source_s(lander):
    column = {"type": "integer", "checks": [{"between": [0, 9], "severity": "quarantine"}]}
    table = {"columns": {'the "reason"': column, "where_holds": column, "c0": column}}
    rows = ('{"the \\"reason\\"": 1, "where_holds": 2, "c0": 10}', '{"the \\"reason\\"": 1, "where_holds": 2, "c0": 3}')
    landed = lander.ndjson(lines(*rows), table=table)
    assert (landed.reasons, landed.manifest.rows) == (["quarantine: c0 between 0 and 9"], 1)


def test_a_check_that_duckdb_cannot_ask_is_named_with_the_columns(lander):
    with pytest.raises(
        ContractError,
        match=r"the check expression lenght\(b\) > 1 cannot set rows aside: .*lenght.*; hint: the columns",
    ):
        aside(lander, {"expression": "lenght(b) > 1"}, '{"a": 1, "b": 2}')


def test_a_record_of_personal_data_keeps_only_hashes(lander):
    mail = {"type": "text", "pii": "hash"}
    table = {"columns": {"a": {"type": "integer", "checks": [BETWEEN]}, "mail": mail}}
    landed = lander.ndjson(lines('{"a": -1, "mail": "x@y.z"}'), table=table)
    assert landed.rejects == [("quarantine: a between 0 and 6000", '{"a":"-1"}')]
