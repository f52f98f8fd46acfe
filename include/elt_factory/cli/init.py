"""`elt init`: the files of a new project, or what an existing Airflow or Astro project lacks of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elt_factory.cli.output import fail, short

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_PACKAGE = "elt-factory[dbt]"
_TEMPLATES = "project_files"
_SUFFIX = ".tmpl"
_HIDDEN = "dot-"
# Files of lists: a project that has one already gets the lines it lacks
_LISTS = ("requirements.txt", ".gitignore")
# Files that show how a new project begins: an existing project has its own
_ONLY_NEW = ("README.md", "Makefile", "samples/orders.csv", "dag_configs/orders.yaml")


@dataclass(frozen=True)
class Written:
    """What became of the files of a project, each by its path below the folder."""

    created: tuple[str, ...]
    extended: tuple[str, ...]
    kept: tuple[str, ...]


def init(
    folder: Annotated[Path, typer.Argument(help="Project folder. Created if it does not exist.")] = Path(),
    into: Annotated[
        bool, typer.Option("--into", help="Add missing files to an existing Airflow or Astro project.")
    ] = False,
) -> None:
    """Start a project: configs, dbt skeleton, Airflow settings, Makefile, CI workflow and Astro files."""
    if folder.exists() and not folder.is_dir():
        fail(f"{short(folder)} is a file; choose a folder")
    if not into and folder.is_dir() and any(entry.name != ".git" for entry in folder.iterdir()):
        fail(f"{short(folder)} is not empty; choose another folder, or use --into to add only what is missing")
    written = write_project(folder, existing=into)
    for verb, names in (("created", written.created), ("added lines to", written.extended), ("kept", written.kept)):
        for name in names:
            typer.echo(f"  {verb} {name}")
    typer.echo("Next:")
    for line in _next_steps(folder, existing=into):
        typer.echo(f"  {line}")


def write_project(folder: Path, *, existing: bool) -> Written:
    """Write the files of a project; nothing that is there already is replaced.

    Args:
        folder: The project's folder; it is created if it does not exist.
        existing: Whether the folder is a project already: it gets no example, README or Makefile, and the files that
            are lists (`requirements.txt`, `.gitignore`) get the lines they lack.
    """
    created, extended, kept = list[str](), list[str](), list[str]()
    for name, text in project_files(folder.resolve().name).items():
        if existing and name in _ONLY_NEW:
            continue
        file = folder / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            created.append(name)
        elif name in _LISTS and (missing := _missing_lines(file.read_text(encoding="utf-8"), text)):
            with file.open("a", encoding="utf-8") as stream:
                stream.write(missing)
            extended.append(name)
        else:
            kept.append(name)
    return Written(tuple(created), tuple(extended), tuple(kept))


def project_files(name: str) -> Mapping[str, str]:
    """Return the text of each file of a new project, by its path below the project's folder."""
    from elt_factory.cli.local import AIRFLOW_SETTINGS
    from elt_factory.describe.schema import schema_text

    values = {
        "@NAME@": name,
        "@REQUIREMENT@": _requirement(metadata.distribution("elt-factory")),
        "@SETTINGS@": "\n".join(f"{key}={value}" for key, value in AIRFLOW_SETTINGS.items()),
        "@DOCKER_SETTINGS@": " \\\n".join(f"    {key}='{value}'" for key, value in AIRFLOW_SETTINGS.items()),
    }
    files = {path: _filled(text, values) for path, text in _templates(resources.files(__package__) / _TEMPLATES, "")}
    return dict(sorted({**files, "dag_configs/source.schema.json": schema_text()}.items()))


def _requirement(installed: metadata.Distribution) -> str:
    """Return what installs this package again, with what the project's dbt skeleton needs.

    Where it came from, if that was a file or a checkout, else its version.
    """
    origin = installed.read_text("direct_url.json")
    return f"{_PACKAGE} @ {json.loads(origin)['url']}" if origin else f"{_PACKAGE}>={installed.version}"


def _templates(folder: Traversable, below: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        # tools take hidden files in a package for its own: here they are kept under other names
        hidden = entry.name.startswith(_HIDDEN)
        path = f"{below}{'.' if hidden else ''}{entry.name.removeprefix(_HIDDEN)}"
        if entry.is_dir():
            yield from _templates(entry, f"{path}/")
        elif entry.name.endswith(_SUFFIX):
            yield path.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8")


def _filled(text: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


def _missing_lines(there: str, wanted: str) -> str:
    """Return the lines to append: requirements that are there in another version, and comments, are left out."""
    known = {_bare(line) for line in there.splitlines()}
    missing = [line for line in wanted.splitlines() if _bare(line) not in known and not line.startswith("#")]
    start = "" if not there or there.endswith("\n") else "\n"
    return start + "\n".join(missing) + "\n" if missing else ""


def _bare(line: str) -> str:
    for sign in "[<>=~! ":
        line = line.split(sign, 1)[0]
    return line.strip()


def _next_steps(folder: Path, *, existing: bool) -> Iterator[str]:
    if folder.resolve() != Path.cwd():
        yield f"cd {short(folder)}"
    if existing:
        yield "install requirements.txt, and set what .env.example lists for Airflow"
        yield "elt new NAME        # writes a config from real records"
    else:
        yield "make setup          # the environment and this machine's Airflow"
        yield ".venv/bin/elt run orders"
