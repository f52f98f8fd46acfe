"""How long each file of tests takes: the longest begin first, so that no process is left alone with one at the end."""

import json
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_suffix(".json")  # written by `make durations`
UNKNOWN = 10  # seconds of a file that was not measured yet


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by the time of their file."""
    seconds = json.loads(FILE.read_text())
    items.sort(key=lambda item: -seconds.get(item.nodeid.partition("::")[0], UNKNOWN))


class Recorder:
    """Writes down what each file of a session took."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid.partition("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        known = {file: seconds for file, seconds in json.loads(FILE.read_text()).items() if (ROOT / file).exists()}
        known |= {file: round(seconds) for file, seconds in self.seconds.items()}
        FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
