"""Every whole config that a page shows is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from elt_factory.config.loading import load_config

DOCS = Path(__file__).parents[2] / "docs"
_CONFIG = re.compile(r"^```yaml\n((?:#[^\n]*\n)*name: .*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = [
    pytest.param(found[1], id=f"{page.relative_to(DOCS)}:{page.read_text()[: found.start()].count(chr(10)) + 1}")
    for page in sorted(DOCS.rglob("*.md"))
    for found in _CONFIG.finditer(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("text", SHOWN)
def test_a_config_that_a_page_shows_loads(tmp_path, monkeypatch, text):
    name = re.search(r"^name: (\w+)", text, re.MULTILINE)[1]
    file = tmp_path / f"{name}.yaml"
    file.write_text(text)
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    if manifest := re.search(r"^  manifest: (\S+)", text, re.MULTILINE):
        (tmp_path / manifest[1]).parent.mkdir()
        (tmp_path / manifest[1]).write_text("streams: [{}]")
    assert load_config(file).config.name == name
