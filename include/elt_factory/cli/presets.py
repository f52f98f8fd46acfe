"""`elt new --from`: a config of a well-known API, out of the gallery."""

from __future__ import annotations

from pathlib import Path

from elt_factory.cli.output import errors, fail, say, short, write_new
from elt_factory.core.project import config_folder


def known_preset(name: str) -> str:
    """Return the name of a preset; ends the command where there is none of it."""
    from elt_factory.config.errors import near_name
    from elt_factory.sources.presets.gallery import names

    plain = name.lower().replace("-", "_")
    if plain not in names():
        fail(f'unknown preset "{name}"; {near_name(plain, names())}')
    return plain


def write_preset(target: Path, name: str, preset: str, tables: list[str], connection: str | None) -> None:
    """Write a config of a preset, once it is known to be valid; never over another."""
    from elt_factory.config.errors import ConfigError, near_name
    from elt_factory.config.layers.defaults import defaults_of
    from elt_factory.config.loading import load_text
    from elt_factory.sources.presets.gallery import Wanted, chosen, config_of, config_text, unmatched

    asked = [one for some in tables for one in some.split(",") if one]
    if odd := unmatched(preset, asked):
        fail(f'{preset} has no table "{odd[0]}"; {near_name(odd[0], config_of(preset).all_tables)}')
    root = config_folder()
    schema = "../" * (len(target.relative_to(root).parts) - 1) + "source.schema.json"
    try:
        defaults = defaults_of(target.parent, root)
        wanted = Wanted(name, asked, connection, defaults.data if defaults else {}, schema)
        text = config_text(preset, wanted)
        load_text(target, text, root)
    except ConfigError as error:
        errors.print(str(error), style="yellow", markup=False, highlight=False, soft_wrap=True)
        fail("nothing written: with this folder's defaults the preset would be invalid")
    try:
        write_new(target, text)
    except FileExistsError:
        fail(f"{short(target)} already exists; choose another name")
    told = ", ".join(chosen(preset, asked))
    say(f"Wrote {short(target)}: {told}. Its first lines say what the connection holds. Next:")
    conn_id = connection or config_of(preset).extract.connection
    add = f"airflow connections add {conn_id} --conn-type http --conn-host ... --conn-password ..."
    for line in (add, f"elt validate {short(target)} --live", f"elt run {name}"):
        say(f"  {line}")
