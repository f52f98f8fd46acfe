"""The wheel with extras: each brings what it must be able to import."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from package_support import ROOT, environment_with

from elt_factory.core.extras import EXTRAS

# what the others bring nothing of
LEFT_OUT = {"oracle"}
MISSING = """
import json
from elt_factory.core.extras import EXTRAS, missing
print(json.dumps({extra: missing(extra) for extra in EXTRAS}))
"""


@pytest.fixture(scope="module")
def missing(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each extra lacks, where all of them but those are installed."""
    names = ",".join(sorted(set(EXTRAS) - LEFT_OUT))
    installed = environment_with(tmp_path_factory.mktemp("environment"), f"elt-factory[{names}] @ file://{wheel}")
    found: dict[str, str] = json.loads(installed.at(ROOT).run("python", "-c", MISSING).splitlines()[-1])
    return found


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - LEFT_OUT))
def test_an_extra_brings_what_it_must_import(missing: dict[str, str], extra: str):
    assert missing[extra] == ""


@pytest.mark.parametrize("extra", sorted(LEFT_OUT))
def test_an_extra_that_is_not_installed_is_missing(missing: dict[str, str], extra: str):
    assert missing[extra] in EXTRAS[extra].modules
