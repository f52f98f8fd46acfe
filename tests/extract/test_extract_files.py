from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extract_support import WEEK, read_request
from hypothesis import example, given
from hypothesis import strategies as st

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadDataError, BadRequestError, SourceNotReadyError
from elt_factory.core.window import Window
from elt_factory.sources.files import fetching
from elt_factory.sources.files.local import LocalStore, source_folder
from elt_factory.sources.files.matching import matching_files
from elt_factory.sources.files.periods import expand_pattern
from elt_factory.sources.read import read

NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"
ZONES = [
    "UTC",
    NEW_YORK,
    "America/St_Johns",
    LORD_HOWE,
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Casablanca",
]


def naive(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)


def window(start: str, end: str, zone: str = "UTC") -> Window:
    ends = [datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) for text in (start, end)]
    return Window(*ends)


@pytest.mark.parametrize(
    ("pattern", "covered", "zone", "expected"),
    [
        ("%Y-%m.csv", window("2013-01-31", "2013-02-01"), "UTC", ["2013-01.csv"]),
        ("%Y-%m.csv", window("2013-01-31", "2013-02-01T00:00:01"), "UTC", ["2013-01.csv", "2013-02.csv"]),
        ("%Y-%m.csv", window("2013-02-01", "2013-02-02"), NEW_YORK, ["2013-01.csv", "2013-02.csv"]),
        ("%Y%m%d", window("2012-12-31", "2013-01-02", NEW_YORK), NEW_YORK, ["20121231", "20130101"]),
        ("%Y/%H", window("2013-03-10T01:00", "2013-03-10T04:00", NEW_YORK), NEW_YORK, ["2013/01", "2013/03"]),
        ("%d", window("2013-01-31", "2013-03-02"), "UTC", [f"{d:02d}" for d in [31, *range(1, 29)]]),
        ("%Y", window("2012-06-01", "2014-01-01"), "UTC", ["2012", "2013"]),
        ("100%%/*.csv", WEEK, "UTC", ["100%/*.csv"]),
        ("%%Y_%Y", WEEK, "UTC", ["%Y_2013"]),
        ("plain.csv", WEEK, "UTC", ["plain.csv"]),
        ("%Y%m%d", window("2011-12-29", "2012-01-01", "Pacific/Apia"), "Pacific/Apia", ["20111229", "20111231"]),
        (
            "%H",
            window("2013-04-07T01:00", "2013-04-07T03:00", "Australia/Lord_Howe"),
            LORD_HOWE,
            ["01", "02"],
        ),
    ],
)
def test_a_pattern_stands_once_for_every_period_that_the_window_touches(pattern, covered, zone, expected):
    assert list(expand_pattern(pattern, covered, zone)) == expected


@pytest.mark.parametrize("pattern", ["%y.csv", "a%", "%Y-%j", "% Y"])
def test_an_unknown_directive_is_an_error(pattern):
    with pytest.raises(ValueError, match=r"use %Y %m %d %H"):
        expand_pattern(pattern, WEEK, "UTC")


def by_the_minute(pattern: str, covered: Window, zone: str) -> list[str]:
    """Every name that some minute of the window has, found the slow way."""
    found, moment = {}, covered.start.astimezone(UTC)
    while moment < covered.end:
        found[moment.astimezone(ZoneInfo(zone)).strftime(pattern)] = None
        moment = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return list(found)


@given(
    start=st.datetimes(naive(1975, 1, 1), naive(2035, 1, 1)),
    seconds=st.integers(1, 3 * 86400),
    zone=st.sampled_from(ZONES),
    pattern=st.sampled_from(["%Y%m%d%H", "%Y%m%d", "%Y-%m", "%Y", "%H", "%m/%d"]),
)
@example(naive(2006, 10, 29, 2, 30), 7200, "America/St_Johns", "%Y%m%d%H")
@example(naive(2006, 4, 2, 3, 0), 7200, "America/St_Johns", "%Y%m%d%H")
@example(naive(2011, 12, 29, 9), 3 * 86400, "Pacific/Apia", "%Y%m%d")
@example(naive(2013, 4, 6, 14, 0), 86400, "Australia/Lord_Howe", "%Y%m%d%H")
def test_expansion_covers_the_window_and_nothing_else(start, seconds, zone, pattern):
    begin = start.replace(tzinfo=UTC)
    covered = Window(begin, begin + timedelta(seconds=seconds))
    assert list(expand_pattern(pattern, covered, zone)) == by_the_minute(pattern, covered, zone)


