"""`elt validate` over 200 configs against a floor: libyaml and pydantic over the same files, no positions.

Run it with `python benchmarks/validate.py`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from elt_factory.config.models.source import SOURCES, TransformOnly
from elt_factory.config.yaml.source import read_yaml
from elt_factory.core.project import config_folder
from elt_factory.describe.findings import validate

COPIES, ROUNDS = 50, 7


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = write_configs(folder)
        ours = best(lambda: validate([folder], folder))
        floor = best(lambda: parse_and_validate(data))
    files = len(data)
    print(f"{files} configs: elt validate {ours:.3f} s, libyaml + pydantic {floor:.3f} s, ratio {ours / floor:.2f}")
    print(f"once Python is up, {files} configs take {'less' if ours < 1 else 'MORE'} than a second")
    print(f"imported on the way: {', '.join(heavy()) or 'neither airflow, duckdb, pyarrow nor cosmos'}")


def write_configs(folder: Path) -> dict[Path, dict]:
    """Return copies of the project's own configs under names of their own.

    The floor's data has what its models need.
    """
    files: dict[Path, dict] = {}
    (folder / "_defaults.yaml").write_text((config_folder() / "_defaults.yaml").read_text())
    names = [file.stem for file in config_folder().glob("[!_]*.yaml")]
    for copy in range(COPIES):
        for name in names:
            text = (config_folder() / f"{name}.yaml").read_text()
            for other in names:
                text = text.replace(f"name: {other}\n", f"name: {other}_{copy}\n")
                text = text.replace(f"source: {{name: {other}", f"source: {{name: {other}_{copy}")
            file = folder / f"{name}_{copy}.yaml"
            file.write_text(text)
            files[file] = read_yaml(file).data
    return files


def parse_and_validate(data: dict[Path, dict]) -> None:
    """Do the minimum of any tool: parse the text, build the models."""
    for file, read in data.items():
        yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
        kind = read.get("extract", {}).get("type")
        (SOURCES.get(kind).config if kind else TransformOnly).model_validate(read)


def best(work: Callable[[], object]) -> float:
    """Return the median of some rounds, in seconds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def heavy() -> list[str]:
    return [name for name in ("airflow", "duckdb", "pyarrow", "cosmos") if name in sys.modules]


if __name__ == "__main__":
    main()
