"""The `weather` source: one CSV file a month, as a station would drop them."""

import os
from collections.abc import Collection
from pathlib import Path

from demo.dataset import dataset_file

ALL_MONTHS = tuple(range(1, 13))
YEAR = 2013


def lay_weather(data_dir: Path, months: Collection[int] = ALL_MONTHS) -> list[Path]:
    """Write `<data_dir>/weather/weather_2013-MM.csv` for each month (1..12); return the files that changed.

    Rows are the dataset's own lines, told apart by its local year and month. A file that is already right is
    not touched, and a new one appears whole.

    Raises DemoError when the dataset is not installed.
    """
    folder = data_dir / "weather"
    folder.mkdir(parents=True, exist_ok=True)
    contents = _split_by_month()
    changed = []
    for month in sorted(set(months)):
        path = folder / f"weather_{YEAR}-{month:02}.csv"
        if not path.exists() or path.read_bytes() != contents[month]:
            _write_whole(path, contents[month])
            changed.append(path)
    return changed


def _split_by_month() -> dict[int, bytes]:
    header, *lines = dataset_file("weather.csv").read_bytes().splitlines(keepends=True)
    months: dict[int, list[bytes]] = {month: [header] for month in ALL_MONTHS}
    for line in lines:
        _, year, month, _ = line.split(b",", 3)
        if int(year) == YEAR:
            months[int(month)].append(line)
    return {month: b"".join(of_month) for month, of_month in months.items()}


def _write_whole(path: Path, content: bytes) -> None:
    # A watcher of *.csv must never see half a file.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