@given(st.datetimes(naive(1990, 1, 1), naive(2030, 1, 1)), st.lists(st.integers(1, 10_000), min_size=2, max_size=4))
def test_neighbouring_windows_cover_what_their_union_covers(start, minutes):
    begin, together = start.replace(tzinfo=UTC), []
    moment = begin
    for width in minutes:
        following = moment + timedelta(minutes=width)
        together += expand_pattern("%Y%m%d%H", Window(moment, following), NEW_YORK)
        moment = following
    assert tuple(dict.fromkeys(together)) == expand_pattern("%Y%m%d%H", Window(begin, moment), NEW_YORK)


def put(folder, *names, text="a\n1\n"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read_files(folder, path, extract=None, connection=None, log=lambda _: None, **table):
    config = {"type": "files", **(extract or {"folder": "in"})}
    covered = window("2013-01-30", "2013-02-02")
    return read(read_request(folder, config, {"path": path, **table}, connection, covered, log=log))


def test_files_are_read_where_they_are_sorted_and_each_once(tmp_path):
    put(tmp_path / "in", "w_2013-01.csv", "w_2013-02.csv", "w_2013-03.csv")
    (tmp_path / "in" / "w_2013-02_again.csv").symlink_to("w_2013-02.csv")
    spool = read_files(tmp_path, "w_%Y-%m*.csv", format={"type": "csv", "delimiter": ";", "null_values": ["NA"]})
    assert spool.files == (tmp_path / "in" / "w_2013-01.csv", tmp_path / "in" / "w_2013-02.csv")
    assert (spool.format, spool.rows_read) == ("csv", None)
    assert (spool.csv.delimiter, spool.csv.null_values) == (";", ("NA",))


def test_several_patterns_are_one_table_and_each_file_is_read_once(tmp_path):
    put(tmp_path / "in", "north_2013-01.csv", "north_2013-02.csv", "south.csv", "other.csv")
    paths = ["south.csv", "north_%Y-%m.csv", "s*.csv"]
    spool = read_files(tmp_path, paths)
    assert [file.name for file in spool.files] == ["north_2013-01.csv", "north_2013-02.csv", "south.csv"]
    with pytest.raises(SourceNotReadyError, match=r'no file matches "west\.csv"'):
        read_files(tmp_path, [*paths, "west.csv"])


def test_every_period_needs_a_file(tmp_path):
    put(tmp_path / "in", "w_2013-01.csv", "w_2013-12.csv")
    with pytest.raises(SourceNotReadyError) as caught:
        read_files(tmp_path, "w_%Y-%m.csv")
    told = f'src.things: no file matches "w_2013-02.csv" in {tmp_path / "in"}; did you mean "w_2013-'
    assert str(caught.value).startswith(told)


def test_a_missing_folder_names_the_near_one(tmp_path):
    (tmp_path / "incoming").mkdir()
    with pytest.raises(SourceNotReadyError, match=r'incomming does not exist; did you mean "incoming"\?'):
        read_files(tmp_path, "*.csv", {"folder": "incomming"})


def test_a_pattern_without_periods_that_matches_nothing_is_not_ready(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceNotReadyError, match="the folder is empty"):
        read_files(tmp_path, "*.csv")


def test_a_crowded_folder_makes_no_endless_message(tmp_path):
    put(tmp_path / "in", *(f"other-{n}.txt" for n in range(500)))
    with pytest.raises(SourceNotReadyError) as caught:
        read_files(tmp_path, "*.csv")
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


def test_globs_reach_into_subfolders_and_folders_are_no_files(tmp_path):
    put(tmp_path / "in", "a/x.csv", "a/b/y.csv", "z.csv")
    (tmp_path / "in" / "dir.csv").mkdir()
    assert [file.name for file in read_files(tmp_path, "**/*.csv").files] == ["y.csv", "x.csv", "z.csv"]


@pytest.mark.parametrize("path", ["../secret.csv", "a/../../secret.csv", "/etc/*", "**/../../*.csv"])
def test_a_pattern_that_leaves_the_folder_is_refused(tmp_path, path):
    put(tmp_path, "in/a/x.csv", "secret.csv")
    with pytest.raises(BadRequestError, match="points outside"):
        matching_files(LocalStore(tmp_path / "in"), path, WEEK, "UTC")


@pytest.mark.parametrize("path", ["link.csv", "dir/*.csv"])
def test_a_symlink_that_leaves_the_folder_is_refused(tmp_path, path):
    put(tmp_path, "out/secret.csv", "in/x.csv")
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "out" / "secret.csv")
    (tmp_path / "in" / "dir").symlink_to(tmp_path / "out")
    with pytest.raises(BadRequestError, match="points outside the folder"):
        read_files(tmp_path, path)


