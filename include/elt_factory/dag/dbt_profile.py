"""The dbt profile of the Airflow connection `warehouse`: one place says where the warehouse is, for loads and for dbt.

A profile is a file that Cosmos keeps, so it holds no secret, only names of environment variables; by their prefix dbt
leaves the values out of its logs and of what it keeps of a parsed project. Cosmos' own mappings know passwords and keys
alone. The loads log in by OAuth, workload identities and access tokens too, and dbt must need no other connection.
"""

from __future__ import annotations

from typing import Any

from elt_factory.core.extras import needs
from elt_factory.core.project import project_root
from elt_factory.warehouse.kind import DbtProfile
from elt_factory.warehouse.opening import CONNECTION_ID, kind_of

with needs("dbt", "transform.dbt"):
    from cosmos.config import ProfileConfig
    from cosmos.profiles.base import BaseProfileMapping


def warehouse_profile(compute: str | None = None) -> ProfileConfig:
    """Return the profile for ELT Factory's dbt commands; another one makes dbt parse the whole project again.

    Args:
        compute: The virtual warehouse where it is another than the connection's.
    """
    return ProfileConfig(profile_name="elt", target_name="warehouse", profile_mapping=WarehouseProfile(compute))


class WarehouseProfile(BaseProfileMapping):  # type: ignore[misc]  # Cosmos has no types
    """The dbt profile of the warehouse connection, made when a task runs, never while DAGs are parsed."""

    def __init__(self, compute: str | None = None) -> None:
        super().__init__(conn_id=CONNECTION_ID)
        self.compute = compute
        self._made: DbtProfile | None = None

    @property
    def profile(self) -> dict[str, Any]:
        """The profile as dbt reads it; secrets are names of environment variables."""
        return dict(self._profile().settings)

    @property
    def env_vars(self) -> dict[str, str]:
        """The secrets, for the environment of the dbt process alone."""
        return dict(self._profile().secrets)

    def _profile(self) -> DbtProfile:
        if self._made is None:
            from elt_factory.dag.runtime import get_connection

            connection = get_connection(CONNECTION_ID)
            self._made = kind_of(connection).dbt_profile(connection, project_root(), self.compute)
        return self._made
