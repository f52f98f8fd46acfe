"""docs/concepts/guarantees.md and the proof speak of the same guarantees, and of the same faults."""

import re
from pathlib import Path

from proof_faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "concepts" / "guarantees.md").read_text()
NAMED = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))


def test_each_guarantee_of_the_page_is_looked_at_and_each_that_is_looked_at_is_on_the_page():
    files = [
        Path(__file__).with_name(name)
        for name in ("proof_guarantees.py", "test_proof_windows.py", "test_proof_rejects.py")
    ]
    text = "".join(file.read_text() for file in files)
    looked_at = set(re.findall(r'(?:yield |found\.append\(\(|\[\()"([a-z]+(?:-[a-z]+)+)"', text))
    looked_at |= set(re.findall(r"^\"\"\"`([a-z-]+)`", text, re.MULTILINE))

    assert looked_at == NAMED


def test_each_fault_is_on_the_page_with_the_guarantee_that_finds_it():
    rows = set(re.findall(r"^\| ([^|`]+) \| `([a-z-]+)` \|$", PAGE, re.MULTILINE))

    assert rows == {(name, fault.breaks) for name, fault in FAULTS.items()}
