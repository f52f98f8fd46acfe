"""A measured case runs in a process of its own, which prints its result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def result_of(script: str, *arguments: object, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what a script next to this one finds, with more in its environment.

    Raises:
        SystemExit: it finds nothing.
    """
    path = os.pathsep.join([str(HERE.parent / "include"), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    given = [str(argument) for argument in arguments]
    done = subprocess.run(
        [sys.executable, str(HERE / script), *given],
        env=os.environ | dict(environment) | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not results:
        raise SystemExit(f"{script} {' '.join(given)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(results[0].removeprefix("RESULT"))
    return found
