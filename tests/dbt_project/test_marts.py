"""The figures of the marts, counted a second time from the CSVs in plain Python."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from statistics import median

import pytest

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rounded(value: Fraction, places: str) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal(places), ROUND_HALF_UP)


def average(numbers: Iterable[int]) -> Decimal | None:
    numbers = list(numbers)
    return rounded(Fraction(sum(numbers), len(numbers)), "0.01") if numbers else None


def share(part: int, whole: int) -> Decimal | None:
    return rounded(Fraction(part, whole), "0.0001") if whole else None


def delays(flights: Iterable[Row]) -> list[int]:
    return [int(flight["dep_delay"]) for flight in flights if flight["dep_delay"] != "NA"]


def cancelled(flights: Iterable[Row]) -> int:
    return sum(flight["dep_time"] == "NA" for flight in flights)


def grouped(flights: Iterable[Row], key: Callable[[Row], object]) -> dict:
    groups = defaultdict(list)
    for flight in flights:
        groups[key(flight)].append(flight)
    return groups


@pytest.fixture(scope="module")
def year(csvs: Path) -> list[Row]:
    return read(csvs / "flights.csv")


@pytest.fixture
def flights(year: list[Row], built) -> list[Row]:
    if built.period == "year":
        return year
    return [flight for flight in year if flight["month"] == "1" and int(flight["day"]) <= 7]


@pytest.fixture(scope="module")
def airlines(csvs: Path) -> dict[str, str]:
    return {airline["carrier"]: airline["name"] for airline in read(csvs / "airlines.csv")}


def test_delay_by_carrier_hour_holds_the_figures_counted_from_the_csv(built, flights, airlines):
    expected = []
    for (carrier, hour), group in sorted(grouped(flights, lambda f: (f["carrier"], int(f["hour"]))).items()):
        late = delays(group)
        typical = rounded(Fraction(median(late)), "0.01") if late else None
        delayed = share(sum(delay > 15 for delay in late), len(late))
        gone = cancelled(group)
        counts = (len(group), gone, share(gone, len(group)))
        expected.append((carrier, airlines[carrier], hour, *counts, average(late), typical, delayed))

    assert built.warehouse.marts()["delay_by_carrier_hour"] == expected


def band(value: str | None, *bands: tuple[float, str]) -> str:
    if value in {None, "NA"} or float(value) > 254:
        return "unknown"
    return next(name for below, name in bands if float(value) < below)


BANDS = {
    "wind": (
        "wind_speed",
        (5, "under 5 mph"),
        (15, "5 to 15 mph"),
        (25, "15 to 25 mph"),
        (999, "25 mph or more"),
    ),
    "precipitation": ("precip", (1e-9, "dry"), (0.1, "under 0.1 inch"), (99, "0.1 inch or more")),
    "visibility": (
        "visib",
        (1, "under 1 mile"),
        (3, "1 to 3 miles"),
        (10, "3 to 10 miles"),
        (99, "10 miles or more"),
    ),
}


def test_delay_by_weather_holds_the_figures_counted_from_the_csv(built, flights, csvs):
    weather = {(hour["origin"], hour["time_hour"]): hour for hour in read(csvs / "weather.csv")}
    days = {(flight["year"], flight["month"], flight["day"]) for flight in flights}
    weather = {key: hour for key, hour in weather.items() if (hour["year"], hour["month"], hour["day"]) in days}
    expected = []
    for factor, (column, *bands) in BANDS.items():

        def of(flight: Row, column: str = column, bands: list = bands) -> str:
            return band(weather.get((flight["origin"], flight["time_hour"]), {}).get(column), *bands)

        for name, group in grouped(flights, of).items():
            gone = cancelled(group)
            counts = (len(group), gone, share(gone, len(group)))
            expected.append((factor, name, *counts, average(delays(group))))

    assert built.warehouse.marts()["delay_by_weather"] == sorted(expected)


def test_fleet_age_holds_the_figures_counted_from_the_csv(built, flights, airlines, csvs):
    planes = {plane["tailnum"]: plane for plane in read(csvs / "planes.csv")}
    ages = {tail: 2013 - int(plane["year"]) for tail, plane in planes.items() if plane["year"] != "NA"}
    expected = []
    for carrier, group in sorted(grouped(flights, lambda f: f["carrier"]).items()):
        tails = {flight["tailnum"] for flight in group} - {"NA"}
        known = [ages[tail] for tail in tails if tail in ages]
        departed = Counter(flight["tailnum"] for flight in group if flight["dep_time"] != "NA")
        seats = sum(int(planes[tail]["seats"]) * count for tail, count in departed.items() if tail in planes)
        by_age = grouped(
            (flight for flight in group if flight["tailnum"] in ages),
            lambda flight: min(ages[flight["tailnum"]] // 10, 2),
        )
        head = (carrier, airlines[carrier], len(group), cancelled(group), len(tails))
        late = [average(delays(by_age.get(decade, []))) for decade in range(3)]
        expected.append((*head, share(len(known), len(tails)), average(known), seats, *late))

    assert built.warehouse.marts()["fleet_age"] == expected


def test_a_week_and_a_year_have_the_published_totals(built):
    totals = "select sum(flights), sum(cancelled) from marts.fleet_age"
    heavy_rain = "select flights, cancelled from marts.delay_by_weather where band = '0.1 inch or more'"

    expected = {"week": [(6_099, 35)], "year": [(336_776, 8_255), (4_447, 384)]}
    assert built.warehouse.execute(totals) + built.warehouse.execute(heavy_rain) == expected[built.period]
