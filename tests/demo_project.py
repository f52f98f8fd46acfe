"""The demo as a project of a test's own, for a whole Airflow."""

import json
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
API_KEY = "nyc-flights-demo"
# dbt tasks take turns, of seconds each: the week of the demo runs all its models in a test of its own
LEFT_OUT = {"departures": "fleet_age delay_by_carrier_hour", "fleet": "stg_airlines stg_airports"}


def lay_demo(folder: Path, sources: Path, *, models: bool = False) -> None:
    """The project with the demo's configs, files and database; with a part of its models unless all are wanted."""
    for name in ("dags", "plugins", "dag_configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "airflow_settings.yaml", folder)
    (folder / "include").symlink_to(ROOT / "include")
    for name, left_out in ({} if models else LEFT_OUT).items():
        select = f'{{select: "tag:{name}"}}'
        change_config(folder, name, select, f'{select[:-1]}, exclude: "{left_out}"}}')
    shutil.copytree(sources, folder / "data" / "sources")


def change_config(folder: Path, name: str, old: str, new: str) -> None:
    """Another text in a config, in which the one before must be."""
    file = folder / "dag_configs" / f"{name}.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def flights_connection(port: int) -> str:
    """The connection to the demo's API, as AIRFLOW_CONN_FLIGHTS_API has it."""
    return json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{port}", "password": API_KEY})
