"""`elt contract`: a config as a data contract, and a data contract as a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from elt_factory.cli.names import ConfigName
from elt_factory.cli.output import AsJson, errors, fail, named_config, print_json, say, short
from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import load_text
from elt_factory.core.amount import amount
from elt_factory.core.project import config_folder, project_root
from elt_factory.describe.contracts.exporting import contract_of, updated
from elt_factory.describe.contracts.importing import Imported, imported

app = typer.Typer(no_args_is_help=True, help="Export and import data contracts of the Open Data Contract Standard.")
_SHOWN = 12
_HEAD = """\
# yaml-language-server: $schema=source.schema.json
# Written by `elt contract import` from {file}: correct `extract`, and what only you know.
# The contract itself is kept in {kept}; `elt contract export {name}` brings it up to date.
"""


@app.command("export")
def export(
    name: ConfigName,
    output: Annotated[Path | None, typer.Option(help="File to write; by default, the contract is printed.")] = None,
) -> None:
    """Write a config as a data contract, version 3 of the standard.

    A contract that was imported changes only where the config has changed since; the rest of it stays as it is.
    """
    data = named_config(name).source.data
    kept = _kept(name)
    contract = contract_of(data)
    if kept.is_file():
        document = _read(kept)
        found = imported(document)
        # the order of the keys of a contract is its author's
        contract = updated(document, contract_of(found.data, found.names), contract_of(data, found.names))
    text = _text(contract)
    if output is None:
        say(text.rstrip())
    else:
        output.write_text(text, encoding="utf-8")


@app.command("import")
def import_contract(
    file: Annotated[Path, typer.Argument(help="The contract, in YAML.", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Write a config from a data contract, and keep the contract next to it; nothing is overwritten.

    What a config cannot hold, as prices, roles and servers, is listed, and stays in the contract.
    """
    document = _read(file)
    found = imported(document)
    name = str(found.data["name"])
    if not found.data["tables"]:
        fail(f"{file}: the contract has no `schema`, so there is no table to load")
    target, kept = config_folder() / f"{name}.yaml", _kept(name)
    for path in (target, kept):
        if path.exists():
            fail(f"{short(path)} exists already; remove it, or rename the contract")
    text = _HEAD.format(file=file.name, kept=short(kept), name=name) + _text(found.data)
    try:
        load_text(target, text, config_folder())
    except ConfigError as error:
        errors.print(str(error), markup=False, highlight=False)
        fail(f"{file}: no valid config can be made of it")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(file.read_bytes())
    target.write_text(text, encoding="utf-8")
    _report(found, target, kept, as_json=as_json)


def _kept(name: str) -> Path:
    return project_root() / "contracts" / f"{name}.odcs.yaml"


def _read(file: Path) -> Mapping[str, Any]:
    """Return a contract; ends the command where a file is not one."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fail(f"{file}: not valid YAML: {' '.join(str(error).split())}")
    if not isinstance(document, dict) or document.get("kind", "DataContract") != "DataContract":
        fail(f"{file}: not a data contract: expected kind: DataContract")
    if not str(document.get("apiVersion")).startswith("v3"):
        fail(f"{file}: expected a contract of version 3 of the standard, got apiVersion {document.get('apiVersion')}")
    return document


def _text(data: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=110)


def _report(found: Imported, target: Path, kept: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"config": short(target), "contract": short(kept), "not_in_config": list(found.kept)})
        return
    say(f"{short(target)}: {amount(len(found.data['tables']), 'table')}. Correct `extract`, then run elt validate.")
    if found.kept:
        say(f"{len(found.kept)} parts of the contract are only in {short(kept)}:")
        for part in found.kept[:_SHOWN]:
            say(f"  {part}")
        if len(found.kept) > _SHOWN:
            say(f"  and {len(found.kept) - _SHOWN} more; --json lists all of them")
