"""Files as a source delivers them, read and landed."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pytest
from landing_support import WINDOW, Lander
from pyarrow import parquet

from elt_factory.core.failures import AccessDeniedError, ContractError, SourceNotReadyError, SourceUnavailableError
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.landing import land as landing
from elt_factory.sources.files import fetching
from elt_factory.sources.files.model import FilesSource, FilesTable
from elt_factory.sources.read import read


def put(folder: Path, *names: str, text: str = "a\n1\n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def read_files(
    project: Path, path: str, folder: str = "in", log: Callable[[str], None] = lambda _: None, **table: Any
) -> Spool:
    config = {"name": "src", "extract": {"type": "files", "folder": folder}, "tables": {"tab": {"path": path, **table}}}
    workdir = project / "work"
    workdir.mkdir(exist_ok=True)
    source = FilesSource.model_validate(config)
    return read(ReadRequest(source, "tab", WINDOW, "L1", None, workdir, project, log))


@pytest.mark.parametrize("declared", ["utf-8", "utf-16"])
@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("quoted", ["id", '"id"'])
def test_utf_16_of_either_byte_order_is_read_by_its_mark(tmp_path, declared, order, quoted):
    put(tmp_path / "in")
    (tmp_path / "in" / "a.csv").write_bytes(f"\ufeff{quoted},n\r\n1,\u00e9\U0001f600\r\n2,x\r\n".encode(order))
    spool = read_files(tmp_path, "a.csv", format={"type": "csv", "encoding": declared})
    assert spool.files[0].name == "a.csv"
    landed = Lander(tmp_path / "land").land(spool)
    assert landed.rows == [{"id": 1, "n": "\u00e9\U0001f600"}, {"id": 2, "n": "x"}]


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read_in_the_order_that_its_zeros_say(tmp_path, order):
    put(tmp_path / "in")
    (tmp_path / "in" / "a.csv").write_bytes("id,n\n1,x\n".encode(order))
    spool = read_files(tmp_path, "a.csv", format={"type": "csv", "encoding": "utf-16"})
    assert Lander(tmp_path / "land").land(spool).rows == [{"id": 1, "n": "x"}]


def test_what_is_no_character_in_utf_16_rejects_its_line(tmp_path):
    put(tmp_path / "in")
    broken = "\ufeffid,n\n1,x\n2,".encode("utf-16-le") + b"\x00\xd8" + "\n3,y\n".encode("utf-16-le")
    (tmp_path / "in" / "a.csv").write_bytes(broken)
    landed = Lander(tmp_path / "land").land(read_files(tmp_path, "a.csv"))
    assert landed.column("id") == [1, 3]
    assert landed.reasons[0].startswith("a.csv line 3: Invalid unicode")


def test_ndjson_in_utf_16_is_read_by_its_mark(tmp_path):
    put(tmp_path / "in")
    (tmp_path / "in" / "a.ndjson").write_bytes('\ufeff{"a": 1}\n{"a": 2}\n'.encode("utf-16-be"))
    spool = read_files(tmp_path, "a.ndjson", format={"type": "ndjson"})
    assert (spool.rows_read, Lander(tmp_path / "land").land(spool).column("a")) == (2, [1, 2])


@pytest.mark.parametrize("name", ["data[1].csv", "what?.csv", "all*.csv", "[a]/x[!b]*?.csv"])
def test_a_file_whose_name_has_signs_of_a_pattern_is_found_as_written_and_escaped(tmp_path, name):
    put(tmp_path / "in", name, text="a\n5\n")
    for path in (name, glob.escape(name)):
        spool = read_files(tmp_path, path)
        assert spool.files == (tmp_path / "in" / name,)
        assert Lander(tmp_path / f"land{path == name}").land(spool).rows == [{"a": 5}]


def test_a_folder_whose_name_has_signs_of_a_pattern_is_that_very_folder(tmp_path):
    put(tmp_path, "in[1]*/x.csv", "in1/x.csv", text="a\n5\n")
    put(tmp_path, "in1/x.csv", text="a\n6\n")
    spool = read_files(tmp_path, "*.csv", "in[1]*")
    assert Lander(tmp_path / "land").land(spool).rows == [{"a": 5}]


@pytest.mark.parametrize(("form", "text"), [("csv", "a\n5\n"), ("ndjson", '{"a": 5}\n')])
def test_the_end_of_a_name_says_nothing_of_what_a_file_holds(tmp_path, form, text):
    put(tmp_path, "in/a.gz", text=text)
    assert Lander(tmp_path / "land").land(read_files(tmp_path, "a.gz", format={"type": form})).rows == [{"a": 5}]


def write_same_size(file: Path) -> None:
    """Write other bytes, and set the times back that a program can set."""
    before = file.stat()
    file.write_text("a\n2\n", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_file(file: Path) -> None:
    other = file.with_name(".other")
    other.write_bytes(file.read_bytes())
    other.replace(file)


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": write_same_size,
    "grown": lambda file: file.write_text("a\n1\n2\n", encoding="utf-8"),
    "replaced": replace_file,
    "removed": Path.unlink,
    "broken": lambda file: file.write_bytes(b'a\n"'),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_that_changes_while_it_is_read_fails_the_try_and_lands_nothing(tmp_path, monkeypatch, change, when):
    put(tmp_path, "in/a.csv", "in/b.csv")
    spool, stage = read_files(tmp_path, "*.csv"), landing._stage

    def staged_while_it_changes(*arguments: Any) -> Any:
        if when == "before":
            CHANGES[change](tmp_path / "in" / "b.csv")
            return stage(*arguments)
        found = stage(*arguments)
        CHANGES[change](tmp_path / "in" / "b.csv")
        return found

    monkeypatch.setattr(landing, "_stage", staged_while_it_changes)
    lander = Lander(tmp_path / "land")
    with pytest.raises(SourceNotReadyError, match=r"b\.csv was changed or removed while it was read; the next retry"):
        lander.land(spool)
    assert not lander.folder.exists()


def test_a_file_that_is_removed_while_files_are_looked_for_fails_the_try(tmp_path, monkeypatch):
    put(tmp_path, "in/a.csv")
    gone = "elt_factory.sources.files.fetching.content_hash"
    monkeypatch.setattr(gone, lambda file: file.with_name("gone").read_text())
    with pytest.raises(SourceNotReadyError, match=r"a\.csv was removed while it was read"):
        read_files(tmp_path, "*.csv")


def test_a_large_file_is_hashed_while_it_is_landed(tmp_path, monkeypatch):
    put(tmp_path, "in/a.csv", "in/b.csv")
    is_staged, stage = Event(), landing._stage

    def hashed(file: Path) -> str:
        assert is_staged.wait(20)
        return f"hash of {file.name}"

    def staged(*arguments: Any) -> Any:
        found = stage(*arguments)
        is_staged.set()
        return found

    monkeypatch.setattr(fetching, "_LARGE", 1)
    monkeypatch.setattr(fetching, "content_hash", hashed)
    monkeypatch.setattr(landing, "_stage", staged)
    landed = Lander(tmp_path / "land").land(read_files(tmp_path, "*.csv"))
    assert landed.manifest.ledger
    noted = {row["name"]: row["content_hash"] for row in landed._read(landed.manifest.ledger.path)}
    assert noted == {"a.csv": "hash of a.csv", "b.csv": "hash of b.csv"}


def test_a_large_file_that_is_removed_before_it_is_hashed_fails_the_try(tmp_path, monkeypatch):
    put(tmp_path, "in/a.csv")
    monkeypatch.setattr(fetching, "_LARGE", 1)
    monkeypatch.setattr(fetching, "content_hash", lambda file: file.with_name("gone").read_text())
    lander = Lander(tmp_path / "land")
    with pytest.raises(SourceNotReadyError, match=r"a\.csv was removed while it was read"):
        lander.land(read_files(tmp_path, "*.csv"))
    assert not lander.folder.exists()


@pytest.mark.parametrize(
    ("number", "kind", "told"),
    [(13, AccessDeniedError, "Permission denied"), (5, SourceUnavailableError, "Input/output error")],
)
def test_a_large_file_that_cannot_be_read_any_more_when_it_is_hashed_is_named(
    tmp_path, monkeypatch, number, kind, told
):
    def denied(file: Path) -> str:
        raise OSError(number, told, str(file))

    put(tmp_path, "in/a.csv")
    monkeypatch.setattr(fetching, "_LARGE", 1)
    monkeypatch.setattr(fetching, "content_hash", denied)
    with pytest.raises(kind, match=rf"^src\.tab: cannot read .*a\.csv: {told}$"):
        Lander(tmp_path / "land").land(read_files(tmp_path, "*.csv"))


def test_large_files_of_a_landing_that_fails_are_not_hashed_any_more(tmp_path, monkeypatch):
    put(tmp_path, "in/a.csv", "in/b.csv")
    put(tmp_path, "in/c.csv", text="A,a\n1,2\n")
    begun, may_end = Event(), Event()

    def hashed(file: Path) -> str:
        begun.set()
        assert may_end.wait(20)
        return file.name

    monkeypatch.setattr(fetching, "_LARGE", 1)
    monkeypatch.setattr(fetching, "content_hash", hashed)
    spool = read_files(tmp_path, "*.csv")
    assert begun.wait(20)
    with pytest.raises(ContractError):
        Lander(tmp_path / "land").land(spool)
    may_end.set()
    first, *others = spool.sources
    assert first.hash == "a.csv"
    assert all(isinstance(one.hashed, Future) and one.hashed.cancelled() for one in others)


@pytest.mark.parametrize("name", ["_file", "_FILE"])
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_column_for_the_files_name_that_the_files_have_too_is_an_error_that_says_so(tmp_path, form, name):
    put(tmp_path, "in/a.csv", text=f"id,{name}\n1,x\n")
    put(tmp_path, "in/a.ndjson", text=f'{{"id": 1, "{name}": "x"}}\n')
    parquet.write_table(pa.table({"id": [1], name: ["x"]}), tmp_path / "in" / "a.parquet")
    options = {"path": f"a.{form}", "format": {"type": form}}
    spool = read_files(tmp_path, **options)
    assert Lander(tmp_path / "kept").land(spool).rows == [{"id": 1, name: "x"}]
    with pytest.raises(ContractError, match="the files already have the column _file; choose another name"):
        Lander(tmp_path / "named").land(spool, {**options, "file_column": "_file"}, kind=FilesTable)
