"""A config as YAML, with remarks for people above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import yaml

from elt_factory.core.failures import redact

_WIDTH = 118


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - a config is written out
        return True


def yaml_text(config: Mapping[str, Any], remarks: Sequence[str] = ()) -> str:
    """Return a config as the text of a file."""
    days = {**config, "start_date": date.fromisoformat(str(config["start_date"]))}
    body = yaml.dump(days, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=None)
    return "".join(f"# {redact(line)}".rstrip() + "\n" for line in remarks) + body
