"""The generated files: written again by `make reference`, compared with what is committed by `make drift`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from elt_factory.cli.packaging import celery_block, extras_table, platform_block, requirements, settings_block
from elt_factory.core.project import project_root
from elt_factory.describe.codes import codes_document
from elt_factory.describe.reference import reference
from elt_factory.describe.schema import schema_text

_WITH_PARTS = ("install", "workers", "kubernetes", "mwaa", "composer", "astro")


def _guide(name: str, root: Path) -> str:
    return _with_parts(root / "docs" / "guides" / name, root)


GENERATED: Mapping[str, Callable[[Path], str]] = {
    "dag_configs/source.schema.json": lambda _: schema_text(),
    "docs/reference/yaml.md": lambda _: reference(),
    "docs/reference/errors.md": lambda _: codes_document(),
    **{f"docs/guides/{name}.md": partial(_guide, f"{name}.md") for name in _WITH_PARTS},
    "requirements.txt": requirements,
}
# Parts of Markdown files, each between two comments with its name
PARTS: Mapping[str, Mapping[str, Callable[[Path], str]]] = {
    "install.md": {"extras": extras_table, "settings": settings_block},
    "workers.md": {"celery": celery_block},
    "kubernetes.md": {"values": platform_block("helm", "yaml")},
    "mwaa.md": {"settings": platform_block("mwaa", "sh")},
    "composer.md": {"settings": platform_block("composer", "sh")},
    "astro.md": {"settings": platform_block("astro", "ini")},
}


def write_all(root: Path) -> list[str]:
    """Write the files that differ; their names."""
    changed = drifted(root)
    for name in changed:
        (root / name).write_text(GENERATED[name](root), encoding="utf-8")
    return changed


def drifted(root: Path) -> list[str]:
    """Return the names of the files that are not what models, settings and pyproject.toml say."""
    return [name for name, make in GENERATED.items() if _read(root / name) != make(root)]


def _with_parts(file: Path, root: Path) -> str:
    """Return a file's text with its parts made again.

    Raises:
        ValueError: the file lacks the comments of a part.
    """
    text = _read(file)
    for name, make in PARTS[file.name].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{file} needs a part between {begin.strip()} and {end}")
        text = f"{before}{begin}\n{make(root)}\n\n{end}{after}"
    return text


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