@pytest.mark.parametrize("path", ["a**b.csv", "."])
def test_an_odd_pattern_is_a_bad_request_or_matches_nothing(tmp_path, path):
    put(tmp_path, "in/x.csv")
    with pytest.raises((BadRequestError, SourceNotReadyError)):
        read_files(tmp_path, path)


def test_the_folder_is_the_connections_path_then_folder_below_the_project(tmp_path):
    fs = Connection("files", "fs", extra={"path": "drop"})
    assert source_folder(fs, "in", tmp_path) == tmp_path / "drop" / "in"
    assert source_folder(fs, None, tmp_path) == tmp_path / "drop"
    assert source_folder(None, "in", tmp_path) == tmp_path / "in"
    absolute = Connection("files", "fs", extra={"path": "/data"})
    assert str(source_folder(absolute, "in", tmp_path)) == "/data/in"


@pytest.mark.parametrize("folder", ["..", "/etc", "a/../../b"])
def test_a_folder_that_leaves_the_connections_path_is_refused(tmp_path, folder):
    with pytest.raises(BadRequestError, match="points outside"):
        source_folder(None, folder, tmp_path)


def test_a_folder_that_is_a_link_itself_is_fine(tmp_path):
    put(tmp_path, "volume/x.csv")
    (tmp_path / "in").symlink_to(tmp_path / "volume")
    assert read_files(tmp_path, "x.csv").files == (tmp_path / "volume" / "x.csv",)


