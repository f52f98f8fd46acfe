"""The ids of loads that bring rejects of another load again: `<id of that load>-replay-<digest of the rejects>`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from elt_factory.warehouse.dialect import Dialect

_REPLAY = "-replay-"


def replay_id(load_id: str, turn: int, ordinals: Iterable[int]) -> str:
    """Return the id of the replay of rejects: the same for the same ones, whenever they are replayed."""
    named = f"{load_id}\x00{turn}\x00{','.join(map(str, sorted(ordinals)))}"
    return f"{load_id}{_REPLAY}{hashlib.sha256(named.encode()).hexdigest()[:12]}"


def is_replay(dialect: Dialect, alias: str = "") -> str:
    """Return the condition for loads that are replays: they are not the load of a window."""
    of = f"{alias}." if alias else ""
    return f"{of}{dialect.name('load_id')} LIKE {dialect.literal(f'%{_REPLAY}%')}"


def window_load(dialect: Dialect, alias: str) -> str:
    """Return the id of the load of a window that a load belongs to: its own, or that of the load it replays."""
    return f"split_part({alias}.{dialect.name('load_id')}, {dialect.literal(_REPLAY)}, 1)"
