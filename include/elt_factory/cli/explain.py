"""`elt explain`: the config in effect, and where each value of it comes from."""

from __future__ import annotations

from elt_factory.cli.names import ConfigName
from elt_factory.cli.output import AsJson, named_config, print_json, say
from elt_factory.describe.effective import settings, settings_text


def explain(name: ConfigName, as_json: AsJson = False) -> None:
    """Show the effective config: each value with its file and line, or as a default."""
    item = named_config(name)
    if as_json:
        print_json([setting.entry() for setting in settings(item)])
    else:
        say(settings_text(item).rstrip())