@pytest.mark.parametrize("nothing", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_an_empty_file_among_others_is_reported_and_alone_it_is_an_error(tmp_path, kind, nothing):
    put(tmp_path / "in", f"b.{kind}", text=nothing)
    with pytest.raises(BadDataError, match=rf"src\.things: nothing to load: every file is empty: b\.{kind}"):
        read_files(tmp_path, f"*.{kind}", format={"type": kind})
    put(tmp_path / "in", f"a.{kind}", text={"csv": "a\n1\n", "ndjson": '{"a":1}\n'}[kind])
    told = []
    spool = read_files(tmp_path, f"*.{kind}", format={"type": kind}, log=told.append)
    assert [file.name for file in spool.files] == [f"a.{kind}"]
    assert [source.name for source in spool.sources] == [f"a.{kind}", f"b.{kind}"]
    assert told[0] == f"src.things: 1 empty file(s) without records: b.{kind}"


def test_a_parquet_file_without_a_byte_is_an_empty_file(tmp_path):
    put(tmp_path / "in", "b.parquet", text="")
    pq.write_table(pa.table({"n": [1]}), tmp_path / "in" / "a.parquet")
    spool = read_files(tmp_path, "*.parquet", format={"type": "parquet"})
    assert (spool.rows_read, [file.name for file in spool.files]) == (1, ["a.parquet"])


@pytest.mark.parametrize(
    ("form", "content", "what"),
    [
        ("csv", gzip.compress(gzip.compress(b"a\n1\n", mtime=0), mtime=0), r"compressed \(gzip\)"),
        ("csv", b"PAR1\x15\x04\x15\x1e\x15\x22L", "a Parquet file: write format: {type: parquet}"),
        ("csv", b"\n<!DOCTYPE html>\n<p>404, not found</p>\n", "a web page"),
        ("ndjson", b"\xef\xbb\xbf<?xml version='1.0'?>", "an XML document"),
        ("csv", b'{"a": 1, "b": 2}\n{"a": 1, "b": 2}\n', "JSON: write format: {type: ndjson}"),
        ("csv", b'[\n{"a": 1}\n]\n', "JSON: write format: {type: json}"),
        ("csv", "a,b\n1,2\n".encode("utf-16-le"), "not text, or UTF-16 without a byte order mark"),
    ],
)
def test_a_file_of_another_kind_is_an_error_that_says_what_it_is(tmp_path, form, content, what):
    put(tmp_path / "in", "x")
    (tmp_path / "in" / "x").write_bytes(content)
    with pytest.raises(BadDataError, match=rf"src\.things: x is not {form} but {what}"):
        read_files(tmp_path, "x", format={"type": form})


def test_a_file_that_may_not_be_read_is_an_error_that_names_it(tmp_path, monkeypatch):
    put(tmp_path / "in", "a.csv")

    def refused(file):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(fetching, "content_hash", refused)
    with pytest.raises(AccessDeniedError, match=r"src\.things: cannot read .*a\.csv: Permission denied"):
        read_files(tmp_path, "a.csv")


def test_ndjson_lines_are_counted_without_the_blank_ones(tmp_path):
    put(tmp_path / "in", "a.ndjson", text='{"a":1}\n\n{"a":2}\r\n  \n{"a":3}')
    spool = read_files(tmp_path, "*.ndjson", format={"type": "ndjson"})
    assert (spool.format, spool.rows_read, len(spool.files)) == ("ndjson", 3, 1)


@pytest.mark.parametrize(
    "text", ['[{"a":1},{"a":2}]', '[\n{"a":1},\n{"a":2}\n]\n', '\ufeff\n [{"a":1},\n{"a":2}]', "[]\n"]
)
def test_a_json_array_is_no_file_of_lines(tmp_path, text):
    put(tmp_path / "in", "a.ndjson", text=text)
    with pytest.raises(BadDataError, match=r"a\.ndjson line 1: the file is a JSON array"):
        read_files(tmp_path, "*.ndjson", format={"type": "ndjson"})


def test_a_line_that_is_an_array_among_others_is_left_to_the_contract(tmp_path):
    put(tmp_path / "in", "a.ndjson", text='[1]\n{"a":1}\n')
    assert read_files(tmp_path, "*.ndjson", format={"type": "ndjson"}).rows_read == 2


def test_hidden_files_are_matched_only_by_a_pattern_that_says_so(tmp_path):
    put(tmp_path / "in", "x.csv", ".x.csv", "._x.csv", ".sync/y.csv", "sub/.z.csv", "sub/z.csv")
    assert [file.name for file in read_files(tmp_path, "*.csv").files] == ["x.csv"]
    assert [file.name for file in read_files(tmp_path, "**/*.csv").files] == ["z.csv", "x.csv"]
    assert [file.name for file in read_files(tmp_path, ".x*.csv").files] == [".x.csv"]
    assert [file.name for file in read_files(tmp_path, ".sync/*.csv").files] == ["y.csv"]


def test_a_pattern_that_is_a_files_name_and_matches_another_is_refused(tmp_path):
    put(tmp_path / "in", "data[1].csv", "data1.csv")
    with pytest.raises(BadRequestError, match=r'as a pattern it matches data1\.csv; hint: write "data\[\[\]1\]\.csv"'):
        read_files(tmp_path, "data[1].csv")
    assert [file.name for file in read_files(tmp_path, "data[[]1].csv").files] == ["data[1].csv"]


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("rows", [3, 100_000])
def test_a_parquet_page_that_is_not_what_its_checksum_says_is_an_error(tmp_path, dictionary, rows):
    """DuckDB does not look at checksums: it loads another value."""
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "a.parquet"
    table = pa.table({"n": list(range(rows)), "t": ["here"] * rows})
    pq.write_table(table, file, write_page_checksum=True, compression="none", use_dictionary=dictionary)
    assert read_files(tmp_path, "*.parquet", format={"type": "parquet"}).rows_read == rows

    content = file.read_bytes()
    at = content.index(b"\x04\0\0\0here") + 4  # after its length: the same text is in the statistics
    file.write_bytes(content[:at] + b"hare" + content[at + 4 :])
    with pytest.raises(BadDataError, match=r"a\.parquet is damaged, its bytes are not what was written"):
        read_files(tmp_path, "*.parquet", format={"type": "parquet"})


def test_parquet_rows_are_counted_from_the_metadata(tmp_path):
    (tmp_path / "in").mkdir()
    for rows in (2, 5):
        pq.write_table(pa.table({"n": list(range(rows))}), tmp_path / "in" / f"{rows}.parquet")
    spool = read_files(tmp_path, "*.parquet", format={"type": "parquet"})
    assert (spool.format, spool.rows_read, len(spool.files)) == ("parquet", 7, 2)
    put(tmp_path / "in", "broken.parquet", text="PAR1 no")
    with pytest.raises(BadDataError, match=r"broken\.parquet is not a Parquet file"):
        read_files(tmp_path, "*.parquet", format={"type": "parquet"})


def test_the_sensor_sees_the_files_that_the_reader_reads(tmp_path):
    put(tmp_path / "in", "w_2013-01.csv")
    found = matching_files(LocalStore(tmp_path / "in"), "w_%Y-%m.csv", window("2013-01-30", "2013-02-01"), "UTC")
    assert [one.name for one in found] == ["w_2013-01.csv"]


def test_a_name_that_is_not_text_is_an_error_that_shows_it(tmp_path):
    put(tmp_path, "in/a.csv")
    Path(os.fsdecode(os.fsencode(str(tmp_path / "in")) + b"/caf\xe9.csv")).write_text("a\n1\n")
    with pytest.raises(BadRequestError, match=r"the name of the file caf\\xe9\.csv is not UTF-8; hint: rename it"):
        read_files(tmp_path, "*.csv")
    assert read_files(tmp_path, "a.csv").sources[0].name == "a.csv"
