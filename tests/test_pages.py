"""Pages of docs: lines that fit, links that lead somewhere, and each page in the navigation of the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "README", "SECURITY"))]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


@every_page
def test_no_line_of_prose_is_longer_than_120_characters(page: Path):
    assert list(long_lines(page.read_text(encoding="utf-8"))) == []


@every_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path):
    for path, anchor in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        file = (page.parent / path) if path else page
        assert file.exists(), path
        # the site has the pages of docs/ alone
        assert not page.is_relative_to(DOCS) or file.resolve().is_relative_to(DOCS), path
        assert not anchor or anchor in anchors(file), f"{path}#{anchor}"


def test_every_page_is_in_the_navigation_of_the_site():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = {entry for chapter in navigation for entry in entries(chapter)}
    assert named == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def long_lines(text: str) -> Iterator[int]:
    """The numbers of long lines: of prose alone, since code, tables and pictures cannot be broken."""
    in_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        in_code ^= line.lstrip().startswith("```")
        if len(line) > 120 and not in_code and not line.startswith(("|", "![")):
            yield number


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def entries(chapter: object) -> Iterator[str]:
    if isinstance(chapter, str):
        yield chapter
    elif isinstance(chapter, dict):
        for below in chapter.values():
            yield from entries(below)
    elif isinstance(chapter, list):
        for below in chapter:
            yield from entries(below)
