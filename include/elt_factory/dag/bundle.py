"""The Airflow DAG bundle in which every YAML file is a DAG file of its own.

It is switched on with `AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST`:

    [{"name": "sources", "classpath": "elt_factory.dag.bundle.YamlBundle",
      "kwargs": {"refresh_interval": 5, "parse_together": 25}}]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import get_bundle_base_folder
from airflow.dag_processing.bundles.local import LocalDagBundle

from elt_factory.core.project import config_folder, dbt_folder
from elt_factory.dag.refreshing import Refresher
from elt_factory.dag.road import Road
from elt_factory.dag.stubs import StubFolder


class YamlBundle(LocalDagBundle):
    """The YAML files of a folder.

    Args:
        path: The folder; by default the project's dag_configs/.
        parse_together: How many files one process of the DAG processor reads at most, when many wait.
    """

    def __init__(self, *, name: str, path: str | None = None, parse_together: int = 1, **kwargs: Any) -> None:
        self.configs = Path(path) if path else config_folder()
        self.road: Road = stubs_of(self.configs, stub_parent(name))
        self._refresher = Refresher(name, parse_together)
        super().__init__(name=name, path=str(self.road.path), **kwargs)

    def initialize(self) -> None:
        """Make sure of the files that Airflow reads: workers, too, find their DAG through them."""
        self.road.ensure()
        super().initialize()

    def refresh(self) -> None:
        """Have Airflow read what changed in the folder, and again what it did not come to store."""
        self._refresher.refresh(self.road, self.configs)


def stub_parent(name: str) -> Path:
    """Where the stubs of a bundle are: where Airflow is configured to keep bundles, else in its home.

    Airflow's own default is the temporary folder, where any user of the machine could put a stub before us.
    """
    from airflow.configuration import AIRFLOW_HOME, conf

    if conf.get("dag_processor", "dag_bundle_storage_path", fallback=None):
        return get_bundle_base_folder(name)
    return Path(AIRFLOW_HOME) / "dag_bundles" / name


def stubs_of(configs: Path, parent: Path) -> StubFolder:
    """Return the stubs of a folder of configs; all of them are read again when the dbt manifest changes."""
    return StubFolder(configs, parent, shared=(dbt_folder() / "target" / "manifest.json",))
