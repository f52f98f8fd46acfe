"""`elt dbt`: dbt's files for what a config loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elt_factory.cli.names import ConfigName
from elt_factory.cli.output import AsJson, fail, named_config, print_json, say, short, write_new
from elt_factory.config.models.source import Source
from elt_factory.core.project import dbt_folder

app = typer.Typer(no_args_is_help=True, help="Write dbt's files for the tables of a config.")


@app.callback()
def dbt() -> None:
    """Write dbt's files for the tables of a config."""


@app.command("scaffold")
def scaffold(
    name: ConfigName,
    into: Annotated[
        Path | None, typer.Option(help="Folder for the files; by default include/dbt/models/staging/NAME.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write sources with freshness and tests, and a staging model per table; nothing is overwritten.

    Tests are those checks of the config that dbt has a test for.
    """
    from elt_factory.describe.dbt_scaffold import scaffold_of

    config = named_config(name).config
    if not isinstance(config, Source):
        fail(f"{name} loads no tables, so there is nothing to stage")
    folder = into or dbt_folder() / "models" / "staging" / name
    found = scaffold_of(config)
    there = [folder / file for file in found.files if (folder / file).exists()]
    if there:
        fail(f"{short(there[0])} exists already; remove it, or choose another folder with --into")
    for file, text in found.files.items():
        write_new(folder / file, text)
    if as_json:
        print_json({"files": [short(folder / file) for file in found.files], "left_out": list(found.left_out)})
        return
    for file in found.files:
        say(f"  created {short(folder / file)}")
    if found.left_out:
        say("Without a test in dbt, and checked by ELT Factory as before:")
        for line in found.left_out:
            say(f"  {line}")
    say(f"Next: elt setup, then add to {name}.yaml: transform: {{dbt: {{select: 'tag:{name}'}}}}")
