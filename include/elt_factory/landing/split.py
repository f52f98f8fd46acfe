"""What a load in parts is divided into: computed once, and read again by every try of every part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from elt_factory.config.models.checks import QUARANTINE
from elt_factory.config.models.source import Pipeline
from elt_factory.config.models.values import ColumnType
from elt_factory.core.clock import Clock
from elt_factory.core.failures import LandingError
from elt_factory.extract.request import CursorRange, Part
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.folded import Folded
from elt_factory.landing.places import Place

SPLIT_FILE = "split.json"
# of a table in the YAML, what no landing depends on
_ELSEWHERE = dict.fromkeys(("description", "rejects", "deadline", "retention", "transient", "cluster_by"), True)
# by which column it is divided says whether two parts may have one key
_OF_SPLIT = {"tasks": True, "pool": True}


@dataclass(frozen=True)
class SplitLoad:
    """A load in parts: its attempt, what the warehouse said of its table when it was divided, and the parts.

    All parts see the same columns and the same beginning of the cursor, whatever is loaded meanwhile. `config` is the
    digest of what the YAML says of the table, `knew_files` whether files of it were loaded before, and `written` what
    the clock of the warehouse showed when this was kept.
    """

    attempt: Attempt
    existing: Mapping[str, ColumnType] | None
    cursor: CursorRange
    parts: Sequence[Part]
    config: str = ""
    knew_files: bool = False
    written: datetime | None = None

    def clock(self, place: Place) -> Clock:
        """Return the clock of the warehouse, which not every part asks, below the place of the load.

        It has moved since the split by as much as that of the place, whatever the clocks of the workers show.
        """
        there = place.below(self.attempt.name)
        since = there.now() - there.changed(SPLIT_FILE)
        return Clock((self.written or self.attempt.started) + max(since, timedelta()))

    def check_config(self, config: Pipeline, table: str) -> None:
        """Refuse a config that says something else of the records than that by which the load was divided.

        Raises:
            LandingError: some parts would be landed by one of them, and some by the other.
        """
        if self.config != config_digest(config, table):
            raise LandingError(
                f"{config.name}.{table}: the config has changed since the task split: its parts would be landed by two "
                "configs; clear the task split"
            )


def config_digest(config: Pipeline, table: str) -> str:
    """Return a digest of all that a config says of how the records of a table are landed."""
    quarantines = (check for check in config.quality.get(table, ()) if check.severity == QUARANTINE)
    checks = [check.model_dump(mode="json") for check in quarantines]
    said = config.all_tables[table].model_dump(mode="json", exclude={**_ELSEWHERE, "split": _OF_SPLIT})
    text = json.dumps([said, checks, config.timezone], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_split(place: Place, split: SplitLoad) -> None:
    """Keep how a load is divided, below the place of the load."""
    existing = None if split.existing is None else {name: str(kind) for name, kind in split.existing.items()}
    content = {
        "began": split.attempt.started.isoformat(),
        "columns": existing,
        "any_case": isinstance(split.existing, Folded),
        "after": split.cursor.after,
        "upto": split.cursor.upto,
        "parts": [{"what": part.what, "says": part.says} for part in split.parts],
        "config": split.config,
        "knew_files": split.knew_files,
        "written": split.written.isoformat() if split.written else None,
    }
    # names of files may have bytes that are not text
    place.below(split.attempt.name).write(SPLIT_FILE, json.dumps(content).encode("ascii"))


def read_split(place: Place, attempt: str) -> SplitLoad:
    """Return how a load was divided.

    Raises:
        LandingError: that is not kept any more.
    """
    try:
        return _split(attempt, json.loads(place.below(attempt).read(SPLIT_FILE)))
    except (FileNotFoundError, ValueError, KeyError) as error:
        text = f"the landing {place} does not say what the parts of {attempt} are: {error}"
        raise LandingError(f"{text}; clear the task split together with this one") from None


def _split(attempt: str, found: Mapping[str, Any]) -> SplitLoad:
    columns = found["columns"]
    if columns is not None:
        columns = {name: ColumnType.parse(kind) for name, kind in columns.items()}
    return SplitLoad(
        Attempt(attempt, datetime.fromisoformat(found["began"])),
        Folded(columns) if found["any_case"] and columns is not None else columns,
        CursorRange(found["after"], found["upto"]),
        [Part(part["what"], part["says"]) for part in found["parts"]],
        found["config"],
        found["knew_files"],
        datetime.fromisoformat(found["written"]) if found.get("written") else None,
    )
