"""The licences of all that the package needs, with every extra: each must be one that `.ci/licences.txt` lists.

Read from what is installed: `python .ci/licences.py` prints a line for each package, and ends with 1 where a licence is
missing or not listed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = "elt-factory"
LISTED = Path(__file__).with_suffix(".txt")
_UNKNOWN = ("", "UNKNOWN")
# what one may choose between, and what holds together
_JOINED = re.compile(r"\s+(?:OR|AND)\s+")


def main() -> int:
    """Print the licences; 1 where one is not listed."""
    allowed, excepted = listed(LISTED.read_text(encoding="utf-8"))
    refused = 0
    for name, licence in sorted(licences().items()):
        known = excepted.get(name) == (licence or "no licence") if name in excepted else fits(licence, allowed)
        refused += not known
        sys.stdout.write(f"{'' if known else 'NOT LISTED  '}{name}: {licence or 'no licence'}\n")
    return min(refused, 1)


def listed(text: str) -> tuple[set[str], dict[str, str]]:
    """Return the licences that any package may have, and the packages of which another was looked at."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    pairs = [line.split(": ", 1) for line in lines if ": " in line and not line.startswith("License ::")]
    return {line for line in lines if line and line.split(": ", 1) not in pairs}, dict(pairs)


def fits(licence: str, allowed: set[str]) -> bool:
    """Whether every part of an expression is allowed, or one where there is a choice."""
    parts = [part.strip() for part in _JOINED.split(licence) if part.strip()]
    any_of = " OR " in licence and " AND " not in licence
    return bool(parts) and (any if any_of else all)(part in allowed for part in parts)


def licences() -> dict[str, str]:
    """Return the licence of each package that ours needs, as the package itself declares it."""
    return {name: licence_of(found) for name, found in needed(PACKAGE).items() if name != PACKAGE}


def needed(package: str) -> dict[str, Distribution]:
    """Return a package and all that it needs, its extras included, as installed here."""
    found: dict[str, Distribution] = {}
    wanted = [Requirement(f"{package}[{','.join(distribution(package).metadata.get_all('Provides-Extra') or ())}]")]
    done: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        one = wanted.pop()
        name, extras = _normal(one.name), frozenset(one.extras)
        if (name, extras) in done:
            continue
        done.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # for another system
        wanted += _requirements(found[name], extras)
    return found


def _requirements(of: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in of.requires or ():
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield one


def licence_of(package: Distribution) -> str:
    """Return the licence as an SPDX expression where the package has one, else as its classifiers or field say."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [c for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    told = [c.rpartition(" :: ")[2] for c in classifiers if c != "License :: OSI Approved"]
    if told:
        return " AND ".join(told)
    field = str(metadata.get("License") or "").strip().splitlines()
    return "" if not field or field[0] in _UNKNOWN else field[0][:80]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
