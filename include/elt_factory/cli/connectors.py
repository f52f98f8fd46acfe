"""`elt connectors`: the presets, and the packages of Airbyte connectors and Singer taps that are known by name."""

from __future__ import annotations

from typing import Annotated

import typer

from elt_factory.cli.output import AsJson, fail, print_json


def connectors(
    search: Annotated[list[str] | None, typer.Argument(help="Words that the name has, such as github.")] = None,
    as_json: AsJson = False,
) -> None:
    """List presets, and packages of Airbyte connectors and Singer taps; `elt new` makes a config of one."""
    from elt_factory.cli.tables import screen
    from elt_factory.config.errors import near_name
    from elt_factory.sources.connectors.known import found, kind_of, packages
    from elt_factory.sources.presets import gallery

    given = search or []
    # elt connectors search github
    words = " ".join(given[1:] if given[:1] == ["search"] and given[1:] else given)
    wanted = words.casefold().replace("-", "_").split()
    presets = [name for name in gallery.names() if all(word in name for word in wanted)]
    names = found(words)
    if as_json:
        listed = [{"preset": name, "type": "preset"} for name in presets]
        print_json([*listed, *({"package": name, "type": kind_of(name)} for name in names)])
        return
    if not names and not presets:
        endings = {name.rpartition("source-")[2].rpartition("tap-")[2] for name in packages()}
        near = near_name(words, endings)
        hint = near if near.startswith("did you mean") else "any other package can be used by its name"
        fail(f'no known connector has "{words}" in its name; {hint}')
    console = screen()
    for name in presets:
        console.print(f"{name:<50} elt new --from {name}", markup=False, highlight=False)
    for name in names:
        console.print(f"{name:<50} elt new NAME --{kind_of(name)} {name}", markup=False, highlight=False)
