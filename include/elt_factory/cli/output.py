"""How commands speak: tables and text for people, JSON for machines, errors on their own stream."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from elt_factory.config.errors import near_name
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.config.models.maintenance import DAG_ID, MAINTENANCE_FILE
from elt_factory.core.project import config_folder, project_root
from elt_factory.dag.neighbours import Neighbours

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

errors = Console(stderr=True)


def say(text: str) -> None:
    """Print text for people as it is."""
    sys.stdout.write(f"{text}\n")


def print_json(value: Any) -> None:
    """Print JSON."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def warn(message: str) -> None:
    """Say what is unusual, on the stream of errors."""
    errors.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Say what is wrong and end with 1."""
    errors.print(message, style="red", markup=False, highlight=False)
    raise typer.Exit(1)


def short(path: Path) -> str:
    """Return a path below the project without the project."""
    root = project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def write_new(target: Path, text: str) -> None:
    """Write a config, and its folders; never over another.

    Raises:
        FileExistsError: there is one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("x", encoding="utf-8") as stream:
        stream.write(text)


def refuse_unknown(name: str, known: Iterable[str]) -> NoReturn:
    """End the command where no config is called so, with the near name, be it that of a broken one."""
    if name == DAG_ID:
        fail(f'"{DAG_ID}" is the DAG of {MAINTENANCE_FILE}, not a config; hint: elt maintenance run does its work here')
    near = near_name(name, {*known, *Neighbours(config_folder())})
    fail(f'unknown config "{name}"; {near or no_configs()}')


def no_configs() -> str:
    """Say that this project has no config, and what to do."""
    return f"no configs in {short(config_folder())}; hint: write one with elt new, or set ELT_PROJECT to a project"


def named_config(name: str) -> LoadedConfig:
    """Return the config of that name, held against the files around it; ends the command where there is none.

    Raises:
        ConfigError: it is wrong.
    """
    neighbours = Neighbours(config_folder())
    file = neighbours.file_of(name)
    if file is None:
        refuse_unknown(name, neighbours)
    item = neighbours.load(file)
    neighbours.check(item)
    return item


@contextmanager
def silence() -> Iterator[None]:
    """Keep what libraries log while they are imported and build DAGs away from an answer that machines may read.

    Some write to the stream of the moment and some hold on to the first, so the file descriptor leads elsewhere too.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(saved, 1)
            os.close(saved)


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else str(value)
