"""`elt init`: the files of a new project, or what an existing Airflow or Astro project lacks of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elt_factory.cli.merging import merged
from elt_factory.cli.output import fail, short

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_PACKAGE = "elt-factory[dbt]"
_TEMPLATES = "project_files"
_SUFFIX = ".tmpl"
_HIDDEN = "dot-"
_PRIVATE = ".env"  # git ignores it: only one that is there gets what it lacks
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
        existing: Whether the folder is a project already: it gets no example, README or Makefile, and some of its files
            get what they lack, see `merged`.
    """
    created, extended, kept = list[str](), list[str](), list[str]()
    for name, text in project_files(folder.resolve().name).items():
        file = folder / name
        if name in (_ONLY_NEW if existing else ()) or (name == _PRIVATE and not file.exists()):
            continue
        there = file.read_text(encoding="utf-8") if file.exists() else None
        wanted = text if there is None else merged(name, there, text)
        if wanted == there:
            kept.append(name)
            continue
        (created if there is None else extended).append(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(wanted, encoding="utf-8")
    return Written(tuple(created), tuple(extended), tuple(kept))


def project_files(name: str) -> Mapping[str, str]:
    """Return the text of each file of a new project, by its path below the project's folder."""
    from elt_factory.cli.celery_settings import CELERY_ADDRESSES, CELERY_SETTINGS
    from elt_factory.cli.local import AIRFLOW_SETTINGS
    from elt_factory.describe.schema import schema_text

    values = {
        "@NAME@": name,
        "@REQUIREMENT@": _requirement(metadata.distribution("elt-factory")),
        "@SETTINGS@": "\n".join(f"{key}={value}" for key, value in AIRFLOW_SETTINGS.items()),
        "@CELERY@": "\n".join(f"# {key}={value}" for key, value in {**CELERY_ADDRESSES, **CELERY_SETTINGS}.items()),
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


def _next_steps(folder: Path, *, existing: bool) -> Iterator[str]:
    if folder.resolve() != Path.cwd():
        yield f"cd {short(folder)}"
    if existing:
        yield "install requirements.txt, and set what .env.example lists for Airflow"
        yield "elt doctor          # what is still missing"
        yield "elt new NAME        # writes a config from real records"
    else:
        yield "make setup          # the environment and this machine's Airflow"
        yield ".venv/bin/elt run orders"
