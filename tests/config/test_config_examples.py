"""The configs in `examples/configs` and the presets: each loads, says what it is, and asks what a plan shows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from elt_factory.config.loading import load_folder
from elt_factory.core.window import Window
from elt_factory.describe.findings import validate
from elt_factory.describe.reading import asked
from elt_factory.sources.presets import gallery

FOLDER = Path(__file__).parents[2] / "examples" / "configs"
EXAMPLES = sorted(file for file in FOLDER.glob("*.yaml") if not file.name.startswith("_"))
FILES = [*EXAMPLES, *sorted(Path(gallery.__file__).parent.glob("*.yaml"))]
DAY = Window(datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 6, tzinfo=UTC))


def test_there_are_twenty_and_the_page_has_a_line_for_each_example():
    assert len(FILES) >= 20
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in (file.name for file in EXAMPLES) if f"]({name})" not in page] == []


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda folder: folder.name)
def test_all_of_them_load_together_and_say_what_they_are(folder):
    found = load_folder(folder)
    assert not found.errors
    assert {item.config.name for item in found.configs} == {file.stem for file in FILES if file.parent == folder}
    assert all(item.config.description and item.config.owner for item in found.configs)


# which dates have to be fresh, and where, is the matter of those who copy an example
OF_THE_PROJECT = ("no-freshness", "no-business-date")
# an API without a filter of time, as the preset says
READS_ALL = {"notion": ("window-unused",)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_has_no_error_and_no_warning(file):
    known = (*OF_THE_PROJECT, *READS_ALL.get(file.stem, ()))
    found = [one for one in validate([file], file.parent).findings if one.problem.code not in known]
    assert [f"{one.problem.position.line}: {one.problem.message} [{one.problem.code}]" for one in found] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_table_of_an_example_says_what_it_asks_for(file):
    (config,) = [item.config for item in load_folder(file.parent).configs if item.config.name == file.stem]
    for table in config.tables:
        assert all(asked(config, table, DAY, "load-1"))
