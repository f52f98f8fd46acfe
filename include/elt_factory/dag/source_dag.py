"""The class of our DAGs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, get_parsing_context
from airflow.sdk.definitions.param import ParamsDict

from elt_factory.config.models.source import Config


class SourceDag(DAG):
    """A DAG whose code, to Airflow, is the YAML file: the file that people edit is the one that the Code tab shows."""

    config: Config | None = None
    yaml_file: str | None = None
    own_place: str | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "relative_fileloc" and self.own_place:
            value = self.own_place
        super().__setattr__(name, value)
        # tasks find their DAG by the relative place, which Airflow works out from the Python file and writes last
        if name == "relative_fileloc" and value and self.yaml_file:
            super().__setattr__("fileloc", self.yaml_file)

    def ask(self, form: Mapping[str, Param]) -> None:
        """Give the DAG its trigger form. The form is the run's: what it holds is checked when a run is triggered.

        Set the usual way, before the tasks, each task carries and Airflow stores a copy of its own; and Airflow checks
        the form's schemas, which are ours, against the schema of schemas, at a third of the cost of the whole DAG.

        A task does not have it checked once more: a run that names a table which the YAML has lost since would end
        before the task begins, with no callback and no alert. The task says what is wrong itself.
        """
        if get_parsing_context().dag_id is not None:
            form = {name: Param(param.value) for name, param in form.items()}
        vars(self)["params"] = ParamsDict(form)

    def shown_as(self, file: Path) -> SourceDag:
        """Return this DAG, with a file as its code."""
        self.yaml_file = str(file)
        return self

    def placed_at(self, relative: str) -> SourceDag:
        """Return this DAG, found by tasks in a DAG file of its own, whichever file Airflow was reading."""
        self.own_place = relative
        return self
