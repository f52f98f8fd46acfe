"""The plugin where the package is found on the path and not installed, as in Astro's images."""

import sys
from importlib.metadata import entry_points
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "include"))

# an installed package brings its plugin by an entry point, and Airflow takes two of one name for an error
if "elt_factory" not in entry_points(group="airflow.plugins").names:
    from elt_factory.ui.plugin import EltFactoryPlugin  # noqa: F401 - Airflow looks for it here
