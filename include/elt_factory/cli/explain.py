"""`elt explain`: the config in effect, and where each value of it comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from elt_factory.cli.output import AsJson, named_config, print_json, say
from elt_factory.describe.effective import settings, settings_text


def explain(
    name: Annotated[str, typer.Argument(help="The config, as `elt list` names it.")], as_json: AsJson = False
) -> None:
    """Show a config as it is in effect: each value with its file and line, or as a default of the language."""
    item = named_config(name)
    if as_json:
        print_json([setting.entry() for setting in settings(item)])
    else:
        say(settings_text(item).rstrip())
