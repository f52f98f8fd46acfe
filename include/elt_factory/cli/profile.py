"""`elt profile`: the distribution of every column of a load, and the checks that it suggests."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.markup import escape
from rich.table import Table

from elt_factory.cli import tables
from elt_factory.cli.names import ConfigName
from elt_factory.cli.opening import opened_warehouse
from elt_factory.cli.output import AsJson, fail, named_config, print_json, say
from elt_factory.config.errors import near_name
from elt_factory.core.amount import amount

if TYPE_CHECKING:
    from elt_factory.checks.profile import ColumnProfile

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LONGEST = 24
console = tables.screen()


def profile(
    name: ConfigName,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    load: Annotated[str | None, typer.Option(help="Load id; by default, the newest load of each table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the distribution of every column of a load, and propose checks for it as YAML.

    Of personal columns (`pii`) only counts are shown.
    """
    from elt_factory.checks.profile import newest_load, profiled, proposed

    config = named_config(name).config
    if table is not None and table not in config.all_tables:
        fail(f'{name} has no table "{table}"; {near_name(table, config.all_tables)}')
    chosen = [table] if table else list(config.all_tables)
    found: dict[str, list[ColumnProfile]] = {}
    with opened_warehouse() as warehouse:
        for one in chosen:
            load_id = load or newest_load(warehouse, name, one, config.all_tables[one])
            found[one] = profiled(warehouse, name, one, config.all_tables[one], load_id) if load_id else []
    checks = {one: proposed(profiles, config.all_tables[one]) for one, profiles in found.items()}
    if as_json:
        columns = {one: [asdict(profile) for profile in profiles] for one, profiles in found.items()}
        print_json({"columns": columns, "proposed": checks})
        return
    for one, profiles in found.items():
        if profiles:
            console.print(_table(f"{name}.{one}", profiles))
        else:
            say(f"{name}.{one} has no rows yet")
    proposals = {
        one: {"columns": {column: {"checks": entries} for column, entries in by_column.items()}}
        for one, by_column in checks.items()
        if by_column
    }
    if proposals:
        say("# checks that this load fulfils: keep those that must always hold")
        say(yaml.safe_dump({"tables": proposals}, sort_keys=False, allow_unicode=True, width=110).rstrip())


def _table(title: str, profiles: list[ColumnProfile]) -> Table:
    heads = ("column", "type", "NULL", "distinct", "min", "median", "max", "distribution")
    found = Table(*heads, title=f"{title}, {amount(profiles[0].rows, 'row')}", title_justify="left")
    for profile in profiles:
        median = profile.quantiles.get("p50") if profile.quantiles else None
        found.add_row(
            profile.name,
            profile.type,
            f"{profile.nulls / profile.rows:.1%}" if profile.rows else "",
            "" if profile.distinct is None else f"{profile.distinct:,}",
            _cut(profile.low),
            "" if median is None else f"{median:g}",
            _cut(profile.high),
            _drawn(profile),
        )
    return found


def _cut(text: str | None) -> str:
    if text is None:
        return ""
    return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _drawn(profile: ColumnProfile) -> str:
    """Return the distribution as a line: bars of numbers, the most frequent of other values."""
    from elt_factory.checks.profile import shown_top

    if profile.personal:
        return "personal"
    if profile.bars:
        most = max(profile.bars) or 1
        # a part that has few is not one that has none
        return "".join(_BLOCKS[_rounded_up(count * (len(_BLOCKS) - 1), most)] for count in profile.bars)
    return ", ".join(f"{_cut(value)} {count / profile.values:.0%}" for value, count in shown_top(profile))


def _rounded_up(number: int, by: int) -> int:
    """Return the quotient of two numbers, rounded up."""
    return -(-number // by)
