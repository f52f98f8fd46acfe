"""`elt forget` beyond the warehouse: what the Sources page keeps on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import ORDERS, Project

from elt_factory.cli import forget
from elt_factory.warehouse.forgetting import Receipt

FORGET = ("forget", "orders", "--key", "id=1")


@pytest.fixture
def kept(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the page in Airflow's home; no warehouse is asked."""
    import airflow.configuration

    project.write("orders", ORDERS)
    monkeypatch.setattr(airflow.configuration, "AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(forget, "_forget", lambda *_, dry_run: Receipt("1", "orders", ("id",), "x", dry_run, (), ()))
    file = tmp_path / "home" / "elt_factory" / "audit-00000000.json"
    file.parent.mkdir(parents=True)
    file.write_text("ann@example.org")
    return file


def test_what_the_page_keeps_goes_with_a_person(kept: Path, project: Project):
    assert project.elt(*FORGET, "--dry-run").exit_code == 0
    assert kept.exists()
    done = project.elt(*FORGET, "--yes")
    assert done.exit_code == 0, done.output
    assert not kept.exists()


def test_what_the_page_keeps_and_cannot_be_removed_is_said(kept: Path, project: Project):
    kept.unlink()
    kept.mkdir()
    done = project.elt(*FORGET, "--yes")
    assert done.exit_code == 1
    assert "left: what the Sources page keeps" in done.output
