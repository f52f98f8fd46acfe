"""The name of a config as an argument, which shells complete."""

from __future__ import annotations

from typing import Annotated

import typer

from elt_factory.core.project import config_folder


def config_names(incomplete: str) -> list[str]:
    """Return the names of configs that begin so; no config is read whole."""
    from elt_factory.dag.neighbours import Neighbours

    return [name for name in Neighbours(config_folder()).files_by_name if name.startswith(incomplete)]


ConfigName = Annotated[str, typer.Argument(help="Name of the config, as in `elt list`.", autocompletion=config_names)]
