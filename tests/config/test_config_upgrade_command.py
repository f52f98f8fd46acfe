"""`elt upgrade` rewrites what is to be rewritten, or shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elt_factory.cli.main import app
from elt_factory.config import upgrade
from elt_factory.config.yaml.edits import Document, Edit

TEXT = "name: fleet  # the fleet\ntables:\n  planes: {key: [tailnum]}\n"


def to_two(document: Document) -> Iterator[Edit]:
    for path in document.paths("tables", "*", "key"):
        yield document.rename(path, "primary_key")


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(upgrade, "STEPS", (upgrade.Step(1, "key is primary_key", to_two),))
    (tmp_path / "fleet.yaml").write_text(TEXT)
    (tmp_path / "_defaults.yaml").write_text("owner: us\n")
    return tmp_path


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["upgrade", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_files_and_defaults_are_rewritten_once(configs: Path):
    assert told(str(configs)).count("Rewrote") == 2
    assert (configs / "fleet.yaml").read_text() == "version: 2\n" + TEXT.replace("key", "primary_key")
    assert (configs / "_defaults.yaml").read_text() == "version: 2\nowner: us\n"
    assert "Nothing to upgrade" in told(str(configs))


def test_a_dry_run_shows_and_writes_nothing(configs: Path):
    output = told("--dry-run", str(configs / "fleet.yaml"))
    assert "-  planes: {key: [tailnum]}" in output
    assert "+  planes: {primary_key: [tailnum]}" in output
    assert (configs / "fleet.yaml").read_text() == TEXT


def test_an_error_in_one_file_leaves_all_as_they_were(configs: Path):
    (configs / "broken.yaml").write_text("version: soon\n")
    assert CliRunner().invoke(app, ["upgrade", str(configs)]).exit_code == 1
    assert (configs / "fleet.yaml").read_text() == TEXT
