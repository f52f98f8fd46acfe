"""`elt reference`: the generated files of the language, written again or compared with what is committed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from elt_factory.core.project import project_root
from elt_factory.describe.codes import codes_document
from elt_factory.describe.reference import reference
from elt_factory.describe.schema import schema_text

GENERATED: Mapping[str, Callable[[], str]] = {
    "dag_configs/source.schema.json": schema_text,
    "docs/reference.md": reference,
    "docs/errors.md": codes_document,
}


def write_all(root: Path) -> list[str]:
    """Write the files that differ; their names."""
    changed = drifted(root)
    for name in changed:
        (root / name).write_text(GENERATED[name](), encoding="utf-8")
    return changed


def drifted(root: Path) -> list[str]:
    """Return the names of the files that are not what the models say."""
    return [name for name, make in GENERATED.items() if _read(root / name) != make()]


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def main(arguments: list[str]) -> int:
    """Write the files, or with --check fail where one differs."""
    root = project_root()
    if "--check" not in arguments:
        for name in write_all(root):
            sys.stdout.write(f"wrote {name}\n")
        return 0
    changed = drifted(root)
    for name in changed:
        sys.stderr.write(f"{name} is out of date: run python -m elt_factory.cli.reference and commit it\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
