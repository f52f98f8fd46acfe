"""Lay what the demo's sources hold."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from demo.fleet import lay_fleet
from demo.weather import ALL_MONTHS, lay_weather


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` had to write: nothing, when all was there already."""

    weather_files: tuple[Path, ...]
    fleet_tables: tuple[str, ...]


def prepare(
    data_dir: Path,
    *,
    months: Collection[int] = ALL_MONTHS,
    fleet_url: str | None = None,
    fleet_schema: str = "fleet",
) -> Prepared:
    """Lay the weather files of `months` (1..12) and the fleet's tables; doing so again changes nothing.

    Raises DemoError when the dataset is not installed, or the fleet's database cannot be reached.
    """
    return Prepared(
        weather_files=tuple(lay_weather(data_dir, months)),
        fleet_tables=tuple(lay_fleet(data_dir, fleet_url, fleet_schema)),
    )
