"""What `astro deploy --dags` sends, laid over an image: the Astro CLI packs the files of `dags/`, and nothing else."""

import shutil
import tarfile
from pathlib import Path

import pytest

from elt_factory.config.loading import load_folder
from elt_factory.core.project import config_folder

ROOT = Path(__file__).parents[2]
YAML = """
name: {name}
start_date: 2013-01-01
extract: {{type: files, connection: inbox}}
tables: {{input: {{path: input.csv, primary_key: [id], write_disposition: merge}}}}
"""


def packed(dags: Path, target: Path) -> Path:
    """A tarball as the CLI's fileutil.Tar makes it: every file that is below the folder, under its name."""
    with tarfile.open(target, "w:gz") as tar:
        for file in sorted(dags.rglob("*")):
            if not file.is_dir() and ".git" not in file.parts:
                tar.add(file, Path(dags.name) / file.relative_to(dags), recursive=False)
    return target


@pytest.fixture
def image(tmp_path: Path, monkeypatch) -> Path:
    """A project as an image has it, of which the configs are the old ones."""
    image = tmp_path / "image"
    shutil.copytree(ROOT / "dags", image / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    (image / "dag_configs").mkdir()
    (image / "dag_configs" / "old.yaml").write_text(YAML.format(name="old"))
    monkeypatch.setenv("ELT_PROJECT", str(image))
    return image


def names() -> list[str]:
    found = load_folder(config_folder())
    assert not found.errors
    return [item.config.name for item in found.configs]


def test_a_yaml_in_dags_ships_with_the_dags_and_is_the_one_that_counts(image, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(image, project)
    (project / "dags" / "dag_configs").mkdir()
    (project / "dags" / "dag_configs" / "new.yaml").write_text(YAML.format(name="new"))
    assert names() == ["old"]
    with tarfile.open(packed(project / "dags", tmp_path / "bundle.tar.gz")) as tar:
        assert {"dags/sources.py", "dags/dag_configs/new.yaml"} <= set(tar.getnames())
        assert not [name for name in tar.getnames() if not name.startswith("dags/")]
        tar.extractall(image, filter="data")
    assert names() == ["new"]
