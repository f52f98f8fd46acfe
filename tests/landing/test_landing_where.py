"""`where`: rows that are read and not loaded are counted; `format`: dates and times in other ways than ISO 8601."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from landing_support import lines

from elt_factory.core.failures import BadDataError, ContractError
from elt_factory.extract.request import Spool
from elt_factory.sources.rest_api.model import RestTable
from elt_factory.sources.sql.model import SqlTable

ROWS = (
    '{"id": 1, "status": "new", "reason": "x", "total": 5}',
    '{"id": 2, "status": "draft", "reason": null, "total": 7}',
    '{"id": 2, "status": "new", "reason": null, "total": 7}',
    '{"id": 3, "reason": "y", "total": 1}',
    '{"id": 4, "status": "new", "total": "many"}',
    "broken",
)


@pytest.mark.parametrize(
    ("where", "ids", "filtered"),
    [
        ("status <> 'draft'", [1, 2], 2),  # a condition that is not true keeps no row
        ("status is distinct from 'draft';", [1, 2, 3], 1),
        ("reason is null", [2], 2),  # names that the contract uses for itself are the source's here
        ("total > 5 and id < 3 -- the large ones", [2], 2),
        ("true", [1, 2, 3], 0),
        ("false", [], 4),
    ],
)
def test_rows_that_do_not_meet_the_condition_are_counted_and_not_landed(lander, where, ids, filtered):
    table = {
        "where": where,
        "primary_key": ["id"],
        "write_disposition": "merge",
        "columns": {"total": {"type": "integer"}, "id": {"type": "integer"}},
    }
    landed = lander.ndjson(lines(*ROWS), table=table)
    assert sorted(row["id"] for row in landed.rows) == ids
    manifest = landed.manifest
    assert (manifest.rows_read, manifest.rows_rejected, manifest.rows_filtered) == (6, 2, filtered)
    # the record that is filtered is no duplicate of the one that is kept
    assert manifest.rows_duplicate == 4 - len(ids) - filtered


def test_a_condition_on_a_column_that_is_not_there_names_it_and_those_that_are(lander):
    with pytest.raises(ContractError, match=r'where: .*"statu" was not found; hint: the columns are .*status'):
        lander.ndjson(lines(*ROWS), table={"where": "statu = 'new'"})


@pytest.mark.parametrize(
    ("where", "hint"),
    [("statu = 'new'", 'did you mean "status"\\?'), ("later = 1", "declare later under columns: if it comes later")],
)
def test_a_condition_on_an_unknown_column_says_what_to_write(lander, where, hint):
    with pytest.raises(ContractError, match=hint):
        lander.ndjson(lines(*ROWS), table={"where": where})


@pytest.mark.parametrize(
    ("where", "cause"),
    [
        ("status > 1", "where: Binder Error: Cannot compare values of type VARCHAR"),
        ("id = 'x'", "where: Conversion Error: Could not convert string 'x' to INT64; hint"),
        ("status::integer > 1", "where: Conversion Error: Could not convert string 'new' to INT32; hint"),
        ("lower(id) = 'x'", "where: Binder Error: No function matches"),
        ("nosuch(id) > 1", "where: Catalog Error: Scalar Function with name nosuch does not exist"),
    ],
)
def test_a_condition_that_cannot_be_asked_of_the_columns_is_named_with_their_types(lander, where, cause):
    with pytest.raises(ContractError) as caught:
        lander.ndjson(lines(*ROWS), table={"where": where})
    assert str(caught.value).startswith(cause)
    assert "the columns are id (integer), status (text)" in str(caught.value)
    secret = {"status": {"pii": "hash"}}
    with pytest.raises(ContractError) as caught:
        lander.ndjson(lines(*ROWS), table={"where": "reason::integer > 1", "columns": secret})
    assert "Conversion Error; details withheld" in str(caught.value)


def test_a_condition_is_asked_of_records_alone(lander):
    table = {"where": "coalesce(id, error('no id')) > 1"}
    assert lander.ndjson(lines('{"id": 1}', '{"id": 2}'), table=table).column("id") == [2]


def test_a_column_that_only_the_yaml_has_is_null_in_the_condition(lander):
    table = {
        "where": "later is null and status = 'new'",
        "columns": {"later": {"type": "date"}, "total": {"type": "text"}},
    }
    assert lander.ndjson(lines(*ROWS[:2]), table=table).manifest.rows == 1


@pytest.mark.parametrize("deleted", ['"2013-01-01T00:00:00Z"', "true", "1"])
def test_a_row_that_says_it_is_deleted_passes_the_condition(lander, deleted):
    table = {
        "where": "status = 'active'",
        "primary_key": ["id"],
        "write_disposition": "merge",
        "deletes": {"column": "deleted"},
    }
    values = ((1, "active", "null"), (2, "closed", "null"), (3, "closed", deleted))
    rows = (f'{{"id": {key}, "status": "{status}", "deleted": {value}}}' for key, status, value in values)
    spool = Spool("ndjson", lander.files(lines(*rows), suffix="ndjson"))
    landed = lander.land(spool, table, kind=SqlTable)
    assert (landed.column("id"), landed.manifest.rows_filtered) == ([1, 3], 1)


def test_a_column_that_cannot_say_that_a_row_is_deleted_is_refused_before_the_load(lander):
    table = {"primary_key": ["id"], "write_disposition": "merge", "deletes": {"column": "gone"}}
    spool = Spool("ndjson", lander.files(lines('{"id": 1, "gone": "N"}'), suffix="ndjson"))
    with pytest.raises(ContractError, match="gone is text, which does not say whether a row is deleted; hint: write"):
        lander.land(spool, table, kind=SqlTable)


def test_a_load_without_records_has_nothing_to_filter(lander):
    assert lander.ndjson("", table={"where": "status = 'x'"}).manifest.rows_filtered == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_are_filtered_as_records_are(lander, kind):
    if kind == "csv":
        landed = lander.csv("id,status\n1,new\n2,draft\n", table={"where": "status <> 'draft'"})
    else:
        landed = lander.parquet(
            "SELECT * FROM (VALUES (1, 'new'), (2, 'draft')) AS t(id, status)", table={"where": "status <> 'draft'"}
        )
    assert [int(row["id"]) for row in landed.rows] == [1]
    assert landed.manifest.rows_filtered == 1


@pytest.mark.parametrize(
    ("kind", "form", "raw", "value"),
    [
        ("timestamp", "epoch", "1356998400", "2013-01-01 00:00:00+00:00"),
        ("timestamp", "epoch", '"1356998400.25"', "2013-01-01 00:00:00.25+00:00"),
        ("timestamp", "epoch", "-1", "1969-12-31 23:59:59+00:00"),
        ("timestamp", "epoch_ms", "1356998400123", "2013-01-01 00:00:00.123+00:00"),
        ("datetime", "epoch", "1356998400", "2013-01-01 00:00:00"),
        ("date", "epoch", "1356998400", "2013-01-01"),
        ("date", "epoch", "1356998401", None),  # the time of day would be lost
        ("timestamp", "epoch", "13569984000000000", None),  # no seconds
        ("timestamp", "epoch", '"2013-01-01"', None),
        ("date", "%d/%m/%Y", '"31/12/2013"', "2013-12-31"),
        ("date", "%d/%m/%Y", '"12/31/2013"', None),
        ("date", "%d/%m/%Y", '"31/12/2013 05:00"', None),
        ("date", "%d/%m/%Y", '"01/02/13"', None),  # %Y has four digits
        ("date", "%m/%d/%Y", '"1/2/99"', None),
        ("date", "%d/%m/%Y", '"01/01/0001"', "0001-01-01"),
        ("date", "%d/%m/%y", '"01/02/13"', "2013-02-01"),
        ("date", "%j %Y", '"366 2012"', "2012-12-31"),
        ("date", "%j %Y", '"366 2013"', None),
        ("date", "%y%j", '"13366"', None),
        # the digits of 36, the next year, are in it
        ("date", "%y%j", '"35366"', None),
        ("date", "%y%j", '"36366"', "2036-12-31"),
        ("datetime", "%Y%j %H:%M:%S.%f", '"2014001 10:00:00.366000"', "2014-01-01 10:00:00.366"),
        ("date", "%j", '"031"', "1900-01-31"),
        ("date", "%j", '"366"', None),
        ("datetime", "%d%m%Y %H:%M", '"010213 10:00"', None),
        ("timestamp", "%d/%m/%Y %H:%M %z", '"01/02/13 10:00 +0200"', None),
        ("timestamp", "%d/%m/%Y %H:%M %z", '"31/12/2013 23:00 -0500"', "2014-01-01 04:00:00+00:00"),
        ("datetime", "%b %d, %Y %I:%M %p", '"Dec 1, 2013 3:04 PM"', "2013-12-01 15:04:00"),
        ("timestamp", "%d.%m.%Y %H:%M", '"01.02.2013 10:00"', "2013-02-01 10:00:00+00:00"),
        ("timestamp", "%Y%m%dT%H%M%S%z", '"20130101T050000+0500"', "2013-01-01 00:00:00+00:00"),
        ("timestamp", "epoch", "null", None),
    ],
)
def test_a_time_is_read_as_it_is_written_or_rejected(lander, kind, form, raw, value):
    landed = lander.ndjson(
        lines(f'{{"id": 1, "at": {raw}}}'), table={"columns": {"at": {"type": kind, "format": form}}}
    )
    if value is None and raw != "null":
        assert landed.manifest.rows_rejected == 1
        return
    (at,) = landed.column("at")
    expected = {"date": date, "timestamp": datetime, "datetime": datetime}[kind].fromisoformat(value) if value else None
    assert at == expected


def inside(lander, kind, values, **incremental):
    table = {
        "incremental": {"cursor": "at", "outside_window": "drop", **incremental},
        "columns": {"at": {"type": kind}},
        "write_disposition": "merge",
        "primary_key": ["id"],
    }
    landed = lander.ndjson(lines(*(f'{{"id": {i}, "at": "{at}"}}' for i, at in enumerate(values))), table=table)
    assert landed.manifest.rows_filtered == len(values) - len(landed.rows)
    return sorted(landed.column("id"))


# the window is [2013-01-01, 2013-01-02) in UTC
@pytest.mark.parametrize(
    ("kind", "values", "more", "kept"),
    [
        (
            "timestamp",
            ["2012-12-31T23:59:59Z", "2013-01-01T00:00:00Z", "2013-01-01T23:59:59.9Z", "2013-01-02T00:00:00Z"],
            {},
            [1, 2],
        ),
        ("timestamp", ["2012-12-31T23:00:00Z", "2013-01-02T01:00:00+02:00"], {"lag": "1h"}, [0, 1]),
        ("date", ["2012-12-31", "2013-01-01", "2013-01-02"], {}, [1]),
        (
            "datetime",
            ["2012-12-31T18:59:59", "2012-12-31T19:00:00", "2013-01-01T19:00:00"],
            {"timezone": "America/New_York"},
            [1],
        ),
    ],
)
def test_rows_outside_the_window_are_counted_and_not_landed_where_the_table_says_so(lander, kind, values, more, kept):
    assert inside(lander, kind, values, **more) == kept


def test_a_cursor_that_turns_out_to_be_no_time_is_refused(lander):
    table = {"incremental": {"cursor": "at", "outside_window": "drop"}}
    with pytest.raises(ContractError, match="outside_window needs a time as its cursor, but at is integer"):
        lander.ndjson(lines('{"id": 1, "at": 5}'), table=table)


FILTERED = {
    "where": "status = 'active'",
    "primary_key": ["id"],
    "write_disposition": "merge",
    "deletes": {"filtered": True},
}


def test_a_row_that_no_longer_meets_the_condition_is_landed_as_deleted(lander):
    rows = ('{"id": 1, "status": "active"}', '{"id": 2, "status": "closed"}', '{"id": 3}', '{"id": 4, "status": []')
    spool = Spool("ndjson", lander.files(lines(*rows), suffix="ndjson"))
    landed = lander.land(spool, FILTERED, kind=SqlTable)
    assert [(row["id"], row["_deleted_at"] is None) for row in landed.rows] == [(1, True), (2, False), (3, False)]
    manifest = landed.manifest
    assert (manifest.rows_read, manifest.rows, manifest.rows_filtered, manifest.rows_rejected) == (4, 3, 0, 1)


@pytest.mark.parametrize(("last", "stays"), [("active", True), ("closed", False)])
def test_the_last_of_several_records_of_a_key_says_whether_its_row_is_deleted(lander, last, stays):
    table = FILTERED | {"incremental": {"cursor": "at", "initial": "2013-01-01"}}
    rows = [{"closed": "active", "active": "closed"}[last], last]
    texts = [f'{{"id": 1, "status": "{status}", "at": "2013-01-0{n}"}}' for n, status in enumerate(rows, 1)]
    spool = Spool("ndjson", lander.files(lines(*texts), suffix="ndjson"))
    landed = lander.land(spool, table, kind=SqlTable)
    assert [row["_deleted_at"] is None for row in landed.rows] == [stays]
    assert landed.manifest.rows_duplicate == 1


def test_records_outside_of_the_window_are_left_out_and_delete_nothing(lander):
    incremental = {"cursor": "at", "outside_window": "drop", "initial": "2013-01-01"}
    texts = [f'{{"id": {n}, "status": "closed", "at": "{at}"}}' for n, at in enumerate(("2013-01-01", "2012-01-01"))]
    spool = Spool("ndjson", lander.files(lines(*texts), suffix="ndjson"))
    landed = lander.land(spool, FILTERED | {"path": "/rows", "incremental": incremental}, kind=RestTable)
    assert ([row["id"] for row in landed.rows], landed.manifest.rows_filtered) == ([0], 1)


def test_a_record_that_says_that_its_row_is_deleted_is_landed_with_a_cursor_from_before_the_window(lander):
    """Its row came with an earlier window; a source may leave the cursor as it was."""
    table = {
        "path": "/rows",
        "primary_key": ["id"],
        "write_disposition": "merge",
        "incremental": {"cursor": "at", "outside_window": "drop", "lag": "1h"},
        "deletes": {"column": "gone"},
        "columns": {"gone": {"type": "boolean"}},
    }
    moments = ("2012-06-01T00:00:00Z", "2013-01-01T05:00:00Z", "2013-01-02T00:00:00Z")
    texts = [f'{{"id": "{gone} {at}", "at": "{at}", "gone": {gone}}}' for at in moments for gone in ("true", "false")]
    spool = Spool("ndjson", lander.files(lines(*texts, '{"id": "x", "gone": true}'), suffix="ndjson"))
    landed = lander.land(spool, table, kind=RestTable)
    inside = [f"{gone} {moments[1]}" for gone in ("false", "true")]
    assert sorted(row["id"] for row in landed.rows) == [*inside[:1], f"true {moments[0]}", *inside[1:], "x"]
    assert landed.manifest.rows_filtered == 3


@pytest.mark.parametrize(
    "where",
    [
        "error((SELECT content FROM read_text('/proc/self/environ')))",
        "id IN (SELECT 1 FROM glob('/etc/*'))",
        "id IN (SELECT 1 FROM '/etc/passwd.csv')",
    ],
)
def test_a_condition_reads_no_file_of_the_worker(lander, where):
    with pytest.raises((BadDataError, ContractError)) as caught:
        lander.ndjson(lines('{"id": 1}', '{"id": 2}'), table={"where": where})
    assert "PATH=" not in str(caught.value)
