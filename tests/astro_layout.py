"""What `astro dev init` writes."""

from pathlib import Path

SETTINGS = """\
# Applied by astro dev start
airflow:
  connections:
    - conn_id:
      conn_type:
      conn_extra:
        example_extra_field:
  pools:
    - pool_name:
      pool_slot:
  variables:
    - variable_name:
      variable_value:
"""
_FILES = {
    ".astro/config.yaml": "project:\n  name: shop\n",
    ".astro/dag_integrity_exceptions.txt": "# Add dag files to exempt from parse test below.\n",
    ".env": "",
    ".gitignore": ".git\n.env\nairflow_settings.yaml\n__pycache__/\nastro\n",
    "Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.3-2\n",
    "airflow_settings.yaml": SETTINGS,
    "dags/.airflowignore": "",
    "include/.gitkeep": "",
    "packages.txt": "",
    "plugins/.gitkeep": "",
    "requirements.txt": "# Astro Runtime includes the following pre-installed providers packages: ...\n",
    "tests/dags/test_dag_example.py": "",
}


def astro_project(folder: Path) -> None:
    """Write the files of a new Astro project."""
    for name, text in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
