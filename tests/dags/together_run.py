"""A DAG processor of Airflow over a folder: `poison.yaml` kills every process that reads it."""

import json
import os
import signal
import sys
from pathlib import Path

from airflow.dag_processing.manager import DagFileProcessorManager

from elt_factory.dag import loader
from elt_factory.dag.neighbours import Neighbours

_build, _create, _started = loader._build, DagFileProcessorManager._create_process, []


def build(file: Path, neighbours: Neighbours):
    if file.name == "poison.yaml":
        os.kill(os.getpid(), signal.SIGKILL)
    return _build(file, neighbours)


def create(self, dag_file):
    _started.append(dag_file)
    return _create(self, dag_file)


loader._build = build
DagFileProcessorManager._create_process = create
DagFileProcessorManager(max_runs=1).run()
sys.stdout.write(f"RESULT{json.dumps([str(file.rel_path) for file in _started])}\n")
