"""`elt import`: projects of other tools as configs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elt_factory.cli.output import fail, say, short
from elt_factory.core.project import config_folder

if TYPE_CHECKING:
    from elt_factory.importing.manifest.compiling import Compiled

app = typer.Typer(no_args_is_help=True, help="Write configs from projects of other tools.")


@app.callback()
def importing() -> None:
    """Write configs from projects of other tools."""


@app.command()
def airbyte(
    manifest: Annotated[Path, typer.Argument(help="Low-code manifest of an Airbyte connector: manifest.yaml.")],
    name: Annotated[str | None, typer.Option(help="Name of the config. Default: that of the connector.")] = None,
) -> None:
    """Write a config from a low-code manifest. Streams that a config cannot express are listed with the reason."""
    from elt_factory.discover.periods import sane_name
    from elt_factory.importing.manifest.compiling import compiled
    from elt_factory.importing.writing import yaml_text

    root = _read(manifest)
    called = name or sane_name(manifest.resolve().parent.name.removeprefix("source-")) or "imported"
    if sane_name(called) != called:
        fail(f'invalid name "{called}": use lowercase letters, digits and _, such as {sane_name(called) or "orders"}')
    found = compiled(root, called)
    if not found.config["tables"]:
        fail("nothing written: " + "; ".join(f"{stream}: {reason}" for stream, reason in found.left_out.items()))
    target = config_folder() / f"{called}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(yaml_text(found.config, remarks(found)))
    except FileExistsError:
        fail(f"{short(target)} already exists; choose another name with --name")
    _tell(target, found)


def _read(manifest: Path) -> dict[str, Any]:
    import yaml

    if not manifest.is_file():
        fail(f"no such file: {manifest}")
    try:
        root = yaml.load(manifest.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fail(f"{manifest}: not YAML: {' '.join(str(error).split())}")
    if not isinstance(root, dict) or not isinstance(root.get("streams"), list):
        fail(f"{manifest}: no low-code manifest: it has no list of streams")
    return root


def remarks(found: Compiled) -> list[str]:
    """Return what a person has to know of a config that was made of a manifest: settings, and what is not in it."""
    lines = ["Written by `elt import airbyte` from a low-code manifest.", ""]
    lines += [f"The Airflow connection {found.config['extract']['connection']} needs, of the connector's settings:"]
    lines += [f"  host: {found.host}", *(f"  {place}: {setting}" for place, setting in found.held.items())]
    params = found.config.get("params") or {}
    unset = [name for name, value in params.items() if value == "TO BE SET"]
    if unset:
        lines += ["", f"Set these params: {', '.join(unset)}"]
    for title, listed in (("Not in this config:", found.left_out), ("Left out of tables:", _joined(found.notes))):
        if listed:
            lines += ["", title, *(f"  {stream}: {reason}" for stream, reason in listed.items())]
    return [" ".join(line.split("\n")) for line in lines]


def _joined(notes: dict[str, list[str]]) -> dict[str, str]:
    return {table: "; ".join(dict.fromkeys(texts)) for table, texts in notes.items()}


def _tell(target: Path, found: Compiled) -> None:
    tables, name = found.config["tables"], found.config["name"]
    total = len(tables) + len(found.left_out)
    say(f"Wrote {short(target)}: {len(tables)} of {total} streams. Next:")
    for stream, reason in found.left_out.items():
        say(f"  not in it: {stream}: {reason}")
    add = f"airflow connections add {found.config['extract']['connection']} --conn-type http --conn-host '{found.host}'"
    for line in (add, f"elt validate {short(target)}", f"elt run {name}"):
        say(f"  {line}")
