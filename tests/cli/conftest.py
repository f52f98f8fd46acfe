from pathlib import Path

import pytest
from cli_support import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project of the test's own."""
    return Project(tmp_path / "project", monkeypatch)
