"""What every kind of source must do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from elt_factory.config.models.source import SOURCES
from elt_factory.core.connection import Connection
from elt_factory.core.failures import EltError
from elt_factory.core.window import Window
from elt_factory.describe.reading import asked
from elt_factory.describe.reference import reference
from elt_factory.describe.schema import config_schema
from elt_factory.sources.kind import SourceKind
from elt_factory.testing.loads import WEEK, Line, source_of


class SourceSuite:
    """A kind of source, shown by one config of one table.

    Subclass it, set `config` and `rows`, and where a connection is needed override `connection`. A table of a config
    without a schedule is read for the week from 1 January 2013, or for `window`.
    """

    config: ClassVar[Mapping[str, Any]]
    rows: ClassVar[list[dict[str, Any]]]
    window: ClassVar[Window] = WEEK

    def connection(self, folder: Path) -> Connection | None:  # noqa: ARG002
        """Return the connection of the config, with `password` as a secret where the kind takes one."""
        return None

    def broken(self, folder: Path) -> Connection | None:  # noqa: ARG002
        """Return a connection with which reading fails; None where nothing can fail."""
        return None

    @pytest.fixture
    def told(self) -> list[str]:
        """Return the lines that are logged."""
        return []

    @pytest.fixture
    def line(self, tmp_path: Path, told: list[str]) -> Line:
        """Return the config's line, in a folder of the test's own."""
        return Line(source_of(self.config, tmp_path), self.connection(tmp_path), tmp_path, told.append)

    @property
    def kind(self) -> SourceKind:
        """The kind that the config names."""
        found: SourceKind = SOURCES.get(self.config["extract"]["type"])
        return found

    def test_the_kind_is_in_the_schema_and_in_the_reference(self) -> None:
        schema, text = config_schema(), reference()
        kinds = [
            rule["if"]["properties"]["extract"]["properties"]["type"]
            for rule in schema["allOf"]
            if "if" in rule and "properties" in rule["if"]
        ]
        assert {"const": self.kind.name} in kinds
        for model, _ in self.kind.places:
            assert f"### {model.__name__}" in text

    def test_all_rows_are_read_and_counted(self, line: Line, tmp_path: Path) -> None:
        workdir = tmp_path / "read"
        workdir.mkdir()
        spool = line.read(self.window, workdir)
        assert spool.rows_read in (None, len(self.rows))
        assert all(file.is_file() for file in spool.files)

    def test_the_rows_are_loaded_as_they_are(self, line: Line) -> None:
        report = line.load(self.window)
        assert (report.rows_read, report.rows_rejected) == (len(self.rows), 0)
        assert _sorted(line.rows()) == _sorted(self.rows)

    def test_a_window_that_is_loaded_again_is_there_once(self, line: Line) -> None:
        line.load(self.window)
        line.load(self.window)
        assert _sorted(line.rows()) == _sorted(self.rows)

    def test_a_plan_says_what_is_asked_without_asking(self, tmp_path: Path) -> None:
        source = source_of(self.config, tmp_path)
        (table,) = source.tables
        lines = list(asked(source, table, self.window, "load"))
        assert lines
        assert all(lines)

    def test_nothing_is_written_outside_of_the_folders_that_are_given(self, line: Line, tmp_path: Path) -> None:
        before = {path for path in tmp_path.rglob("*") if path.is_file()}
        workdir = tmp_path / "read"
        workdir.mkdir()
        line.read(self.window, workdir)
        after = {path for path in tmp_path.rglob("*") if path.is_file() and workdir not in path.parents}
        assert after == before

    def test_a_failure_is_one_of_ours_names_the_table_and_shows_no_secret(self, tmp_path: Path) -> None:
        connection = self.broken(tmp_path)
        if connection is None:
            pytest.skip("nothing of this kind can fail")
        told: list[str] = []
        line = Line(source_of(self.config, tmp_path), connection, tmp_path, told.append)
        with pytest.raises(EltError) as raised:
            line.load(self.window)
        assert f"{line.source.name}.{line.table}" in str(raised.value)
        secret = connection.password or ""
        assert not secret or secret not in " ".join([str(raised.value), *told])


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=repr)
