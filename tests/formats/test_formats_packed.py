"""Compressed files are read like others, known by their first bytes whatever they are called."""

import bz2
import gzip
import io
import lzma
import subprocess
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.failures import BadDataError
from elt_factory.formats.kind import Delivered
from elt_factory.formats.packed import unpacked
from elt_factory.sources.files.discovery import FilesToLookAt, look_at_files
from elt_factory.testing.loads import WEEK, Line, source_of

CSV = b"id,name\n1,a\n2,b\n"


def zipped(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


PACKED = {
    "gzip": gzip.compress,
    "two gzips": lambda content: gzip.compress(content[:12]) + gzip.compress(content[12:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
    # pzstd begins with a frame that says how long the next one is
    "pzstd": lambda content: b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + PACKED["zstd"](content),
    "zip": lambda content: zipped(**{"orders.csv": content}),
    "zip of a Mac": lambda content: zipped(**{"orders.csv": content, "__MACOSX/._orders.csv": b"\0\1"}),
}


@pytest.fixture
def line(tmp_path):
    """A line whose source is the files of a folder."""

    def of(form="csv", **files):
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        table = {"path": "*", "format": {"type": form}, "file_column": "came_from"}
        config = {"name": "src", "extract": {"type": "files", "folder": "in"}, "tables": {"tab": table}}
        return Line(source_of(config, tmp_path), None, tmp_path, lambda _: None)

    return of


@pytest.mark.parametrize("way", PACKED)
def test_a_compressed_file_is_read_whatever_it_is_called(line, way):
    one = line(**{"orders.txt": PACKED[way](CSV), "plain.csv": b"id,name\n3,c\n"})
    assert one.load(WEEK).rows_loaded == 3
    assert sorted((row["id"], row["came_from"]) for row in one.rows()) == [
        (1, "orders.txt"),
        (2, "orders.txt"),
        (3, "plain.csv"),
    ]


@pytest.mark.services
def test_what_the_gzip_and_xz_programs_write_is_read(line, tmp_path):
    for program in ("gzip", "xz", "bzip2"):
        plain = tmp_path / program
        plain.write_bytes(CSV)
        subprocess.run([program, str(plain)], check=True)
    files = {f"{file.name}": file.read_bytes() for file in tmp_path.glob("*z*") if file.is_file()}
    assert line(**files).load(WEEK).rows_loaded == 6


def test_a_compressed_parquet_file_is_read_too(line):
    target = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2]}), target)
    assert line("parquet", **{"a.parquet.gz": gzip.compress(target.getvalue())}).load(WEEK).rows_loaded == 2


@pytest.mark.parametrize("way", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_a_file_that_was_cut_off_is_an_error_that_names_it(line, way):
    packed = PACKED[way](CSV * 1000)
    with pytest.raises(BadDataError, match=r"src\.tab: orders\.csv is compressed, and damaged or cut off"):
        line(**{"orders.csv": packed[: len(packed) - 9]}).load(WEEK)


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (
            zipped(**{"a.csv": CSV, "b.csv": CSV}),
            r"a zip archive of 2 files: a\.csv, b\.csv; hint: write which of",
        ),
        (zipped(), "a zip archive of 0 files; hint: write which of them"),
        (zipped(**{"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "an Office document, such as an Excel workb"),
    ],
)
def test_an_archive_that_is_not_one_file_says_what_it_is(line, archive, message):
    with pytest.raises(BadDataError, match=rf"src\.tab: orders\.zip is {message}"):
        line(**{"orders.zip": archive}).load(WEEK)


def test_an_empty_file_in_a_compressed_one_is_empty(line):
    one = line(**{"a.csv.gz": gzip.compress(b"\n"), "b.csv": CSV})
    assert one.load(WEEK).rows_loaded == 2


def test_elt_new_finds_compressed_files_by_the_name_within(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "orders_2013-01.csv.gz").write_bytes(gzip.compress(b"id;name\n1;a\n"))
    (folder / "orders_2013-02.csv.gz").write_bytes(gzip.compress(b"id;name\n2;b\n"))
    (folder / "events.ndjson.zst").write_bytes(PACKED["zstd"](b'{"a": 1}\n'))
    (folder / "cut.csv.gz").write_bytes(gzip.compress(CSV)[:-9])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = look_at_files(FilesToLookAt(folder, "*", {}), scratch)
    tables = {table.name: table for table in found.tables}
    assert set(tables) == {"orders", "events"}
    assert "orders_%Y-%m.csv.gz" in tables["orders"].lines["path"].value + tables["orders"].lines["path"].why
    assert 'delimiter: ";"' in tables["orders"].lines["format"].value
    [skipped] = found.skipped
    assert (skipped.name, "cut off" in skipped.reason) == ("cut.csv.gz", True)


def test_of_a_large_compressed_file_elt_new_reads_the_beginning_by_whole_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("elt_factory.sources.files.discovery._WHOLE_BYTES", 1000)
    monkeypatch.setattr("elt_factory.sources.files.discovery._HEAD_BYTES", 100)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "long.csv.gz").write_bytes(gzip.compress(b"id,name\n" + b"12345,abcde\n" * 1000))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (table,) = look_at_files(FilesToLookAt(folder, "*", {}), scratch).tables
    assert [column.type.name for column in table.columns] == ["integer", "text"]


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_members_one_after_the_other_are_read_and_a_damaged_one_is_an_error(tmp_path, pack):
    first, second = pack(b"a,b\n1,2\n"), pack(b"3,4\n")
    for content, found in ((first + second, b"a,b\n1,2\n3,4\n"), (first + b"\0" + second[1:], None)):
        file = tmp_path / f"{len(content)}-{found is None}"
        file.write_bytes(content)
        if found is not None:
            assert _read(file, tmp_path / "whole") == found
        else:
            with pytest.raises(BadDataError, match="compressed, and damaged or cut off"):
                _read(file, tmp_path / "damaged")


def _read(file, folder):
    return unpacked(Delivered(file.name, file), FORMATS.get("csv"), folder).path.read_bytes()
