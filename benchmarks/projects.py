"""Import public projects of other tools, and count what became of them.

    python benchmarks/projects.py FOLDER...

Each FOLDER is one project: of Meltano (meltano.yml), a Singer tap (catalog.json), dlt (Python), dag-factory or sling
(YAML), or of Airbyte (connections of Octavia, Terraform, the API or PyAirbyte), at any depth. Counted are the projects
that become a config, the configs that are valid as they are written, and what is in none: every stream, task or
resource that was left out, with its reason.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from elt_factory.config.errors import ConfigError, MistakeError
from elt_factory.config.loading import load_text
from elt_factory.importing import dag_factory, dlt, meltano, sling
from elt_factory.importing.airbyte import connections
from elt_factory.importing.airbyte.found import connections_at
from elt_factory.importing.project import Imported, NotAProjectError
from elt_factory.importing.writing import yaml_text

_SKIPPED = {".venv", "venv", "node_modules", "site-packages", ".git", "__pycache__", ".meltano"}
_REASONS = 30


@dataclass
class Outcome:
    """What became of one project: its tool, configs, tables, what was left out, and configs that are not valid."""

    project: str
    tools: Counter[str] = field(default_factory=Counter)
    configs: int = 0
    tables: int = 0
    left_out: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)

    def take(self, tool: str, found: list[Imported]) -> None:
        """Count what an importer made."""
        for one in found:
            self.left_out += one.left_out.values()
            if not one.config["tables"]:
                continue
            self.tools[tool] += 1
            self.configs, self.tables = self.configs + 1, self.tables + len(one.config["tables"])
            try:
                load_text(Path(f"{one.config['name']}.yaml"), yaml_text(one.config, one.remarks), Path())
            except (ConfigError, MistakeError) as error:
                self.invalid.append(f"{one.config['name']}: {error}")


def outcome_of(project: Path) -> Outcome:
    """Import all that is in a folder with each importer that knows it."""
    found = Outcome(project.name)
    for tool, read in _importers(project):
        try:
            found.take(tool, read())
        except NotAProjectError:
            continue
    return found


def files_of(project: Path) -> list[Path]:
    """Return the files of a project that are its own."""
    found = sorted(one for one in project.rglob("*") if one.is_file())
    return [one for one in found if _SKIPPED.isdisjoint(one.relative_to(project).parts)]


def _importers(project: Path) -> Iterator[tuple[str, Callable[[], list[Imported]]]]:
    files = files_of(project)
    for file in files:
        if file.name == "meltano.yml":
            yield "meltano", lambda file=file: meltano.imported(file, {}, pinned)
        elif file.name == "catalog.json":
            yield "singer", lambda file=file: meltano.imported(file.parent, {}, pinned, "tap-unknown==1.0")
        elif file.suffix in (".yaml", ".yml"):
            yield "sling", lambda file=file: sling.imported(file, "2024-01-01")
            yield "dag-factory", lambda file=file: dag_factory.imported(file)
    if any(file.suffix == ".py" for file in files):
        yield "dlt", lambda: dlt.imported(project, {}, "dlt==1.31.0", "dlt")
    yield "airbyte", lambda: connections.imported(connections_at(project)[0], {}, pinned)


def pinned(package: str, _: str | None = None) -> str:
    """Return a package with a version: which it is does not matter to what is counted."""
    return f"{package}==1.0"


def main(projects: list[Path]) -> None:
    """Print the counts."""
    began = time.process_time()
    found = [outcome_of(project) for project in projects]
    for one in found:
        tools = ", ".join(sorted(one.tools)) or "nothing"
        print(
            f"{one.project:50} {tools:20} configs {one.configs:3} tables {one.tables:4} left out {len(one.left_out):4}"
        )
    configs, invalid = sum(one.configs for one in found), [text for one in found for text in one.invalid]
    said, out = sum(one.tables for one in found), sum(len(one.left_out) for one in found)
    print(f"projects {sum(bool(one.configs) for one in found)} of {len(found)} become configs")
    print(f"configs  {configs - len(invalid)} of {configs} are valid as they are written")
    print(f"tables   {said}, and {out} entries are listed with a reason; {time.process_time() - began:.0f} s of CPU")
    for text in invalid:
        print(f"  not valid: {text}")
    for reason, count in Counter(text[:100] for one in found for text in one.left_out).most_common(_REASONS):
        print(f"{count:5}  {reason}")


if __name__ == "__main__":
    main([Path(one) for one in sys.argv[1:]])
