"""The YAML bundle over a git repository: the configs of a revision, and for a task those that its run began with.

It needs the extra `git`:

    [{"name": "sources", "classpath": "elt_factory.dag.bundle_git.GitYamlBundle",
      "kwargs": {"git_conn_id": "configs_repo", "tracking_ref": "main", "subdir": "dag_configs"}}]
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from elt_factory.core.extras import needs
from elt_factory.dag.bundle import stub_parent, stubs_of
from elt_factory.dag.refreshing import Refresher
from elt_factory.dag.road import Road

with needs("git", "GitYamlBundle"):
    from airflow.providers.git.bundles.git import GitDagBundle


class GitYamlBundle(GitDagBundle):
    """The YAML files of a folder (`subdir`) of a git repository at a branch, tag or commit (`tracking_ref`).

    Args:
        parse_together: As of `YamlBundle`.
    """

    def __init__(self, *, parse_together: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._refresher = Refresher(self.name, parse_together)

    @property
    def configs(self) -> Path:
        """The folder of the YAML files in the checkout of this version."""
        return Path(super().path)

    @property
    def path(self) -> Path:
        """The folder of the files that Airflow reads."""
        return self._road.path

    def initialize(self) -> None:
        """Check the version out and make the files that Airflow reads."""
        super().initialize()
        self._road.ensure()

    def refresh(self) -> None:
        """Fetch, have Airflow read what changed in the branch, and again what it did not come to store."""
        super().refresh()
        self._refresher.refresh(self._road, self.configs)
        self._forget_old_versions()

    @property
    def _road(self) -> Road:
        # not in the checkout, which the provider cleans while tasks of the same version start
        return stubs_of(self.configs, self._stubs_folder / self.repo_path.name)

    @property
    def _stubs_folder(self) -> Path:
        return stub_parent(self.name) / "stubs"

    def _forget_old_versions(self) -> None:
        """Airflow throws old checkouts away; their stubs go with them."""
        for folder in self._stubs_folder.iterdir():
            kept = self.versions_dir / folder.name, self.repo_path.with_name(folder.name)
            if not any(checkout.exists() for checkout in kept):
                shutil.rmtree(folder, ignore_errors=True)
