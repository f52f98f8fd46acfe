"""An Airflow connection as the rest of the code sees it: no layer but `dag` and `cli` asks Airflow for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Connection:
    """An Airflow connection's fields, without Airflow. The secret parts never show in a repr.

    `held` has the names in the extra that requests use where a config says, and that are sent nowhere else.
    """

    conn_id: str
    conn_type: str
    host: str | None = None
    port: int | None = None
    schema: str | None = None
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    held: frozenset[str] = frozenset()
