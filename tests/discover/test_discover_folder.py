"""Folders of files as `elt new` looks at them: an odd file is left out with its reason, and the others are found."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from elt_factory.config.loading import load_text
from elt_factory.core.failures import SourceNotReadyError
from elt_factory.discover.found import Guess, SourceFound
from elt_factory.discover.writing import yaml_of
from elt_factory.sources.files import discovery as look
from elt_factory.sources.files.discovery import FilesToLookAt, look_at_files

GOOD = b"id,name\n1,x\n2,y\n"


@pytest.fixture
def place(tmp_path) -> FilesToLookAt:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.csv").write_bytes(GOOD)
    return FilesToLookAt(tmp_path / "in", "**/*", {})


def found_in(place: FilesToLookAt, scratch: Path) -> SourceFound:
    (scratch / "scratch").mkdir()
    return look_at_files(place, scratch / "scratch")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.csv", b"", "empty"),
        ("blank.ndjson", b"\n \n", "empty"),
        ("packed.csv", b"\x1f\x8b\x08\x00", "packed.csv is compressed, and damaged or cut off"),
        ("binary.csv", bytes(range(256)) + bytes(100), "not csv but not text"),
        ("page.ndjson", b"<html></html>", "not ndjson but a web page"),
        ("other.parquet", b"id,name", "other.parquet is not a Parquet file"),
        ("control.csv", b"a\x01,b\n1,2\n", "sample.sample: 'a"),
        ("list.ndjson", b'[{"a": 1}]', "JSON array; ndjson needs one object per line"),
    ],
)
def test_an_odd_file_is_left_out_with_its_reason_and_the_others_are_found(place, tmp_path, name, content, why):
    (place.folder / name).write_bytes(content)
    found = found_in(place, tmp_path)
    assert [table.name for table in found.tables] == ["good"]
    [skipped] = found.skipped
    assert (skipped.name, skipped.reason[: len(why)]) == (name, why)
    assert f": {why[:20]}" in yaml_of("src", found, {})


def test_one_odd_file_among_those_of_a_period_leaves_the_others_their_table(place, tmp_path):
    for day, content in (("01", GOOD), ("02", b"a\x01,b\n1,2\n"), ("03", GOOD)):
        (place.folder / f"sales_2013-01-{day}.csv").write_bytes(content)
    found = found_in(place, tmp_path)
    assert [(table.name, table.rows) for table in found.tables] == [("good", 2), ("sales", 4)]
    assert [skipped.name for skipped in found.skipped] == ["sales_2013-01-02.csv"]


def test_files_of_a_period_that_do_not_fit_together_are_left_out_together(place, tmp_path):
    for day, content in (("01", GOOD), ("02", GOOD.upper())):
        (place.folder / f"sales_2013-01-{day}.csv").write_bytes(content)
    [skipped] = found_in(place, tmp_path).skipped
    assert skipped.name == "sales_%Y-%m-%d.csv"
    assert "differ only by case" in skipped.reason


def test_a_file_that_may_not_be_read_and_a_link_out_of_the_folder_are_left_out(place, tmp_path, monkeypatch):
    (tmp_path / "secret.csv").write_bytes(GOOD)
    (place.folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (place.folder / "closed.csv").write_bytes(GOOD)

    def is_blank(file: Path) -> bool:
        if file.name == "closed.csv":
            raise PermissionError(13, "Permission denied", str(file))
        return False

    monkeypatch.setattr(look, "is_blank", is_blank)
    found = found_in(place, tmp_path)
    assert [table.name for table in found.tables] == ["good"]
    assert {skipped.name: skipped.reason for skipped in found.skipped} == {
        "closed.csv": "cannot be read: Permission denied",
        "secret.csv": "the link points outside in",
    }


def test_a_folder_of_odd_files_alone_is_an_error_with_the_first_reason(place, tmp_path):
    (place.folder / "good.csv").write_bytes(b"")
    with pytest.raises(SourceNotReadyError, match=r"that can be read is in in: good\.csv: empty"):
        found_in(place, tmp_path)


def test_a_decimal_of_more_than_38_digits_is_no_float(place, tmp_path):
    table = pa.table({"d": pa.array([Decimal("1" * 40)], pa.decimal256(60, 0))})
    parquet.write_table(table, place.folder / "wide.parquet")
    found = found_in(place, tmp_path)
    assert [str(column.type) for table in found.tables for column in table.columns if column.name == "d"] == ["text"]


def test_a_damaged_workbook_is_left_out_with_its_reason(place, tmp_path):
    (place.folder / "broken.xlsx").write_bytes(b"PK\x03\x04 and no more")
    found = found_in(place, tmp_path)
    assert [table.name for table in found.tables] == ["good"]
    (skipped,) = found.skipped
    assert skipped.name == "broken.xlsx"
    assert "broken.xlsx is not a workbook, or damaged" in skipped.reason


def test_every_json_file_of_a_folder_becomes_a_table(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("orders", "people", "stock"):
        (tmp_path / "in" / f"{name}.json").write_text('[{"id": 1}]')
    found = found_in(FilesToLookAt(tmp_path / "in", "**/*", {}), tmp_path)
    assert ([table.name for table in found.tables], found.skipped) == (["orders", "people", "stock"], [])


@pytest.mark.parametrize(
    ("days", "first", "seen"),
    [
        (["2014-10-1", "2014-7-9", "2014-7-10"], "2014-07-09", "from 2014-7-9 to 2014-10-1 "),
        (["2014/7/9", "2014/10/1"], "2014-07-09", "from 2014/7/9 to 2014/10/1 "),
        # no start_date can be that early
        (["1871-05-04", "1872-05-04"], None, "from 1871-05-04 to 1872-05-04 "),
    ],
)
def test_the_first_day_is_one_that_a_config_can_say(place, tmp_path, days, first, seen):
    (place.folder / "good.csv").write_text("".join(["id,day\n", *(f"{n},{day}\n" for n, day in enumerate(days))]))
    found = found_in(place, tmp_path)
    assert found.first_day == first
    text = yaml_of("src", replace(found, extract={"type": Guess("files", ""), "folder": Guess("in", "")}), {})
    assert load_text(tmp_path / "src.yaml", text, tmp_path).config is not None
    assert seen in text


def test_days_with_years_of_two_digits_are_text(place, tmp_path):
    (place.folder / "good.csv").write_text("id,day,score\n1,01-02-13,6-4-2\n2,31-12-13,7-5-3\n")
    (table,) = found_in(place, tmp_path).tables
    assert {column.name: str(column.type) for column in table.columns} == {
        "id": "integer",
        "day": "text",
        "score": "text",
    }


@pytest.mark.parametrize("broken", [b'{"id": 3}TRAILER', b'{"id": 3', b"[1, 2]", b"null", b'{"id": 3, "n": "\xff"}'])
def test_a_line_that_is_not_a_record_does_not_hide_those_that_are(place, tmp_path, broken):
    (place.folder / "lines.ndjson").write_bytes(b'{"id": 1, "n": "x"}\n' + broken + b'\n{"id": 2, "n": "y"}\n')
    found = found_in(place, tmp_path)
    assert [(table.name, table.rows, len(table.columns)) for table in found.tables] == [("good", 2, 2), ("lines", 2, 2)]


def test_lines_none_of_which_is_a_record_are_left_out_with_the_reason(place, tmp_path):
    (place.folder / "lines.ndjson").write_bytes(b"1\n2\n")
    [skipped] = found_in(place, tmp_path).skipped
    assert "some lines are not JSON objects" in skipped.reason
