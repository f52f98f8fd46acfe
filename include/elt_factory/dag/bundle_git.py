"""The YAML bundle over a git repository: the configs of a revision, and for a task those that its run began with.

It needs the extra `git`:

    [{"name": "sources", "classpath": "elt_factory.dag.bundle_git.GitYamlBundle",
      "kwargs": {"git_conn_id": "configs_repo", "tracking_ref": "main", "subdir": "dag_configs"}}]
"""

from __future__ import annotations

import shutil
from pathlib import Path

from elt_factory.core.extras import needs
from elt_factory.dag.bundle import stub_parent, stubs_of
from elt_factory.dag.preload import preload
from elt_factory.dag.stubs import StubFolder

with needs("git", "GitYamlBundle"):
    from airflow.providers.git.bundles.git import GitDagBundle


class GitYamlBundle(GitDagBundle):
    """The YAML files of a folder (`subdir`) of a git repository at a branch, tag or commit (`tracking_ref`)."""

    @property
    def configs(self) -> Path:
        """The folder of the YAML files in the checkout of this version."""
        return Path(super().path)

    @property
    def path(self) -> Path:
        """The folder of the stubs."""
        return self._stubs.path

    def initialize(self) -> None:
        """Check the version out and make its stubs."""
        super().initialize()
        self._stubs.ensure()

    def refresh(self) -> None:
        """Fetch, and bring the stubs to the state of the branch."""
        super().refresh()
        self._stubs.sync()
        self._forget_old_versions()
        preload(self.configs)

    @property
    def _stubs(self) -> StubFolder:
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
