"""What every format of files must do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from elt_factory.config.models.formats import FORMATS
from elt_factory.core.failures import BadDataError
from elt_factory.describe.reference import reference
from elt_factory.describe.schema import config_schema
from elt_factory.formats.kind import Delivered, FormatKind
from elt_factory.sources.files.discovery import FilesToLookAt, look_at_files
from elt_factory.testing.loads import WEEK, Line, source_of

_FOLDER, _NAME = "in", "first"


class FormatSuite:
    """A format of files, shown by the bytes of one file.

    Subclass it, and set what is written under `format`, the bytes, the rows that they are, and how many records of
    theirs are rejected. `unreadable` are bytes that no record can be read of; None where there are none. `columns` are
    those of the table, `ending` is that of the file's name, `sample` the bytes for `elt new` where it leaves
    out a file with such rejects.
    """

    form: ClassVar[Mapping[str, Any]]
    content: ClassVar[bytes]
    rows: ClassVar[list[dict[str, Any]]]
    rejected: ClassVar[int] = 0
    unreadable: ClassVar[bytes | None] = None
    columns: ClassVar[Mapping[str, Any]] = {}
    ending: ClassVar[str] = ".dat"
    sample: ClassVar[bytes | None] = None

    @property
    def kind(self) -> FormatKind:
        """The kind that is tested."""
        found: FormatKind = FORMATS.get(self.form["type"])
        return found

    @pytest.fixture
    def told(self) -> list[str]:
        """Return the lines that are logged."""
        return []

    @pytest.fixture
    def line(self, tmp_path: Path, told: list[str]) -> Line:
        """Return a source whose folder has the file."""
        self.put(tmp_path, _NAME, self.content)
        table = {"path": f"*{self.ending}", "format": dict(self.form), "columns": dict(self.columns)}
        config = {
            "name": "src",
            "extract": {"type": "files", "folder": _FOLDER},
            "tables": {"tab": {**table, "file_column": "came_from"}},
        }
        return Line(source_of(config, tmp_path), None, tmp_path, told.append)

    def put(self, folder: Path, name: str, content: bytes) -> Path:
        """Write a file into the folder of the source."""
        file = folder / _FOLDER / f"{name}{self.ending}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        return file

    def came_from(self, *names: str) -> list[dict[str, Any]]:
        """Return the rows of files of these names."""
        return [{**row, "came_from": f"{name}{self.ending}"} for name in names for row in self.rows]

    def test_it_is_in_the_schema_and_in_the_reference(self) -> None:
        model = self.kind.model.__name__
        choice = config_schema()["definitions"]["FilesTable"]["properties"]["format"]["oneOf"]
        assert {"$ref": f"#/definitions/{model}"} in choice
        assert f"### {model}\n" in reference()

    def test_every_record_is_loaded_or_rejected(self, line: Line) -> None:
        report = line.load(WEEK)
        assert (report.rows_loaded, report.rows_rejected) == (len(self.rows), self.rejected)
        assert report.rows_read == len(self.rows) + self.rejected
        assert _sorted(line.rows()) == _sorted(self.came_from(_NAME))

    def test_a_reject_names_its_file_and_keeps_what_was_there(self, line: Line) -> None:
        if not self.rejected:
            pytest.skip("no record of the example is bad")
        line.load(WEEK)
        with line.warehouse() as warehouse:
            rejects = warehouse.query("SELECT reason, record FROM _elt.rejects").rows
        assert len(rejects) == self.rejected
        assert all(_NAME in reason and record for reason, record in rejects)

    def test_the_rows_of_two_files_say_from_which_they_came(self, line: Line, tmp_path: Path) -> None:
        self.put(tmp_path, "second", self.content)
        line.load(WEEK)
        assert _sorted(line.rows()) == _sorted(self.came_from(_NAME, "second"))

    def test_a_file_is_loaded_once_and_a_new_one_later(self, line: Line, tmp_path: Path) -> None:
        line.load(WEEK)
        self.put(tmp_path, "second", self.content)
        report = line.load(_NEXT_WEEK)
        assert report.rows_loaded == len(self.rows)
        assert _sorted(line.rows()) == _sorted(self.came_from(_NAME, "second"))

    def test_an_empty_file_next_to_others_is_said_and_no_error(
        self, line: Line, told: list[str], tmp_path: Path
    ) -> None:
        self.put(tmp_path, "nothing", b"")
        assert line.load(WEEK).rows_loaded == len(self.rows)
        assert any("nothing" in text and "empty" in text for text in told)

    def test_a_file_that_cannot_be_read_is_an_error_with_its_name(self, line: Line, tmp_path: Path) -> None:
        if self.unreadable is None:
            pytest.skip("any bytes are records")
        self.put(tmp_path, "damaged", self.unreadable)
        with pytest.raises(BadDataError, match=r"src\.tab: .*damaged"):
            line.load(WEEK)

    def test_elt_new_finds_it_by_its_name(self, tmp_path: Path) -> None:
        if self.ending not in self.kind.endings:
            pytest.skip("no name says that a file is of this format")
        self.put(tmp_path, _NAME, self.sample or self.content)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        (table,) = look_at_files(FilesToLookAt(tmp_path / _FOLDER, "*", {}), scratch).tables
        assert f"type: {self.kind.name}" in table.lines["format"].value
        assert {column.name for column in table.columns} == set(self.rows[0])

    def test_its_signs_are_what_its_files_begin_with(self) -> None:
        if not self.kind.signs:
            pytest.skip("its files begin with anything")
        assert any(self.content.startswith(sign) for sign in self.kind.signs)

    def test_reading_writes_into_the_folder_that_is_given_alone(self, tmp_path: Path) -> None:
        file, workdir = self.put(tmp_path, _NAME, self.content), tmp_path / "work"
        workdir.mkdir()
        before = {path for path in tmp_path.rglob("*") if path.is_file()}
        form = self.kind.model.model_validate(self.form)
        spool = self.kind.spooled(form, [Delivered(file.name, file)], workdir)
        after = {path for path in tmp_path.rglob("*") if path.is_file() and workdir not in path.parents}
        assert after == before
        assert len(spool.files) == 1
        assert spool.rows_read in (None, len(self.rows) + self.rejected)


_NEXT_WEEK = type(WEEK)(WEEK.end, WEEK.end + (WEEK.end - WEEK.start))


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # the order of the columns is not the files'
    return sorted(rows, key=lambda row: sorted((name, str(value)) for name, value in row.items()))
