"""Every YAML file in dag_configs/ becomes an Airflow DAG."""

import sys
from pathlib import Path

# Astro puts include/ on the path of its images; other ways of running Airflow may not
sys.path.append(str(Path(__file__).resolve().parents[1] / "include"))

from elt_factory.core.project import config_folder
from elt_factory.dag.loader import discover

globals().update(discover(config_folder()))
