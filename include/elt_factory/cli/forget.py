"""`elt forget`: erase a person from everything that a source has loaded, with a receipt."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

from elt_factory.cli import tables
from elt_factory.cli.names import config_names
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, errors, fail, named_config, print_json
from elt_factory.config.errors import near_name
from elt_factory.config.models.source import Source

if TYPE_CHECKING:
    from elt_factory.warehouse.dialect import Relation
    from elt_factory.warehouse.forgetting import Receipt

console = tables.screen()
Name = Annotated[str, typer.Argument(help="Name of the config, as in `elt list`.", autocompletion=config_names)]


def forget(
    name: Name,
    key: Annotated[
        list[str], typer.Option(help="Column and value, as id=42. Repeatable: a row has all of these values.")
    ],
    column: Annotated[
        list[str] | None, typer.Option(help="Another column and value, as email=a@b.c. A row with it goes too.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="Only from this table, or also from a copy, as marts.customers. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be erased, and erase nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person: tables and history, rejects, landings, samples in the audit tables. Prints a receipt."""
    config = named_config(name).config
    if not isinstance(config, Source):
        fail(f"{name} loads no tables, so it has nothing to forget")
    chosen, copies = _tables(config, table or [])
    keys = (dict(_pair("--key", text) for text in key), *(dict([_pair("--column", text)]) for text in column or []))
    if not dry_run and not yes:
        _ask(name)
    receipt = _forget(config, keys, chosen, copies, dry_run=dry_run)
    if not dry_run:
        receipt = replace(receipt, left=(*receipt.left, *_left_of_the_page()))
    if as_json:
        print_json(asdict(receipt))
    else:
        _show(receipt)
    if receipt.left:
        raise typer.Exit(1)


def _forget(
    config: Source,
    keys: Sequence[dict[str, str]],
    chosen: tuple[str, ...],
    also: tuple[Relation, ...],
    *,
    dry_run: bool,
) -> Receipt:
    from elt_factory.warehouse import forgetting

    with opened_warehouse() as warehouse:
        from elt_factory.dag.runtime import landing_place, project_name

        def place(of: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return landing_place(config.name, of)

        asked = forgetting.Asked(config, tuple(keys), chosen, place, project_name(), getuser(), also, dry_run)
        return forgetting.forget(warehouse, asked)


def _left_of_the_page() -> Iterator[str]:
    """Remove what the Sources page keeps: reasons and messages of checks may quote a value. Yield why it is left."""
    from elt_factory.ui.kept_picture import remove_kept

    try:
        remove_kept()
    except OSError as error:
        yield f"what the Sources page keeps: {error}"


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        fail(f"{option} takes a column and its value, as id=42")
    return name, value


def _tables(config: Source, given: Sequence[str]) -> tuple[tuple[str, ...], tuple[Relation, ...]]:
    """Return the tables of the source, all where none is named, and the copies that others have made."""
    from elt_factory.warehouse.dialect import Relation

    own = tuple(name for name in given if "." not in name)
    for name in own:
        if name not in config.all_tables:
            fail(f'{config.name} has no table "{name}"; {near_name(name, config.all_tables)}')
    pairs = [name.partition(".") for name in given if "." in name]
    return own or tuple(config.all_tables), tuple(Relation(schema, name) for schema, _, name in pairs)


def _ask(name: str) -> None:
    if not sys.stdin.isatty():
        fail("this cannot be undone: look with --dry-run, then add --yes")
    if not typer.confirm(f"Erase these records from all that {name} has loaded? This cannot be undone."):
        raise typer.Exit(1)


def _show(receipt: Receipt) -> None:
    done = "Would erase" if receipt.dry_run else "Erased"
    for one in receipt.erased:
        of = f"{receipt.source}.{one.table}: " if one.table else ""
        console.print(f"{done} {one.rows:,} of {of}{one.place}", markup=False, highlight=False)
    if not receipt.erased:
        console.print("Nothing found." if receipt.dry_run else "Nothing was left to erase.")
    if not receipt.dry_run:
        text = f"Receipt {receipt.id} in _elt.forgotten: {', '.join(receipt.key_columns)} {receipt.key_hash}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for table in receipt.skipped:
        errors.print(f"not looked at: {table} has none of the columns", style="yellow", markup=False, highlight=False)
    for line in receipt.left:
        errors.print(f"left: {line}", style="yellow", markup=False, highlight=False)
