"""`make lint` finds the words that docs/concepts/glossary.md retires, and passes phrases that are fine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[1]
RETIRED = [line.partition("->")[0] for line in (ROOT / ".ci" / "words.txt").read_text(encoding="utf-8").splitlines()]


def found_in(file: Path, text: str) -> subprocess.CompletedProcess[str]:
    file.write_text(text, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("codespell")), str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_retired_word_is_found(tmp_path: Path):
    done = found_in(tmp_path / "a.md", "".join(f"It {word} this.\n" for word in RETIRED))
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines()}
    missed = [word for number, word in enumerate(RETIRED, start=1) if number not in found]
    assert (missed, done.returncode > 0) == ([], True)


@pytest.mark.parametrize(
    "text",
    [
        "There is no landing without a manifest.",
        "It is no longer than a day.",
        "`_loaded_at` stands for nothing else.",
        "Rows are told apart by their key.",
        "No record is lost: each is a row or a reject.",
    ],
)
def test_good_english_passes(tmp_path: Path, text: str):
    done = found_in(tmp_path / "a.md", text)
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_misspelling_is_found(tmp_path: Path):
    assert "recieved" in found_in(tmp_path / "a.py", '"""Rows that were recieved."""\n').stdout


def test_every_word_that_the_glossary_retires_is_found(tmp_path: Path):
    page = (
        (ROOT / "docs" / "concepts" / "glossary.md").read_text(encoding="utf-8").partition("## Words we do not use")[2]
    )
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")][2:]
    words = [word.removeprefix("X ").removesuffix(" Y") for row in rows for word in row.split(", ")]
    assert len(words) > 20
    done = found_in(tmp_path / "a.md", "".join(f"It {word} this.\n" for word in words))
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines()}
    assert [word for number, word in enumerate(words, start=1) if number not in found] == []


def test_messages_of_the_planted_mistakes_have_no_retired_word(tmp_path: Path):
    corpora = [ROOT / "tests" / "config" / name for name in ("defects", "seen_by_validate")]
    files = [file for folder in corpora for file in sorted(folder.glob("*.yaml"))]
    assert len(files) > 400
    expected = [file.read_text(encoding="utf-8", errors="replace").splitlines()[0] for file in files]
    # the other words that codespell finds there are the misspelt keys that are planted
    found = found_in(tmp_path / "a.txt", "\n".join(expected)).stdout.splitlines()
    assert len(found) > 10
    assert [line for line in found if _word(line) in RETIRED] == []


def _word(line: str) -> str:
    """Return the word that a line of codespell is about, as in `file:1: word ==> better`."""
    return line.split(": ", 1)[1].partition(" ==> ")[0].casefold()
